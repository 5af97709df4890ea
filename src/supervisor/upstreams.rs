//! What an operator is told of upstreams, and has done to one of their servers.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::control::ControlReply;
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::upstream::{Group, ServerReport, ServerState};

/// An upstream at one moment.
pub(super) struct UpstreamFacts {
    pub(super) name: String,
    /// Whether its servers are processes of `[apps.NAME]`.
    is_app: bool,
    /// Requests and connections that wait for one of its servers.
    pub(super) waiting: usize,
    /// Tries of requests beyond the first.
    pub(super) retries: u64,
    pub(super) servers: Vec<ServerReport>,
}

/// The upstreams of a generation, as they are now.
pub(super) fn facts(upstreams: &[Arc<Group>]) -> Vec<UpstreamFacts> {
    let now = Instant::now();
    let facts = |group: &Arc<Group>| UpstreamFacts {
        name: group.options().name.clone(),
        is_app: group.options().is_app(),
        waiting: group.waiting(),
        retries: group.further_tries(),
        servers: group.report(now),
    };
    upstreams.iter().map(facts).collect()
}

impl UpstreamFacts {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "waiting": self.waiting,
            "servers": self.servers.iter().map(ServerReport::to_json).collect::<Vec<_>>(),
        })
    }

    /// A line for the upstream, and one for each of its servers.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("upstream     {}\n", self.name);
        if self.servers.is_empty() && self.is_app {
            text.push_str("  none of its processes is ready\n");
        } else if self.servers.is_empty() {
            text.push_str("  its names lead nowhere\n");
        }
        if self.waiting > 0 {
            text.push_str(&format!("  {} wait for a server with room\n", self.waiting));
        }
        let width = self.servers.iter().map(|server| server.address.len()).max();
        let width = width.unwrap_or_default();
        for server in &self.servers {
            text.push_str(&format!("  {:<width$}  {server}\n", server.address));
        }
        text
    }
}

/// Takes the server out that `server` names, as `shop/127.0.0.1:8000`, or back in. Returns the reply.
pub(super) fn set_drained(upstreams: &[Arc<Group>], server: &str, drained: bool) -> ControlReply {
    let changed = upstreams.iter().find_map(|group| {
        let rest = server.strip_prefix(&group.options().name)?;
        let address = rest.strip_prefix('/')?;
        group.set_drained(address, drained).then_some(group)
    });
    let Some(group) = changed else {
        return not_found(upstreams, server);
    };
    let mut text = if drained {
        format!(
            "{server} is drained: it gets no new requests, except of clients that `sticky` has given it; \
             the next reload takes it back in\n"
        )
    } else {
        format!("{server} gets requests again\n")
    };
    diagnostic::info(format_args!("`tidegate upstream`: {}", text.trim_end()));
    let is_open = |report: &ServerReport| report.state != ServerState::Drained;
    if !group.report(Instant::now()).iter().any(is_open) {
        let name = &group.options().name;
        let warning = format!("no server of upstream `{name}` is left to be asked");
        diagnostic::warn(format_args!("`tidegate upstream`: {warning}"));
        text.push_str(&format!("warning: {warning}\n"));
    }
    ControlReply {
        status: Status::OK,
        json: json!({ "message": text.trim_end() }),
        text,
    }
}

fn not_found(upstreams: &[Arc<Group>], server: &str) -> ControlReply {
    let now = Instant::now();
    let of_group = |group: &Arc<Group>| {
        let name = group.options().name.clone();
        let servers = group.report(now).into_iter();
        servers.map(move |server| format!("{name}/{}", server.address))
    };
    let known: Vec<String> = upstreams.iter().flat_map(of_group).collect();
    let known = if known.is_empty() {
        "the running configuration has none".to_owned()
    } else {
        format!("there are {}", known.join(", "))
    };
    let text = format!("error: there is no server `{server}`; {known}\n");
    ControlReply {
        status: Status::NOT_FOUND,
        json: json!({ "error": text.trim_end() }),
        text,
    }
}
