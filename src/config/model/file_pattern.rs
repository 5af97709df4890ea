//! A pattern over the paths of files beneath a root, as `cache_control` has it.
//!
//! `*` stands for any run of octets within a segment, `**` for any run across segments, `?` for one
//! octet of a segment. A pattern without a slash is compared with the last segment: `*.css` in any
//! directory.
//!
//! Clients choose the paths, so a comparison must take time in proportion to the length of the path.
//! The package `regex` promises that for every expression.

use std::fmt;
use std::hash::{Hash, Hasher};

use regex::bytes::{Regex, RegexBuilder};

/// A pattern as written, and the expression that was made of it. Patterns are equal if they are
/// written alike.
#[derive(Clone, Debug)]
pub(crate) struct FilePattern {
    written: String,
    expression: Regex,
}

impl FilePattern {
    /// The pattern that `written` stands for; `None` if its expression is too large to be compiled.
    pub(crate) fn new(written: &str) -> Option<Self> {
        let expression = RegexBuilder::new(&expression(written))
            .unicode(false)
            .dot_matches_new_line(true)
            .build();
        Some(Self {
            written: written.to_owned(),
            expression: expression.ok()?,
        })
    }

    /// The pattern as it stands in the file.
    pub(crate) fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether the pattern matches `path`, which has no slash at its start.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        let is_of_names = !self.written.contains('/') && self.written != "**";
        let name = path.rsplit(|byte| *byte == b'/').next();
        let compared = if is_of_names { name } else { None };
        self.expression.is_match(compared.unwrap_or(path))
    }
}

/// The regular expression for the pattern `written`.
fn expression(written: &str) -> String {
    let mut expression = String::from("^");
    let mut rest = written;
    while let Some(first) = rest.chars().next() {
        // `a/**/b` matches `a/b` too.
        let (translated, length) = if rest.starts_with("**/") {
            ("(?:.*/)?", 3)
        } else if rest.starts_with("**") {
            (".*", 2)
        } else if first == '*' {
            ("[^/]*", 1)
        } else if first == '?' {
            ("[^/]", 1)
        } else {
            expression.push_str(&regex::escape(first.encode_utf8(&mut [0; 4])));
            rest = &rest[first.len_utf8()..];
            continue;
        };
        expression.push_str(translated);
        rest = &rest[length..];
    }
    expression.push('$');
    expression
}

impl PartialEq for FilePattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for FilePattern {}

impl Hash for FilePattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.written.hash(state);
    }
}

impl fmt::Display for FilePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::FilePattern;

    #[test]
    fn patterns_match() {
        for (pattern, path, expected) in [
            ("*.css", "a.css", true),
            ("*.css", "deep/er/a.css", true),
            ("*.css", "a.css.map", false),
            ("*.css", "acss", false),
            ("a?.js", "a1.js", true),
            ("a?.js", "a.js", false),
            ("a?.js", "a/.js", false),
            ("assets/*", "assets/a.js", true),
            ("assets/*", "assets/sub/a.js", false),
            ("assets/**", "assets/sub/a.js", true),
            ("assets/**", "assets/a.js", true),
            ("assets/**", "other/a.js", false),
            ("assets/**.js", "assets/x/y.js", true),
            ("**/v1/*.js", "v1/a.js", true),
            ("**/v1/*.js", "x/y/v1/a.js", true),
            ("**/v1/*.js", "xv1/a.js", false),
            ("**", "anything/at/all", true),
            ("*", "x/y", true),
            ("*", "line\nfeed", true),
            ("index.html", "docs/index.html", true),
            ("[id](x)+.js", "[id](x)+.js", true),
            ("[id].js", "i.js", false),
            ("caf\u{e9}*", "caf\u{e9}.html", true),
        ] {
            let matches = FilePattern::new(pattern).map(|it| it.matches(path.as_bytes()));
            assert_eq!(matches, Some(expected), "{pattern} {path}");
        }
        let any = FilePattern::new("?*").expect("a pattern");
        assert!(any.matches(b"\xff\xfe"), "names need not be UTF-8");
    }

    /// `*-*-*-*-*.js` once took time that doubled with each `-` of a name, and held up a worker for
    /// more than a minute. If a comparison were still exponential, this test would not end.
    #[test]
    fn many_stars_and_a_long_name_take_no_time() {
        let name = "-".repeat(4000);
        for pattern in [
            "*-*-*-*-*.js".to_owned(),
            "**-**-**-**-**.js".to_owned(),
            "**/-*/**/*-*.js".to_owned(),
            format!("{}x", "*-".repeat(60)),
            format!("{}x", "*".repeat(200)),
            format!("{}x", "**/".repeat(60)),
        ] {
            let pattern = FilePattern::new(&pattern).expect("a pattern");
            assert!(!pattern.matches(name.as_bytes()), "{pattern}");
            assert!(!pattern.matches("-/".repeat(2000).as_bytes()), "{pattern}");
        }
    }
}
