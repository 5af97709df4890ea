//! Proactive negotiation (RFC 9110 §12): which representation a client prefers.
//!
//! [`select_coding`] reads `Accept-Encoding`, [`prefer`] reads `Accept`. Neither refuses a request: if
//! the client accepts nothing that the server has, the server sends the default rather than a 406, as
//! §12.4.1 allows. A client can do more with a response that it did not ask for than with none.

use super::list;

/// A content coding (§8.4.1) in which a representation may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ContentCoding {
    /// The representation without a coding.
    Identity,
    Gzip,
    Brotli,
    Zstd,
}

impl ContentCoding {
    /// The order in which codings are preferred if the client weighs them equally: those that make
    /// content smaller come first. Zstandard comes before Brotli, because it makes content about as
    /// small and is faster to decode.
    const PREFERENCE: [Self; 4] = [Self::Zstd, Self::Brotli, Self::Gzip, Self::Identity];

    /// The registered name of the coding, as it stands in `Content-Encoding` (§18.6).
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// The extension, without its dot, of the file that holds another file in this coding.
    pub(crate) fn file_suffix(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gz"),
            Self::Brotli => Some("br"),
            Self::Zstd => Some("zst"),
        }
    }

    /// The end of the opaque tag of a representation in this coding. The same content in another
    /// coding is another representation and needs another strong tag (§8.8.3.3).
    pub(crate) fn entity_tag_suffix(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Gzip => "-gz",
            Self::Brotli => "-br",
            Self::Zstd => "-zst",
        }
    }

    /// Returns the coding called `name`. Case does not matter; `x-gzip` is `gzip` (§8.4.1.3).
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"x-gzip") {
            return Some(Self::Gzip);
        }
        let named = |coding: &Self| name.eq_ignore_ascii_case(coding.as_str().as_bytes());
        Self::PREFERENCE.into_iter().find(named)
    }
}

/// Returns the coding, out of `available` and identity, that the value of `Accept-Encoding` weighs
/// highest (§12.5.3).
///
/// Returns identity without the field, because the client may be able to decode no coding; and if the
/// client accepts none of the codings (see the header of this file). A coding that the client lists
/// outweighs an identity that it does not list.
pub(crate) fn select_coding(
    accept_encoding: Option<&[u8]>,
    available: &[ContentCoding],
) -> ContentCoding {
    select(accept_encoding, available, &ContentCoding::PREFERENCE)
}

/// As [`select_coding`], for content of which an encoder sees little at a time: of codings that the client
/// weighs alike, Brotli is the last one.
pub(crate) fn select_coding_of_stream(
    accept_encoding: Option<&[u8]>,
    available: &[ContentCoding],
) -> ContentCoding {
    use ContentCoding::{Brotli, Gzip, Identity, Zstd};
    select(accept_encoding, available, &[Zstd, Gzip, Brotli, Identity])
}

/// Returns the coding that the client weighs highest; of those that it weighs alike, the first in `order`.
fn select(
    accept_encoding: Option<&[u8]>,
    available: &[ContentCoding],
    order: &[ContentCoding],
) -> ContentCoding {
    let (Some(value), false) = (accept_encoding, available.is_empty()) else {
        return ContentCoding::Identity;
    };
    let weights = CodingWeights::parse(value);
    let mut best = (ContentCoding::Identity, Weight::ZERO);
    for &coding in order {
        let weight = weights.of(coding);
        if weight > best.1 && (coding == ContentCoding::Identity || available.contains(&coding)) {
            best = (coding, weight);
        }
    }
    best.0
}

/// Returns the one of `offers`, media types without parameters, that the value of `Accept` weighs
/// highest (§12.5.1).
///
/// Of equal offers the earlier one counts. Returns the first offer if the field is absent or accepts
/// none of them, and an empty string if there are no offers.
pub(crate) fn prefer<'a>(accept: Option<&[u8]>, offers: &[&'a str]) -> &'a str {
    let mut best = (offers.first().copied().unwrap_or_default(), Weight::ZERO);
    let Some(value) = accept else { return best.0 };
    for offer in offers {
        let weight = weight_of_type(value, offer.as_bytes());
        if weight > best.1 {
            best = (offer, weight);
        }
    }
    best.0
}

/// Whether the value of `Accept` names `media_type` itself, rather than a range it is in, and accepts it.
pub(crate) fn names_type(accept: &[u8], media_type: &[u8]) -> bool {
    list::elements(accept)
        .filter_map(MediaRange::parse)
        .any(|range| {
            range.precision(media_type) == Some(Precision::Subtype) && range.weight > Weight::ZERO
        })
}

/// A quality value (§12.4.2), in thousandths: 0 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Weight(u16);

impl Weight {
    /// Not acceptable.
    const ZERO: Self = Self(0);
    /// The weight of an element that states none.
    const ONE: Self = Self(1000);

