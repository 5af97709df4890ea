//! `blocking`: the pool for whatever may wait.

use crate::config::complaint::vocabulary::explain;
use crate::config::model::Blocking;
use crate::config::tree::node::Node;

/// The sizes of the pool; where there is a mistake, the default.
pub(super) fn blocking(node: Node<'_>) -> Blocking {
    let default = Blocking::default();
    let help = Some("write blocking = { threads = 32, queue = 1024 }".into());
    let Some(mut section) = node.section("`blocking`", help) else {
        return default;
    };
    let blocking = Blocking {
        threads: section
            .count("threads", 1..=1024)
            .unwrap_or(default.threads),
        queue: section
            .count("queue", 1..=1_000_000)
            .unwrap_or(default.queue),
    };
    section.close(explain);
    blocking
}
