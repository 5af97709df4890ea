//! The buffers that all sessions of a thread share: a session that is idle has none.

use std::cell::RefCell;

use super::records::{FULL, MAX_RECORD, OVERHEAD};

/// The most octets of content that are encrypted for one call of the system.
pub(super) const SHARE: usize = 128 * 1024;

/// As many for a call while a response begins: with what encryption adds, that is one segment for the
/// system, which has 64 KiB at most. Where the congestion control spreads octets over time, as BBR does,
/// the system may send a second segment of the same call from a timer, and that costs more than a
/// further call.
const FIRST_SHARE: usize = 60 * 1024;

/// The most octets of content that wait for more to go with them.
pub(super) const MAX_HELD: usize = 16 * 1024;

/// The most octets of records that wait to be sent before those of new content.
pub(super) const MAX_BEFORE: usize = 4 * 1024;

/// How many octets of content are encrypted for the next call, at most, where `sent` octets of the
/// response are sent already.
pub(super) fn next_share(sent: usize) -> usize {
    if sent < SHARE { FIRST_SHARE } else { SHARE }
}

/// What a thread's sessions work in. Nothing stays in it between two calls.
pub(super) struct Buffers {
    /// What was read from a socket, behind the beginning of a record that was read before.
    pub(super) incoming: Box<[u8]>,
    /// Content that is put together before it is encrypted.
    pub(super) plain: Box<[u8]>,
    pub(super) outgoing: Outgoing,
}

/// Records that are to be sent.
pub(super) struct Outgoing {
    octets: Box<[u8]>,
    filled: usize,
}

impl Buffers {
    fn new() -> Self {
        let records = (MAX_HELD + SHARE) / FULL + 8;
        Self {
            incoming: vec![0; MAX_RECORD + SHARE + MAX_RECORD].into(),
            plain: vec![0; MAX_HELD + SHARE].into(),
            outgoing: Outgoing {
                octets: vec![0; MAX_BEFORE + MAX_HELD + SHARE + records * OVERHEAD].into(),
                filled: 0,
            },
        }
    }
}

impl Outgoing {
    /// Drops what it holds, and begins with `octets`.
    pub(super) fn begin_with(&mut self, octets: &[u8]) {
        self.filled = 0;
        self.push(octets);
    }

    pub(super) fn push(&mut self, octets: &[u8]) {
        self.room()[..octets.len()].copy_from_slice(octets);
        self.filled += octets.len();
    }

    /// The octets behind those that it holds. Who writes there says so to [`grow`](Self::grow).
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.octets[self.filled..]
    }

    pub(super) fn grow(&mut self, count: usize) {
        self.filled += count;
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.octets[..self.filled]
    }
}

thread_local! {
    static BUFFERS: RefCell<Option<Box<Buffers>>> = const { RefCell::new(None) };
}

/// Calls `use_them` with the buffers of this thread, which are made for its first session.
pub(super) fn with<T>(use_them: impl FnOnce(&mut Buffers) -> T) -> T {
    BUFFERS.with_borrow_mut(|buffers| {
        use_them(buffers.get_or_insert_with(|| Box::new(Buffers::new())))
    })
}
