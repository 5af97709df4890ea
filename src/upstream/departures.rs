//! Tells when a server leaves the list of an upstream. A tunnel to it has to end then, and its task would
//! not look before the next octet moves.

use std::fmt;
use std::sync::OnceLock;

/// Called on the thread that has replaced the list.
type Teller = Box<dyn Fn() + Send + Sync>;

/// What is called when a server has left the list of one upstream, in whichever generation.
#[derive(Default)]
pub(super) struct Departures(OnceLock<Teller>);

impl Departures {
    /// Has `teller` called from now on, unless the upstream has a teller already.
    pub(super) fn tell_by(&self, teller: impl Fn() + Send + Sync + 'static) {
        // A supervisor says the same for each generation that has the upstream.
        let _ = self.0.set(Box::new(teller));
    }

    /// Says that a server has left.
    pub(super) fn tell(&self) {
        if let Some(teller) = self.0.get() {
            teller();
        }
    }
}

impl fmt::Debug for Departures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Departures")
    }
}