    /// Reads a weight of at most 1 with at most three decimals: 250 for `0.25`.
    fn parse(value: &[u8]) -> Option<Self> {
        let (whole, decimals) = match value {
            [whole @ (b'0' | b'1')] => (whole, &b""[..]),
            [whole @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => {
                (whole, decimals)
            }
            _ => return None,
        };
        let digit = |place: usize| match decimals.get(place) {
            None => Some(0),
            Some(digit) => digit.is_ascii_digit().then(|| u16::from(digit - b'0')),
        };
        let decimals = digit(0)? * 100 + digit(1)? * 10 + digit(2)?;
        let thousandths = u16::from(whole - b'0') * 1000 + decimals;
        (thousandths <= Self::ONE.0).then_some(Self(thousandths))
    }
}

/// The weights in an `Accept-Encoding`: of each coding that the server knows, and of any other.
#[derive(Default)]
struct CodingWeights {
    /// The weight of each [`ContentCoding`]; `None` if the coding is not listed.
    listed: [Option<Weight>; 4],
    /// The weight of `*`, which stands for every coding that is not listed.
    others: Option<Weight>,
}

impl CodingWeights {
    /// Reads the elements. Ignores those that are malformed; of two for one coding the first counts.
    fn parse(value: &[u8]) -> Self {
        let mut weights = Self::default();
        for element in list::elements(value) {
            let Some((name, weight)) = split_weight(element) else {
                continue;
            };
            if name == b"*" {
                weights.others.get_or_insert(weight);
            } else if let Some(coding) = ContentCoding::from_name(name) {
                weights.listed[coding as usize].get_or_insert(weight);
            }
        }
        weights
    }

    /// Returns the weight of `coding`. An identity that is not listed is acceptable, but only if no
    /// other coding is; so its weight is zero here.
    fn of(&self, coding: ContentCoding) -> Weight {
        self.listed[coding as usize]
            .or(self.others)
            .unwrap_or(Weight::ZERO)
    }
}

/// Splits an element, as `gzip;q=0.5`, into its name and its weight. Returns `None` if the weight is
/// malformed.
fn split_weight(element: &[u8]) -> Option<(&[u8], Weight)> {
    let Some(semicolon) = memchr::memchr(b';', element) else {
        return Some((element, Weight::ONE));
    };
    match list::trim(&element[semicolon + 1..]) {
        [b'q' | b'Q', b'=', weight @ ..] => {
            Some((list::trim(&element[..semicolon]), Weight::parse(weight)?))
        }
        _ => None,
    }
}

/// Returns the weight of the media range in `accept` that fits `offer` most precisely.
fn weight_of_type(accept: &[u8], offer: &[u8]) -> Weight {
    list::elements(accept)
        .filter_map(MediaRange::parse)
        .filter_map(|range| Some((range.precision(offer)?, range.weight)))
        .max()
        .map_or(Weight::ZERO, |(_, weight)| weight)
}

/// An element of `Accept`.
struct MediaRange<'a> {
    /// `text/html`, `text/*` or `*/*`.
    name: &'a [u8],
    weight: Weight,
}

/// How precisely a media range fits a media type. Of several ranges the most precise one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    Any,
    Type,
    Subtype,
}

impl<'a> MediaRange<'a> {
    /// Parses an element. Returns `None` if its weight is malformed, or if it has parameters, because
    /// no offer has parameters that would fit. Ignores `charset`, because all offers are UTF-8.
    fn parse(element: &'a [u8]) -> Option<Self> {
        let mut parts = element.split(|byte| *byte == b';').map(list::trim);
        let name = parts.next()?;
        for parameter in parts {
            match parameter {
                [b'q' | b'Q', b'=', weight @ ..] => {
                    return Some(Self {
                        name,
                        weight: Weight::parse(weight)?,
                    });
                }
                [] => {}
                charset if is_charset(charset) => {}
                _ => return None,
            }
        }
        Some(Self {
            name,
            weight: Weight::ONE,
        })
    }

    /// Returns how precisely the range fits `offer`; `None` if it does not fit.
    fn precision(&self, offer: &[u8]) -> Option<Precision> {
        match self.name {
            b"*/*" => Some(Precision::Any),
            [kind @ .., b'*'] if kind.ends_with(b"/") => offer
                .get(..kind.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(kind))
                .then_some(Precision::Type),
            name => name
                .eq_ignore_ascii_case(offer)
                .then_some(Precision::Subtype),
        }
    }
}

