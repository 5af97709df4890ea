//! How long files are fresh, by their paths and kinds.

use super::file_pattern::FilePattern;

/// One entry of `expires`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Expiry {
    pub(crate) class: FileClass,
    /// The time and the directives, as they stand in the file.
    pub(crate) written: String,
    /// The value of `Cache-Control` that they stand for.
    pub(crate) value: String,
}

/// Some of the files beneath a root. In kinds and media types the case of letters means nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FileClass {
    /// Files whose paths match: `*.css`, `assets/**`.
    Paths(FilePattern),
    /// Files with this name or extension, and files whose media type has this as its type or its subtype:
    /// `html`, `tar.gz`, `LICENSE`, `image`, `svg+xml`.
    Kind(String),
    /// Files of this media type: `text/html`. It may also be the path of a file in a directory `text`.
    MediaType(String),
}

impl FileClass {
    /// How it is written in the file.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Paths(pattern) => pattern.as_str(),
            Self::Kind(text) | Self::MediaType(text) => text,
        }
    }

    /// Whether the file at `path`, which has no slash at its start, is one of them.
    pub(crate) fn has(&self, path: &[u8], media_type: &str) -> bool {
        let essence = media_type.split(';').next().unwrap_or(media_type).trim();
        match self {
            Self::Paths(pattern) => pattern.matches(path),
            Self::Kind(kind) => {
                let name = path.rsplit(|octet| *octet == b'/').next().unwrap_or(path);
                let mut types = essence.split('/');
                is_name_or_extension(name, kind.as_bytes())
                    || types.any(|part| part.eq_ignore_ascii_case(kind))
            }
            Self::MediaType(text) => essence.eq_ignore_ascii_case(text) || path == text.as_bytes(),
        }
    }

    /// Whether these are the same files, written in other letters.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Kind(one), Self::Kind(other))
            | (Self::MediaType(one), Self::MediaType(other)) => one.eq_ignore_ascii_case(other),
            _ => self == other,
        }
    }
}

/// Whether `name` is `kind`, or ends with a dot and `kind`.
fn is_name_or_extension(name: &[u8], kind: &[u8]) -> bool {
    let Some(start) = name.len().checked_sub(kind.len()) else {
        return false;
    };
    let (before, end) = name.split_at(start);
    end.eq_ignore_ascii_case(kind) && matches!(before, [] | [.., b'.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_has(class: &FileClass, path: &str, media_type: &str, expected: bool) {
        let has = class.has(path.as_bytes(), media_type);
        assert_eq!(has, expected, "{} {path}", class.as_str());
    }

    #[test]
    fn a_kind_is_a_name_an_extension_or_a_part_of_the_media_type() {
        for (kind, path, media_type, expected) in [
            ("html", "a/index.html", "text/html; charset=utf-8", true),
            ("html", "a.htm", "text/html", true),
            ("html", ".html", "application/octet-stream", true),
            ("js", "app.JS", "text/javascript", true),
            ("image", "a.b/c.png", "image/png", true),
            ("svg+xml", "a.svg", "image/svg+xml", true),
            ("tar.gz", "a-1.tar.gz", "application/gzip", true),
            ("tar.gz", "a.gz", "application/gzip", false),
            ("LICENSE", "a/LICENSE", "application/octet-stream", true),
            ("LICENSE", "MY_LICENSE", "application/octet-stream", false),
            ("png", "png", "application/octet-stream", true),
            ("png", "png/a", "application/octet-stream", false),
            ("htm", "a.html", "text/html", false),
            ("css", "a.css.txt", "text/plain", false),
            ("css", "acss", "text/plain", false),
        ] {
            assert_has(
                &FileClass::Kind(kind.to_owned()),
                path,
                media_type,
                expected,
            );
        }
    }

    #[test]
    fn a_media_type_is_compared_as_a_whole() {
        for (text, path, media_type, expected) in [
            ("text/html", "a.htm", "text/html; charset=utf-8", true),
            ("TEXT/HTML", "a.htm", "text/html", true),
            ("text/html", "a.txt", "text/plain", false),
            ("text/html", "a.html", "application/html", false),
            ("text/readme.txt", "text/readme.txt", "text/plain", true),
            ("text/readme.txt", "text/README.txt", "text/plain", false),
        ] {
            assert_has(
                &FileClass::MediaType(text.to_owned()),
                path,
                media_type,
                expected,
            );
        }
    }
}
