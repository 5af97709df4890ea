//! Reads how fast: `2 MiB/s`.

use std::num::NonZeroU64;

use super::units::{parse_size, show_size};
use crate::config::complaint::fault::Fault;

/// The slowest pace: a response would hardly move.
const SLOWEST: u64 = 1024;

const PACE_HELP: &str = "a pace is written \"2 MiB/s\" or \"500 KB/s\"";

/// Reads octets a second.
pub(crate) fn parse_pace(text: &str) -> Result<NonZeroU64, Fault> {
    let whole = 0..text.len();
    let Some((size, _)) = text.rsplit_once('/').filter(|(_, unit)| unit.trim() == "s") else {
        return Err(Fault::new(whole, "a pace is a size for each second").help(PACE_HELP));
    };
    let octets = parse_size(size)?;
    match NonZeroU64::new(octets).filter(|octets| octets.get() >= SLOWEST) {
        Some(octets) => Ok(octets),
        None => {
            let slowest = show_size(SLOWEST);
            let message = format!("the pace must be at least {slowest}/s");
            Err(Fault::new(whole, message).help("for no limit write false, without quotes"))
        }
    }
}

/// A pace as an operator would write it.
pub(crate) fn show_pace(octets_a_second: NonZeroU64) -> String {
    format!("{}/s", show_size(octets_a_second.get()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::complaint::fault::assert_faults;

    #[test]
    fn reads_paces() {
        for (text, octets, shown) in [
            ("2 MiB/s", 2 << 20, "2 MiB/s"),
            ("500KB / s", 500_000, "500000 B/s"),
            ("1024/s", 1024, "1 KiB/s"),
        ] {
            let pace = parse_pace(text).expect(text);
            assert_eq!((pace.get(), show_pace(pace).as_str()), (octets, shown));
        }
        let cases = [
            ("2 MiB", 0..5, "for each second"),
            ("2 MiB/m", 0..7, "for each second"),
            ("1023/s", 0..6, "at least 1 KiB/s"),
            ("0/s", 0..3, "at least 1 KiB/s"),
            ("2 M/s", 2..3, "not a unit of size"),
        ];
        assert_faults(parse_pace, &cases);
    }
}