/// Whether a parameter is called `charset`.
fn is_charset(parameter: &[u8]) -> bool {
    parameter
        .get(..8)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"charset="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ContentCoding::{Brotli, Gzip, Identity, Zstd};
    use proptest::prelude::*;

    #[test]
    fn a_type_is_named_by_its_own_name() {
        for (accept, expected) in [
            ("text/html", true),
            ("application/xhtml+xml, Text/HTML;q=0.9, */*;q=0.8", true),
            ("text/html; charset=utf-8", true),
            ("text/html;q=0, */*", false),
            ("text/*", false),
            ("*/*", false),
            ("text/html-fragment", false),
            ("application/x-text/html", false),
            ("", false),
        ] {
            assert_eq!(
                names_type(accept.as_bytes(), b"text/html"),
                expected,
                "{accept}"
            );
        }
    }

    #[test]
    fn reads_a_weight() {
        for (value, weight) in [
            ("1", Some(1000)),
            ("0", Some(0)),
            ("0.", Some(0)),
            ("0.5", Some(500)),
            ("0.123", Some(123)),
            ("1.000", Some(1000)),
            ("1.001", None),
            ("0.1234", None),
            ("2", None),
            (".5", None),
            ("-1", None),
            ("0.x", None),
            ("", None),
        ] {
            assert_eq!(
                Weight::parse(value.as_bytes()),
                weight.map(Weight),
                "{value}"
            );
        }
    }

    #[test]
    fn selects_a_coding() {
        let all: &[_] = &[Gzip, Brotli, Zstd];
        for (accept_encoding, available, coding) in [
            ("gzip, deflate, br, zstd", all, Zstd),
            ("gzip, deflate, br", all, Brotli),
            ("gzip", all, Gzip),
            ("GZip", all, Gzip),
            ("x-gzip", all, Gzip),
            ("gzip, br", &[Gzip], Gzip),
            ("br", &[Gzip], Identity),
            ("gzip", &[], Identity),
            ("gzip;q=1, br;q=0.9", all, Gzip),
            ("gzip ; Q=0.5 , br;q=0.501", all, Brotli),
            ("gzip;q=0.001", all, Gzip),
            ("gzip;q=0", all, Identity),
            ("gzip;q=0, gzip", all, Identity),
            ("gzip;q=nonsense", all, Identity),
            ("gzip;level=1", all, Identity),
            ("*", all, Zstd),
            ("*", &[Gzip], Gzip),
            ("*;q=0", all, Identity),
            ("zstd;q=0, *", all, Brotli),
            ("*;q=0, gzip", all, Gzip),
            ("*, gzip;q=0.5", &[Gzip], Identity),
            ("identity", all, Identity),
            ("identity, gzip", all, Gzip),
            ("identity, gzip;q=0.5", all, Identity),
            ("identity;q=0.5, gzip", all, Gzip),
            ("identity;q=0, gzip", all, Gzip),
            ("identity;q=0", all, Identity),
            ("deflate", all, Identity),
            ("", all, Identity),
        ] {
            let selected = select_coding(Some(accept_encoding.as_bytes()), available);
            assert_eq!(selected, coding, "{accept_encoding}");
        }
        assert_eq!(select_coding(None, all), Identity);
    }

    #[test]
    fn prefers_the_most_precise_range() {
        let offers = &["text/html", "application/json", "text/plain"];
        for (accept, preferred) in [
            ("*/*", "text/html"),
            ("text/*", "text/html"),
            ("application/*", "application/json"),
            ("application/json", "application/json"),
            ("Application/JSON; charset=utf-8", "application/json"),
            ("application/json;q=0.5, text/plain;q=0.6", "text/plain"),
            ("text/html;q=0.1, */*;q=0.5", "application/json"),
            ("text/*, text/html;q=0", "text/plain"),
            ("text/*;q=0.3, text/html;q=0.7, */*;q=0.5", "text/html"),
            ("text/html;level=1, text/plain", "text/plain"),
            ("text/html;level=\"1,2\", text/plain", "text/plain"),
            (
                "text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8",
                "text/html",
            ),
            ("text/plain; q=0.2; extension=1", "text/plain"),
            ("text/plain;", "text/plain"),
            ("text/plain;q=high", "text/html"),
            ("image/png", "text/html"),
            ("text", "text/html"),
            ("*", "text/html"),
            ("", "text/html"),
        ] {
            assert_eq!(
                prefer(Some(accept.as_bytes()), offers),
                preferred,
                "{accept}"
            );
        }
        assert_eq!(prefer(None, offers), "text/html");
        assert_eq!(prefer(Some(b"*/*"), &[]), "");
    }

    proptest! {
        #[test]
        fn any_bytes_select_something_available(value: Vec<u8>) {
            let coding = select_coding(Some(&value), &[Gzip]);
            prop_assert!(matches!(coding, Gzip | Identity));
            prop_assert!(["a/b", "c/d"].contains(&prefer(Some(&value), &["a/b", "c/d"])));
        }
    }
}
