//! Numbers as a narrow column shows them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::change::Quantile;

/// What stands where nothing is known.
pub(super) const UNKNOWN: &str = "–";

/// What has a unit of its own for every thousand.
const THOUSANDS: [&str; 5] = ["", "k", "M", "G", "T"];

/// A count: `0`, `12,345`, from ten millions on `12.3M`.
pub(super) fn count(count: u64) -> String {
    if count < 10_000_000 {
        return grouped(count);
    }
    let (value, unit) = scaled(count as f64);
    format!("{}{unit}", digits(value))
}

/// Something in a second: `0`, `0.04`, `1.5`, `123`, `12,345`, `123k`.
pub(super) fn rate(rate: f64) -> String {
    match rate {
        ..=0.0 => "0".to_owned(),
        ..0.095 => format!("{rate:.2}"),
        ..9.95 => format!("{rate:.1}"),
        ..99_999.5 => grouped(rate.round() as u64),
        _ => {
            let (value, unit) = scaled(rate);
            format!("{}{unit}", digits(value))
        }
    }
}

/// Octets: `0 B`, `612 kB`, `3.4 MB`.
pub(super) fn bytes(bytes: f64) -> String {
    let (value, unit) = scaled(bytes);
    if unit.is_empty() {
        return format!("{value:.0} B");
    }
    format!("{} {unit}B", digits(value))
}

/// A share of one: `34 %`.
pub(super) fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

/// A duration: `90 µs`, `1.2 ms`, `123 ms`, `1.5 s`, `12 min`.
pub(super) fn duration(microseconds: f64) -> String {
    match microseconds {
        ..999.5 => format!("{microseconds:.0} µs"),
        ..999_500.0 => format!("{} ms", digits(microseconds / 1e3)),
        ..99_500_000.0 => format!("{} s", digits(microseconds / 1e6)),
        _ => format!("{:.0} min", microseconds / 6e7),
    }
}

/// How long an exchange took. One that was answered within a turn of the event loop counts as 0.
pub(super) fn taken(microseconds: u64) -> String {
    if microseconds == 0 {
        return "<1 ms".to_owned();
    }
    duration(microseconds as f64)
}

pub(super) fn quantile(quantile: Quantile) -> String {
    match quantile {
        Quantile::None => UNKNOWN.to_owned(),
        Quantile::At(microseconds) => duration(microseconds),
        Quantile::Beyond(bound) => format!("> {}", duration(bound as f64)),
    }
}

/// How long something has been: `12 s`, `5 min 3 s`, `2 h 46 min`, `3 d 4 h`.
pub(super) fn age(milliseconds: i64) -> String {
    let seconds = milliseconds.max(0) / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// A moment as a clock of `zone` shows it; with its date if that is not the date of `now_ms`.
pub(super) fn clock(time_ms: i64, now_ms: i64, zone: &TimeZone) -> String {
    let zoned = |time| Timestamp::from_millisecond(time).map(|time| time.to_zoned(zone.clone()));
    let (Ok(time), Ok(now)) = (zoned(time_ms), zoned(now_ms)) else {
        return UNKNOWN.to_owned();
    };
    let form = if time.date() == now.date() {
        "%H:%M:%S"
    } else {
        "%m-%d %H:%M:%S"
    };
    time.strftime(form).to_string()
}

/// A number of at most three digits, and what it has to be multiplied by.
fn scaled(mut value: f64) -> (f64, &'static str) {
    let mut units = THOUSANDS.iter().peekable();
    let mut unit = "";
    while let Some(next) = units.next() {
        unit = next;
        if value < 999.5 || units.peek().is_none() {
            break;
        }
        value /= 1000.0;
    }
    (value, unit)
}

/// Two significant digits, or all that stand before the point.
fn digits(value: f64) -> String {
    if value < 9.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// A number with a comma before each three digits.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas_until_they_are_too_long() {
        for (value, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (9_999_999, "9,999,999"),
            (12_345_678, "12M"),
            (1_234_567_890, "1.2G"),
        ] {
            assert_eq!(count(value), text);
        }
    }

    #[test]
    fn rates_keep_what_can_be_read_of_them() {
        for (value, text) in [
            (0.0, "0"),
            (0.02, "0.02"),
            (1.5, "1.5"),
            (9.96, "10"),
            (12_345.4, "12,345"),
            (123_456.0, "123k"),
            (1_234_567.0, "1.2M"),
        ] {
            assert_eq!(rate(value), text);
        }
    }

    #[test]
    fn durations_and_octets_have_their_units() {
        for (value, text) in [
            (0.0, "0 µs"),
            (999.0, "999 µs"),
            (1_234.0, "1.2 ms"),
            (12_345.0, "12 ms"),
            (999_600.0, "1.0 s"),
            (12_000_000.0, "12 s"),
            (120_000_000.0, "2 min"),
        ] {
            assert_eq!(duration(value), text);
        }
        for (value, text) in [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (999.7, "1.0 kB"),
            (612_000.0, "612 kB"),
            (3_400_000.0, "3.4 MB"),
            (5e16, "50000 TB"),
        ] {
            assert_eq!(bytes(value), text);
        }
        assert_eq!((&*taken(0), &*taken(84)), ("<1 ms", "84 µs"));
        assert_eq!(quantile(Quantile::Beyond(10_000_000)), "> 10 s");
    }

    #[test]
    fn ages_have_two_parts() {
        for (seconds, text) in [
            (-5, "0 s"),
            (59, "59 s"),
            (303, "5 min 3 s"),
            (9_960, "2 h 46 min"),
            (273_600, "3 d 4 h"),
        ] {
            assert_eq!(age(seconds * 1000), text);
        }
    }

    #[test]
    fn a_moment_of_another_day_has_its_date() {
        let now = 1_764_244_800_000; // 2025-11-27 12:00:00
        let shown = |time| clock(time, now, &TimeZone::UTC);
        assert_eq!(shown(now - 1_000), "11:59:59");
        assert_eq!(shown(now - 86_400_000), "11-26 12:00:00");
        assert_eq!(shown(i64::MAX), UNKNOWN);
    }
}
