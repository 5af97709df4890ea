//! `request_id = true`: exchanges have ids, by which their records here and elsewhere can be put together.

use super::level::Refinement;
use super::setting::{Kind, Setting, set};
use crate::config::model::Policy;

/// As [`FURTHER_IN`], for the level that inherits none.
pub(super) const AT_TOP: Setting<Refinement, Policy> = Setting {
    default: "false",
    ..FURTHER_IN
};

/// It replaces what is inherited.
pub(super) const FURTHER_IN: Setting<Refinement, Policy> = Setting {
    key: "request_id",
    kind: Kind::Boolean,
    about: "each exchange has an id, a trusted proxy's `X-Request-Id` or a new one: in the log, the \
            response, on error pages, for handlers, scripts and upstreams",
    translations: &[
        (
            "unique_id",
            "the setting is called `request_id`: `request_id = true`",
        ),
        (
            "$request_id",
            "the setting is called `request_id`: `request_id = true`",
        ),
    ],
    read: |node, refinement| set(&mut refinement.policy.request_id, node.boolean()),
    show: |policy| Some(policy.request_id.to_string()),
    ..Setting::BLANK
};
