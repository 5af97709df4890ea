//! The three forms in which the server itself says something: a page, an object, plain text.

use crate::http::negotiation;

/// A form of a listing or of an error answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    Html,
    Json,
    Text,
}

impl Format {
    const ALL: [Self; 3] = [Self::Html, Self::Json, Self::Text];

    /// How many forms there are.
    pub(crate) const COUNT: usize = Self::ALL.len();

    /// The form that `Accept` prefers; a page where it does not say (RFC 9110 §12.5.1).
    pub(crate) fn preferred(accept: Option<&[u8]>) -> Self {
        if accept.is_none() {
            return Self::Html;
        }
        let chosen = negotiation::prefer(accept, &Self::ALL.map(Self::media_type));
        Self::ALL
            .into_iter()
            .find(|format| format.media_type() == chosen)
            .unwrap_or(Self::Html)
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html",
            Self::Json => "application/json",
            Self::Text => "text/plain",
        }
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_prefers() {
        for (accept, expected) in [
            (None, Format::Html),
            (Some("*/*"), Format::Html),
            (Some("application/json"), Format::Json),
            (Some("text/plain"), Format::Text),
            (Some("text/html;q=0.1, text/plain;q=0.2"), Format::Text),
            (Some("image/png"), Format::Html),
            (
                Some("text/html,application/xhtml+xml,*/*;q=0.8"),
                Format::Html,
            ),
        ] {
            assert_eq!(
                Format::preferred(accept.map(str::as_bytes)),
                expected,
                "{accept:?}"
            );
        }
    }
}
