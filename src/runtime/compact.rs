//! A duration in half the room of a [`Duration`].

use std::time::Duration;

/// A duration of whole nanoseconds in eight octets, for what thousands of connections hold. One of more than 584
/// years is taken for that long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CompactDuration(u64);

impl From<Duration> for CompactDuration {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<CompactDuration> for Duration {
    fn from(CompactDuration(nanoseconds): CompactDuration) -> Self {
        Self::from_nanos(nanoseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_comes_back_and_the_rest_is_long() {
        for duration in [
            Duration::ZERO,
            Duration::new(3600, 1),
            Duration::from_nanos(u64::MAX),
        ] {
            assert_eq!(Duration::from(CompactDuration::from(duration)), duration);
        }
        let longest = Duration::from(CompactDuration::from(Duration::MAX));
        assert_eq!(longest, Duration::from_nanos(u64::MAX));
        assert_eq!(size_of::<CompactDuration>(), 8);
    }
}
