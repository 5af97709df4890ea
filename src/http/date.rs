//! Dates in field values (RFC 9110 §5.6.7).
//!
//! A date is read in any of the three forms. It is written as an IMF-fixdate,
//! `Sun, 06 Nov 1994 08:49:37 GMT`, which is always 29 bytes. `httpdate` knows the calendar.

use std::fmt;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A date to the second, in the years 1970 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct HttpDate {
    /// At most [`LAST_SECOND`], beyond which `httpdate` panics.
    seconds_since_epoch: u64,
}

/// 9999-12-31 23:59:59, the last second with a year of four digits.
const LAST_SECOND: u64 = 253_402_300_799;

impl HttpDate {
    /// The length of every IMF-fixdate, in bytes.
    pub(crate) const LENGTH: usize = 29;

    /// Reads the date in a field value, in any of the three forms. White space around it does not
    /// matter.
    ///
    /// A weekday that is not that of the date counts for nothing: some clients reckon it wrongly, and
    /// the rest says which day is meant. Returns `None` for anything else: also for a year before 1970
    /// and for a leap second. A recipient ignores a condition with such a date. The year of two digits
    /// in an rfc850-date is taken as 1970 to 2069.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let text = str::from_utf8(value).ok()?.trim();
        let time = httpdate::parse_http_date(text).ok();
        let time = time.or_else(|| parse_with_another_weekday(text))?;
        Some(Self::from_system_time(time))
    }

    /// Returns the second in which `time` lies. A time before the first date, or after the last one,
    /// becomes that date.
    pub(crate) fn from_system_time(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            seconds_since_epoch: since_epoch.as_secs().min(LAST_SECOND),
        }
    }

    /// Returns the moment at which the second of the date begins.
    pub(crate) fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.seconds_since_epoch)
    }

    /// Writes the date as IMF-fixdate.
    pub(crate) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        write!(&mut bytes[..], "{self}").expect("an IMF-fixdate is 29 bytes long");
        bytes
    }
}

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// Parses a date whose weekday may be wrong: `httpdate` takes the right one alone.
#[cold]
fn parse_with_another_weekday(text: &str) -> Option<SystemTime> {
    let end = text.find(|c: char| !c.is_ascii_alphabetic())?;
    let (written, rest) = text.split_at(end);
    let is_long = WEEKDAYS.contains(&written);
    let names = WEEKDAYS.map(|name| if is_long { name } else { &name[..3] });
    if !names.contains(&written) {
        return None;
    }
    let dates = names.iter().map(|name| format!("{name}{rest}"));
    dates
        .filter_map(|date| httpdate::parse_http_date(&date).ok())
        .next()
}

/// IMF-fixdate.
impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = UNIX_EPOCH + Duration::from_secs(self.seconds_since_epoch);
        httpdate::HttpDate::from(time).fmt(f)
    }
}

/// The time in the library's form. A time that it does not know, which begins in the last days of the
/// year 9999, becomes the last one it knows: a clock that is wrong must not end the process.
pub(crate) fn timestamp(time: SystemTime) -> jiff::Timestamp {
    let beyond = if time < UNIX_EPOCH {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    };
    jiff::Timestamp::try_from(time).unwrap_or(beyond)
}

/// The time to the second, in ISO 8601: `2026-11-22T23:54:16Z`.
pub(crate) fn iso(time: SystemTime) -> String {
    timestamp(time).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `Sun, 06 Nov 1994 08:49:37 GMT`
    const EXAMPLE: HttpDate = HttpDate {
        seconds_since_epoch: 784_111_777,
    };

    #[test]
    fn reads_three_forms_and_nothing_else() {
        for (value, date) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(EXAMPLE)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(EXAMPLE)),
            ("Sun Nov  6 08:49:37 1994", Some(EXAMPLE)),
            (" Sun, 06 Nov 1994 08:49:37 GMT ", Some(EXAMPLE)),
            // It was a Sunday.
            ("Mon, 06 Nov 1994 08:49:37 GMT", Some(EXAMPLE)),
            ("Monday, 06-Nov-94 08:49:37 GMT", Some(EXAMPLE)),
            ("Sat Nov  6 08:49:37 1994", Some(EXAMPLE)),
            ("Day, 06 Nov 1994 08:49:37 GMT", None),
            ("Monday, 06 Nov 1994 08:49:37 GMT", None),
            ("Mon, 31 Nov 1994 08:49:37 GMT", None),
            ("Mon", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("Thu, 30 Feb 2023 08:49:37 GMT", None),
            ("Mon, 06 Nov 1893 08:49:37 GMT", None),
            ("784111777", None),
            ("", None),
        ] {
            assert_eq!(HttpDate::parse(value.as_bytes()), date, "{value:?}");
        }
    }

    #[test]
    fn writes_imf_fixdate() {
        assert_eq!(&EXAMPLE.to_bytes(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(EXAMPLE.to_string(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn a_time_out_of_reach_becomes_the_nearest_date() {
        let second = Duration::from_secs(1);
        for (time, written) in [
            (UNIX_EPOCH - second, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (UNIX_EPOCH + second / 2, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (
                UNIX_EPOCH + second * u32::MAX * 100,
                "Fri, 31 Dec 9999 23:59:59 GMT",
            ),
        ] {
            assert_eq!(HttpDate::from_system_time(time).to_string(), written);
        }
    }

    /// A machine whose clock stood there did not start: the library panics where it has no such time.
    #[test]
    fn any_clock_can_be_written() {
        let second = Duration::from_secs(1);
        for (time, written) in [
            (UNIX_EPOCH, "1970-01-01T00:00:00Z"),
            (UNIX_EPOCH - second, "1969-12-31T23:59:59Z"),
            (UNIX_EPOCH + second * u32::MAX * 100, "9999-12-30T22:00:00Z"),
        ] {
            assert_eq!(iso(time), written);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds_since_epoch in 0..=LAST_SECOND) {
            let date = HttpDate { seconds_since_epoch };
            prop_assert_eq!(HttpDate::parse(&date.to_bytes()), Some(date));
        }

        #[test]
        fn any_bytes_are_a_date_or_none(value in "[A-Z][a-z]{2},? [0-9A-Za-z :,-]{10,30}") {
            let _ = HttpDate::parse(value.as_bytes());
        }
    }
}
