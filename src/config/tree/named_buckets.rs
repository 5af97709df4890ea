//! The buckets of a rate, and where the configuration says how many there are.

use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::model::Bucket;

/// Octets that each key takes.
const SIZE_OF_KEY: usize = 17;

/// The buckets of a rate. They are made when the whole configuration has been checked.
#[derive(Clone, Debug)]
pub(crate) struct NamedBuckets {
    pub(crate) rate: String,
    pub(crate) options: Bucket,
    pub(crate) spot: Spot,
}

impl NamedBuckets {
    /// The diagnostic for buckets for which the system gives no memory.
    pub(crate) fn lack_memory(&self) -> Diagnostic {
        let size = (self.options.max_keys * SIZE_OF_KEY).div_ceil(1_000_000);
        let message = format!(
            "the system does not give the {size} MB of memory for the keys of the rate `{}`",
            self.rate
        );
        let help = "write a smaller max_keys, or let the server have more memory";
        let error = Diagnostic::error(message).at(self.spot.clone(), "");
        error.help(help.to_owned())
    }
}
