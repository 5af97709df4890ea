//! Reads how often: `10/m`, and by what requests are counted.

use std::time::Duration;

use super::units::{parse_duration, show_duration};
use crate::config::complaint::fault::Fault;
use crate::config::model::RateKey;
use crate::http::fields::is_token;

/// Requests of a rate. More in a period are more likely a slip.
const REQUESTS: std::ops::RangeInclusive<u32> = 1..=1_000_000;

/// A period is told to clients in whole seconds.
const PERIOD: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);

const RATE_HELP: &str = "a rate is written \"10/s\", \"100/m\", \"1000/h\", \"5000/d\", or \"5/10s\" for any other time";
const KEY_HELP: &str = "write \"client\", \"path\", \"host\", \"header NAME\" or \"cookie NAME\"";

/// Reads how many requests may be made in which time.
pub(crate) fn parse_rate(text: &str) -> Result<(u32, Duration), Fault> {
    let whole = 0..text.len();
    let Some((count, period)) = text.split_once('/') else {
        let message = "it is not said in which time";
        return Err(Fault::new(whole, message).help(RATE_HELP));
    };
    let number = count.trim();
    let is_number = !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit());
    if !is_number {
        let message = "expected a whole number of requests";
        return Err(Fault::new(0..count.len(), message).help(RATE_HELP));
    }
    let requests = number.parse().ok().filter(|count| REQUESTS.contains(count));
    let Some(requests) = requests else {
        let (low, high) = (REQUESTS.start(), REQUESTS.end());
        let message = format!("the requests must be from {low} to {high}");
        let fault = Fault::new(0..count.len(), message);
        return Err(match number.trim_start_matches('0') {
            "" => fault.help("`deny = \"all\"` answers no client"),
            _ => fault,
        });
    };
    Ok((requests, parse_period(period, count.len() + 1)?))
}

/// Reads a unit of time, or a duration, which begins at `offset` of what the operator wrote.
fn parse_period(text: &str, offset: usize) -> Result<Duration, Fault> {
    let unit = text.trim();
    let written = match unit {
        "s" | "m" | "h" | "d" => format!("1{unit}"),
        _ => unit.to_owned(),
    };
    let range = offset..offset + text.len();
    let is_whole = |period: &Duration| period.subsec_nanos() == 0 && PERIOD.contains(period);
    match parse_duration(&written) {
        Ok(period) if is_whole(&period) => Ok(period),
        Ok(_) => {
            let message = "the time must be whole seconds, from 1s to 1d";
            Err(Fault::new(range, message).help(RATE_HELP))
        }
        Err(_) => {
            let message = format!("`{}` is no time", unit.escape_debug());
            Err(Fault::new(range, message).help(RATE_HELP))
        }
    }
}

/// A rate as an operator would write it.
pub(crate) fn show_rate(requests: u32, period: Duration) -> String {
    let period = show_duration(period);
    let unit = match period.as_str() {
        "1s" | "1m" | "1h" | "1d" => &period[1..],
        _ => &period,
    };
    format!("{requests}/{unit}")
}

/// Reads one of the parts of what requests are counted by.
pub(crate) fn parse_rate_key(text: &str) -> Result<RateKey, Fault> {
    match text {
        "client" => return Ok(RateKey::Client),
        "path" => return Ok(RateKey::Path),
        "host" => return Ok(RateKey::Host),
        _ => {}
    }
    let (kind, name) = text.split_once(' ').unwrap_or((text, ""));
    match kind {
        "header" if is_token(name.as_bytes()) => Ok(RateKey::Header(name.to_owned())),
        "cookie" if is_token(name.as_bytes()) => Ok(RateKey::Cookie(name.to_owned())),
        "header" | "cookie" if name.is_empty() => {
            let message = format!("the name of the {kind} is missing");
            Err(Fault::new(0..text.len(), message).help(KEY_HELP))
        }
        "header" | "cookie" => {
            let message = format!("`{}` is not the name of a {kind}", name.escape_debug());
            Err(Fault::new(kind.len() + 1..text.len(), message).help(KEY_HELP))
        }
        _ => {
            let message = format!(
                "`{}` is nothing that requests can be counted by",
                text.escape_debug()
            );
            Err(Fault::new(0..text.len(), message).help(KEY_HELP))
        }
    }
}

/// Reads the name of a rate. Clients are told it in a quoted string.
pub(crate) fn parse_rate_name(name: &str) -> Result<String, Fault> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.chars().all(is_of_name) {
        return Ok(name.to_owned());
    }
    let message = format!("`{}` cannot be the name of a rate", name.escape_debug());
    let help = "a name is letters, digits, `-`, `_` and `.`";
    Err(Fault::new(0..name.len(), message).help(help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::complaint::fault::assert_faults;

    #[test]
    fn reads_rates() {
        for (text, requests, seconds, shown) in [
            ("10/s", 10, 1, "10/s"),
            ("100/m", 100, 60, "100/m"),
            (" 1 / h ", 1, 3600, "1/h"),
            ("5000/1d", 5000, 86_400, "5000/d"),
            ("5/10s", 5, 10, "5/10s"),
            ("5/1m 30s", 5, 90, "5/1m 30s"),
        ] {
            let rate = parse_rate(text).expect(text);
            assert_eq!(rate, (requests, Duration::from_secs(seconds)), "{text}");
            assert_eq!(show_rate(rate.0, rate.1), shown);
        }
    }

    #[test]
    fn refuses_what_is_no_rate_and_says_where() {
        let cases = [
            ("", 0..0, "in which time"),
            ("10", 0..2, "in which time"),
            ("10r/s", 0..3, "whole number of requests"),
            ("/s", 0..0, "whole number of requests"),
            ("-1/s", 0..2, "whole number of requests"),
            ("0/s", 0..1, "from 1 to 1000000"),
            ("1000001/s", 0..7, "from 1 to 1000000"),
            ("99999999999/s", 0..11, "from 1 to 1000000"),
            ("10/", 3..3, "is no time"),
            ("10/week", 3..7, "is no time"),
            ("10/0s", 3..5, "whole seconds"),
            ("10/1500ms", 3..9, "whole seconds"),
            ("10/2d", 3..5, "whole seconds"),
        ];
        assert_faults(parse_rate, &cases);
    }

    #[test]
    fn reads_what_is_counted_by() {
        for (text, expected) in [
            ("client", RateKey::Client),
            ("path", RateKey::Path),
            ("host", RateKey::Host),
            ("header X-Api-Key", RateKey::Header("X-Api-Key".into())),
            ("cookie session", RateKey::Cookie("session".into())),
        ] {
            assert_eq!(parse_rate_key(text), Ok(expected.clone()));
            assert_eq!(expected.to_string(), text);
        }
        let cases = [
            ("", 0..0, "nothing that requests"),
            ("$binary_remote_addr", 0..19, "nothing that requests"),
            ("header", 0..6, "is missing"),
            ("cookie a b", 7..10, "not the name of a cookie"),
        ];
        assert_faults(parse_rate_key, &cases);
        assert_faults(
            parse_rate_name,
            &[
                ("a\"b", 0..3, "cannot be the name"),
                ("", 0..0, "cannot be"),
            ],
        );
        assert_eq!(parse_rate_name("a-b_c.1").as_deref(), Ok("a-b_c.1"));
    }
}
