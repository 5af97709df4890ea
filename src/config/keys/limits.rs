//! `limits`: every wait and every size, at the level where it can still be obeyed.
//!
//! A connection is counted before anything is read of it, so `max_connections` is the process's;
//! the head is read before its route is known, so a route limits content and waits alone.

use super::level::Level;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::vocabulary::explain;
use crate::config::model::Limits;
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
use crate::config::words::units::WAIT;
use crate::http::fields::FIELD_CAPACITY;

/// What `limits` at one level makes of what is inherited.
pub(super) fn refine_limits(section: &mut Section<'_>, level: Level, outer: &Limits) -> Limits {
    let mut limits = outer.clone();
    let help = "write limits = { max_content = \"1 MiB\" }".to_owned();
    let node = section.take("limits");
    let Some(mut section) = node.and_then(|node| node.section("`limits`", Some(help))) else {
        return limits;
    };
    refine_content(&mut section, &mut limits);
    if level != Level::Route {
        refine_head(&mut section, &mut limits);
    }
    if level == Level::Top {
        let count = section.count("max_connections", 1..=1_000_000);
        replace(&mut limits.max_connections, count);
    }
    warn_of_pointless_limits(&section, &limits);
    section.close(|key| explain_place(key, level).or_else(|| explain(key)));
    limits
}

fn refine_content(section: &mut Section<'_>, limits: &mut Limits) {
    let body_timeout = section.duration("body_timeout", WAIT);
    replace(&mut limits.body_timeout, body_timeout);
    let send_timeout = section.duration("send_timeout", WAIT);
    replace(&mut limits.send_timeout, send_timeout);
    let max_content = section.size("max_content", 0..=1 << 50);
    replace(&mut limits.max_content, max_content);
}

fn refine_head(section: &mut Section<'_>, limits: &mut Limits) {
    let head_timeout = section.duration("head_timeout", WAIT);
    replace(&mut limits.head_timeout, head_timeout);
    let idle_timeout = section.duration("idle_timeout", WAIT);
    replace(&mut limits.idle_timeout, idle_timeout);
    let max_head = section.size("max_head", 1024..=1024 * 1024);
    replace(
        &mut limits.max_head,
        max_head.and_then(|size| usize::try_from(size).ok()),
    );
    let max_fields = section.count("max_fields", 1..=FIELD_CAPACITY as u64);
    replace(&mut limits.max_fields, max_fields);
}

fn replace<T>(limit: &mut T, written: Option<T>) {
    if let Some(written) = written {
        *limit = written;
    }
}

/// Warns of what stands in `section` and is never reached, given the limits as they result.
fn warn_of_pointless_limits(section: &Section<'_>, limits: &Limits) {
    let most = most_fields(limits.max_head);
    let fields =
        format!("`max_fields` is never reached: `max_head` has room for {most} fields at most");
    let body = "`body_timeout` is never reached: `max_content` lets no content in".to_owned();
    let pointless = [
        ("max_fields", limits.max_fields > most, fields),
        ("body_timeout", limits.max_content == 0, body),
    ];
    for (key, is_pointless, message) in pointless {
        if let Some(node) = section.peek(key).filter(|_: &Node<'_>| is_pointless) {
            let diagnostic = Diagnostic::warning(message).at(node.spot(), "");
            node.cx.report(diagnostic);
        }
    }
}

/// How many field lines the smallest request of `max_head` bytes can have: the shortest one is a
/// letter, a colon and CRLF.
fn most_fields(max_head: usize) -> usize {
    const REQUEST_LINE_AND_END: usize = "GET / HTTP/1.1\r\n\r\n".len();
    const SHORTEST_FIELD_LINE: usize = "a:\r\n".len();
    max_head.saturating_sub(REQUEST_LINE_AND_END) / SHORTEST_FIELD_LINE
}

/// Why a limit that exists cannot stand at `level`.
fn explain_place(key: &str, level: Level) -> Option<String> {
    let reason = match (key, level) {
        ("max_connections", Level::Server | Level::Route) => {
            "connections are counted before anything is read of them: write it in `[limits]` at the top of the file"
        }
        ("head_timeout" | "idle_timeout" | "max_head" | "max_fields", Level::Route) => {
            "the head is read before its route is known: write it in `limits` of the server or at the top of the file"
        }
        _ => return None,
    };
    Some(reason.to_owned())
}
