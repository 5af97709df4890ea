//! What the operator changes of the fields by which a representation is known and described.
//!
//! They are applied to the field lines of every response, as all of the operator's changes are. Code
//! that evaluates a condition or makes the parts of a multipart/byteranges has to know them beforehand: a
//! client sends back the entity tag that it was sent.

use std::borrow::Cow;

use crate::http::compression::Compression;
use crate::http::date::HttpDate;
use crate::http::validator::{EntityTag, Validators};

/// The operator's changes of a representation, and of the fields that describe it.
#[derive(Debug, Default)]
pub(crate) struct RepresentationChanges {
    /// `ETag`, as it stands in the field.
    pub(crate) entity_tag: Change<String>,
    pub(crate) last_modified: Change<HttpDate>,
    pub(crate) content_type: Change<String>,
    /// The rules by which the content is compressed; `None`: it is not. In a box, because few routes have it.
    pub(crate) compression: Option<Box<Compression>>,
}

/// What becomes of one field.
#[derive(Debug, Default)]
pub(crate) enum Change<T> {
    #[default]
    Kept,
    Removed,
    Set(T),
}

impl RepresentationChanges {
    /// Whether something is done with a response behind its handler, besides its fields.
    #[inline]
    pub(crate) fn act_behind_handlers(&self) -> bool {
        self.compression.is_some() || self.set_validators()
    }

    /// Whether the operator says by which validators the representation is known.
    pub(crate) fn set_validators(&self) -> bool {
        matches!(self.entity_tag, Change::Set(_)) || matches!(self.last_modified, Change::Set(_))
    }

    /// The validators that the client is told, where the representation's own are `own`. The operator's entity
    /// tag is the same in each coding that the representation `has_codings` of, so it is a weak one there.
    pub(crate) fn validators<'v>(
        &'v self,
        own: Validators<'v>,
        has_codings: bool,
    ) -> Validators<'v> {
        Validators {
            entity_tag: match &self.entity_tag {
                Change::Kept => own.entity_tag,
                Change::Removed => None,
                Change::Set(tag) => EntityTag::parse(tag.as_bytes()).map(|tag| EntityTag {
                    weak: tag.weak || has_codings,
                    ..tag
                }),
            },
            last_modified: match self.last_modified {
                Change::Kept => own.last_modified,
                Change::Removed => None,
                Change::Set(date) => Some(date),
            },
        }
    }

    /// The type that the client is told of a part, where the representation's own is `own`.
    pub(crate) fn content_type<'v>(&'v self, own: &'v str) -> Cow<'v, str> {
        match &self.content_type {
            Change::Set(media_type) => Cow::Borrowed(media_type),
            Change::Kept | Change::Removed => Cow::Borrowed(own),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_the_operators_validators() {
        let date = |second: &str| {
            let text = format!("Sun, 06 Nov 1994 08:49:{second} GMT");
            HttpDate::parse(text.as_bytes()).expect("a date")
        };
        let own = Validators {
            entity_tag: EntityTag::parse(b"\"own\""),
            last_modified: Some(date("00")),
        };
        let set = RepresentationChanges {
            entity_tag: Change::Set("\"v1\"".to_owned()),
            last_modified: Change::Set(date("01")),
            content_type: Change::Set("text/x".to_owned()),
            compression: None,
        };
        let removed = RepresentationChanges {
            entity_tag: Change::Removed,
            last_modified: Change::Removed,
            content_type: Change::Removed,
            compression: None,
        };
        let kept = RepresentationChanges::default();
        for (has_codings, tag) in [(false, &b"\"v1\""[..]), (true, b"W/\"v1\"")] {
            assert_eq!(kept.validators(own, has_codings), own);
            let none = removed.validators(own, has_codings);
            assert_eq!(none, Validators::default());
            let expected = Validators {
                entity_tag: EntityTag::parse(tag),
                last_modified: Some(date("01")),
            };
            assert_eq!(set.validators(own, has_codings), expected);
        }
        let types = [&kept, &removed, &set].map(|changes| changes.content_type("a/b"));
        assert_eq!(types, ["a/b", "a/b", "text/x"]);
    }
}
