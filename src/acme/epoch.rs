//! Moments as records keep them: in seconds since 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The moment so many seconds after the beginning of 1970.
pub(super) fn moment(seconds: u64) -> SystemTime {
    // Only a damaged file holds a number that no calendar has.
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    time.unwrap_or(UNIX_EPOCH)
}

/// The whole seconds between the beginning of 1970 and `time`; 0 for what was before.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
