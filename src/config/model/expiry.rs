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

/// Some of the files beneath a root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FileClass {
    /// Those whose paths match: `*.css`, `assets/**`.
    Paths(FilePattern),
    /// Those whose names end so, or whose media type has this as its type or its subtype: `html`, `image`.
    Kind(String),
}

impl FileClass {
    /// How it is written in the file.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Paths(pattern) => pattern.as_str(),
            Self::Kind(kind) => kind,
        }
    }

    /// Whether the file at `path`, which has no slash at its start, is one of them.
    pub(crate) fn has(&self, path: &[u8], media_type: &str) -> bool {
        let kind = match self {
            Self::Paths(pattern) => return pattern.matches(path),
            Self::Kind(kind) => kind,
        };
        let name = path.rsplit(|octet| *octet == b'/').next().unwrap_or(path);
        let mut parts = name.rsplit(|octet| *octet == b'.');
        let extension = parts.next().filter(|_| parts.next().is_some());
        let essence = media_type.split(';').next().unwrap_or(media_type);
        let mut types = essence.trim().split('/');
        extension.is_some_and(|extension| extension.eq_ignore_ascii_case(kind.as_bytes()))
            || types.any(|part| part.eq_ignore_ascii_case(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_an_extension_or_a_part_of_the_media_type() {
        for (kind, path, media_type, is_one) in [
            ("html", "a/index.html", "text/html; charset=utf-8", true),
            ("html", "a.htm", "text/html", true),
            ("js", "app.JS", "text/javascript", true),
            ("image", "a.b/c.png", "image/png", true),
            ("png", "png", "application/octet-stream", false),
            ("htm", "a.html", "text/html", false),
            ("css", "a.css.txt", "text/plain", false),
        ] {
            let class = FileClass::Kind(kind.to_owned());
            assert_eq!(
                class.has(path.as_bytes(), media_type),
                is_one,
                "{kind} {path}"
            );
        }
    }
}
