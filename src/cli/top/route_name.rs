//! The name of a route as a person writes it in the configuration file: `/grüße` for the key `/gr%C3%BC%C3%9Fe`.

use percent_encoding::percent_decode_str;

use crate::log::line::is_format;

/// The key of a route with its letters decoded. What would mean something else in the file, or cannot be seen, or is no
/// UTF-8, stays encoded: the text is safe to show, and means the same route.
pub(super) fn readable(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    let mut rest = key;
    while let Some(at) = rest.find('%') {
        let (before, encoded) = rest.split_at(at);
        name.push_str(before);
        let (run, after) = encoded.split_at(encoded_length(encoded));
        name.push_str(&decoded(run));
        rest = after;
    }
    name + rest
}

/// How many octets at the beginning of `text`, which begins with `%`, are percent-encoded; 1 if none are.
fn encoded_length(text: &str) -> usize {
    let is_encoded = |part: &&[u8]| {
        let digits = part.strip_prefix(b"%").unwrap_or_default();
        digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit)
    };
    let parts = text.as_bytes().chunks(3).take_while(is_encoded);
    (3 * parts.count()).max(1)
}

fn decoded(run: &str) -> String {
    let Ok(text) = percent_decode_str(run).decode_utf8() else {
        return run.to_owned();
    };
    let mut name = String::new();
    // A `%` that stands alone encodes nothing.
    let is_encoded = run.len() > 1;
    for character in text.chars() {
        if is_encoded && stays_encoded(character) {
            let mut octets = [0; 4];
            let octets = character.encode_utf8(&mut octets).bytes();
            name.extend(octets.map(percent_encoding::percent_encode_byte));
        } else {
            name.push(character);
        }
    }
    name
}

fn stays_encoded(character: char) -> bool {
    let has_meaning = matches!(character, '%' | '/' | '?' | '#' | '{' | '}');
    has_meaning || character.is_whitespace() || character.is_control() || is_format(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_decoded_and_all_else_stays() {
        for (key, expected) in [
            ("GET /gr%C3%BC%C3%9Fe/{id}", "GET /grüße/{id}"),
            ("/%E6%97%A5%E6%9C%AC%3A1", "/日本:1"),
            ("/a%2Fb%20c%25%7Bd%7D%3F%23", "/a%2Fb%20c%25%7Bd%7D%3F%23"),
            ("/%1B%5B2J%C2%9B%0A", "/%1B[2J%C2%9B%0A"),
            ("/%E2%80%AEgnp%C2%A0", "/%E2%80%AEgnp%C2%A0"),
            ("/%FF%C3%BC", "/%FF%C3%BC"),
            ("/100%", "/100%"),
            ("/%zz%C3%BC%4", "/%zzü%4"),
            ("", ""),
        ] {
            assert_eq!(readable(key), expected);
        }
    }
}
