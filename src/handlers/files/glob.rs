//! The patterns of `cache_control`, over the path beneath the root.
//!
//! `*` stands for any run of octets within a segment, `**` for any run across segments, `?` for one
//! octet of a segment. A pattern without a slash is compared with the last segment: `*.css` in any
//! directory.

/// Whether `pattern` matches `path`, which has no slash at its start.
pub(super) fn matches(pattern: &[u8], path: &[u8]) -> bool {
    if pattern.contains(&b'/') || pattern == b"**" {
        return matches_from(pattern.strip_prefix(b"/").unwrap_or(pattern), path);
    }
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    matches_from(pattern, name)
}

fn matches_from(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        // `a/**/b` matches `a/b` too.
        ([b'*', b'*', b'/', rest @ ..], _) => {
            matches_from(rest, text) || next_segments(text).any(|text| matches_from(rest, text))
        }
        ([b'*', b'*', rest @ ..], _) => {
            (0..=text.len()).any(|start| matches_from(rest, &text[start..]))
        }
        ([b'*', rest @ ..], _) => {
            let segment = text
                .iter()
                .position(|byte| *byte == b'/')
                .unwrap_or(text.len());
            (0..=segment).any(|start| matches_from(rest, &text[start..]))
        }
        ([b'?', rest @ ..], [byte, text @ ..]) => *byte != b'/' && matches_from(rest, text),
        ([wanted, rest @ ..], [byte, text @ ..]) => wanted == byte && matches_from(rest, text),
        ([], []) => true,
        _ => false,
    }
}

/// What follows each slash of `text`.
fn next_segments(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'/')
        .map(|(slash, _)| &text[slash + 1..])
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match() {
        for (pattern, path, expected) in [
            ("*.css", "a.css", true),
            ("*.css", "deep/er/a.css", true),
            ("*.css", "a.css.map", false),
            ("a?.js", "a1.js", true),
            ("a?.js", "a.js", false),
            ("assets/*", "assets/a.js", true),
            ("assets/*", "assets/sub/a.js", false),
            ("assets/**", "assets/sub/a.js", true),
            ("/assets/**", "assets/a.js", true),
            ("assets/**", "other/a.js", false),
            ("**/v1/*.js", "v1/a.js", true),
            ("**/v1/*.js", "x/y/v1/a.js", true),
            ("**", "anything/at/all", true),
            ("*", "x/y", true),
            ("index.html", "docs/index.html", true),
            ("/index.html", "docs/index.html", false),
            ("", "a", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), path.as_bytes()),
                expected,
                "{pattern} {path}"
            );
        }
    }
}
