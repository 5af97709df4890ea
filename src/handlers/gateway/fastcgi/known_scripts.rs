//! Scripts that a worker has found a moment ago.
//!
//! A search costs five system calls, which a request for the same path a moment later need not repeat.
//! What was found is believed for as long as `files` believes its cache by default. It is only a name:
//! the application server opens the file itself, so a script that has changed runs as it is now, and
//! one that is gone is its 404. A path that leads to no script is not remembered: clients that guess would
//! fill the table, and a new script is found at once where there was none. Where an index or the fallback
//! has answered, it goes on to answer for the period, also if a script of that path comes meanwhile.

use std::time::{Duration, Instant};

use super::script::Script;
use crate::handlers::files::{BorrowedKey, Key, Table};

/// How long a script that was found is believed to be there.
const PERIOD: Duration = Duration::from_secs(1);

/// What a worker's entries may weigh, in bytes. When it is more, all are forgotten, which costs one
/// search each: clients choose the paths, and a script takes any path-info.
const CAPACITY: usize = 256 * 1024;

/// What an entry weighs without its paths.
const ENTRY: usize = 192;

/// The scripts that a worker has found lately, for all its `fastcgi` routes.
#[derive(Default)]
pub(crate) struct KnownScripts {
    found: Table<Known>,
    weight: usize,
}

struct Known {
    script: Script,
    /// When the search began.
    at: Instant,
}

impl KnownScripts {
    /// The script that a search for `path` in `route` has found less than a [`PERIOD`] ago.
    pub(super) fn find(&self, route: u64, path: &[u8], now: Instant) -> Option<Script> {
        let handler = route;
        let known = self.found.get(&BorrowedKey { handler, path })?;
        (now.duration_since(known.at) < PERIOD).then(|| known.script.clone())
    }

    /// Remembers that a search for `path` in `route`, begun at `at`, has found `script`.
    pub(super) fn remember(&mut self, route: u64, path: &[u8], script: &Script, at: Instant) {
        let added = weigh(path, script);
        if self.weight + added > CAPACITY {
            *self = Self::default();
        }
        let script = script.clone();
        let before = self
            .found
            .insert(Key::new(route, path), Known { script, at });
        self.weight += added;
        self.weight -= before.map_or(0, |known| weigh(path, &known.script));
    }
}

fn weigh(path: &[u8], script: &Script) -> usize {
    let Script {
        path: file,
        name,
        path_info,
    } = script;
    ENTRY + path.len() + file.len() + name.len() + path_info.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(path: &str) -> Script {
        Script {
            path: path.into(),
            name: path.into(),
            path_info: b"/x".to_vec(),
        }
    }

    #[test]
    fn a_script_is_believed_for_a_period_on_its_route() {
        let (mut known, now) = (KnownScripts::default(), Instant::now());
        known.remember(1, b"/a.php/x", &script("/a.php"), now);
        let find = |route, path: &[u8], later| known.find(route, path, now + later);
        let found = find(1, b"/a.php/x", PERIOD - Duration::from_nanos(1));
        assert_eq!(found, Some(script("/a.php")));
        assert_eq!(find(1, b"/a.php/x", PERIOD), None, "too old");
        assert_eq!(find(2, b"/a.php/x", Duration::ZERO), None, "another route");
        assert_eq!(find(1, b"/a.php", Duration::ZERO), None, "another path");
    }

    #[test]
    fn remembers_no_more_than_fits() {
        let (mut known, now) = (KnownScripts::default(), Instant::now());
        for number in 0..1000 {
            let path = format!("/{number}{}", "x".repeat(2000));
            for _ in 0..2 {
                known.remember(1, path.as_bytes(), &script(&path), now);
                assert!(known.find(1, path.as_bytes(), now).is_some());
            }
            let weighed: usize = (known.found.iter())
                .map(|(key, known)| ENTRY + key.weight() + 2 * known.script.path.len() + 2)
                .sum();
            assert_eq!(known.weight, weighed);
            assert!(known.weight <= CAPACITY);
        }
    }
}
