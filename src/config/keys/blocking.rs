//! `blocking`: the pool of threads for handlers that may wait. The threads for looks at the disk are as many as
//! [`Pools`](crate::runtime::Pools) says.

use std::ops::RangeInclusive;

use super::setting::{Kind, Setting, Table, rows, set, show, walk};
use crate::config::model::{Blocking, Config};
use crate::config::tree::node::Node;
use crate::config::words::written;

pub(super) const THREADS: RangeInclusive<u64> = 1..=1024;
const QUEUE: RangeInclusive<u64> = 1..=1_000_000;

/// The key of the table at the top of the file.
pub(super) const BLOCKING: Setting<Config> = Setting {
    key: "blocking",
    kind: Kind::Table(&TABLE),
    about: "the threads of handlers that may wait",
    restart: true,
    read: |node, config| read(node, &mut config.blocking),
    show: |config| Some(written::inline(show(SETTINGS, &config.blocking))),
    ..Setting::BLANK
};

pub(super) const TABLE: Table = Table {
    title: "`blocking`",
    home: |_| "`blocking`".to_owned(),
    rows: || rows(SETTINGS),
};

const SETTINGS: &[Setting<Blocking>] = &[
    Setting {
        key: "threads",
        kind: Kind::integer(&THREADS),
        default: "32",
        about: "how many jobs may wait at once",
        read: |node, blocking| set(&mut blocking.threads, node.count(THREADS)),
        show: |blocking| Some(blocking.threads.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "queue",
        kind: Kind::integer(&QUEUE),
        default: "1024",
        about: "how many jobs may wait for a thread; past it, 503",
        read: |node, blocking| set(&mut blocking.queue, node.count(QUEUE)),
        show: |blocking| Some(blocking.queue.to_string()),
        ..Setting::BLANK
    },
];

/// Reads the sizes of the pool. A mistake leaves the default.
fn read(node: Node<'_>, blocking: &mut Blocking) -> Option<()> {
    let help = Some("write blocking = { threads = 32, queue = 1024 }".into());
    let mut section = node.section("`blocking`", help)?;
    walk(&mut section, SETTINGS, blocking);
    section.close();
    Some(())
}
