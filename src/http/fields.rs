//! The header section of a request (RFC 9110 §5): field lines as the client sent them, and a table
//! of the fields that this server acts on.
//!
//! To look a field up by its name is to compare the name with every line. So the server walks the
//! lines once, when it parses the head, and notes in a small table where each field stands that it
//! acts on. After that, a look-up is an index.

use std::borrow::Cow;

use super::list::trim;

/// The most field lines a request may be allowed to have; `max_fields` lies below it.
///
/// The place of a line must fit the table's `u8`, and one value of that type says "absent".
pub(crate) const FIELD_CAPACITY: usize = ABSENT as usize;

const ABSENT: u8 = u8::MAX;

/// Declares the fields whose places are noted: variant, name in lower case.
macro_rules! known_fields {
    ($($variant:ident $name:literal,)+) => {
        /// A field that this server acts on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Known { $($variant,)+ }

        const KNOWN_COUNT: usize = [$(Known::$variant,)+].len();

        impl Known {
            #[cfg(test)]
            const ALL: [(Self, &'static [u8]); KNOWN_COUNT] = [$((Self::$variant, $name.as_slice()),)+];

            /// Returns the field called `name`, which is a token. Case does not matter (RFC 9110 §5.1).
            fn from_name(name: &[u8]) -> Option<Self> {
                $(if is_name(name, $name) {
                    return Some(Self::$variant);
                })+
                None
            }
        }
    };
}

/// Whether the token `name` is `known`, which is in lower case and holds letters and hyphens alone.
///
/// The bit for lower case is set in each byte of `name`. That makes no byte of a token equal to a
/// letter or a hyphen but the letter itself in the other case. All bytes are compared, even after
/// one has differed: at a fixed length that takes a few instructions.
#[inline]
pub(crate) fn is_name<const N: usize>(name: &[u8], known: &[u8; N]) -> bool {
    let Ok(name) = <&[u8; N]>::try_from(name) else {
        return false;
    };
    let differences = (0..N).fold(0, |found, at| found | ((name[at] | 0x20) ^ known[at]));
    differences == 0
}

known_fields! {
    Host b"host",
    Connection b"connection",
    UserAgent b"user-agent",
    Accept b"accept",
    AcceptEncoding b"accept-encoding",
    Referer b"referer",
    IfNoneMatch b"if-none-match",
    IfModifiedSince b"if-modified-since",
    Range b"range",
    IfRange b"if-range",
    IfMatch b"if-match",
    IfUnmodifiedSince b"if-unmodified-since",
    ContentLength b"content-length",
    TransferEncoding b"transfer-encoding",
    Expect b"expect",
    SecFetchMode b"sec-fetch-mode",
}

impl Known {
    /// The preconditions, in the order in which RFC 9110 §13.2.2 evaluates them.
    pub(crate) const CONDITIONS: [Self; 5] = [
        Self::IfMatch,
        Self::IfNoneMatch,
        Self::IfModifiedSince,
        Self::IfUnmodifiedSince,
        Self::IfRange,
    ];
}

/// The field lines of a request, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    lines: &'a [httparse::Header<'a>],
    /// The place of the first line of each known field, or [`ABSENT`].
    first: [u8; KNOWN_COUNT],
    /// A bit for each known field that stands on more than one line.
    repeated: u32,
}

impl<'a> Fields<'a> {
    /// Walks the lines, at most [`FIELD_CAPACITY`], and notes where the known fields stand.
    pub(crate) fn new(lines: &'a [httparse::Header<'a>]) -> Self {
        debug_assert!(
            lines.len() <= FIELD_CAPACITY,
            "the parser was given no more space"
        );
        let mut fields = Self {
            lines,
            first: [ABSENT; KNOWN_COUNT],
            repeated: 0,
        };
        for (place, line) in lines.iter().enumerate() {
            let Some(known) = Known::from_name(line.name.as_bytes()) else {
                continue;
            };
            let first = &mut fields.first[known as usize];
            if *first == ABSENT {
                *first = place as u8;
            } else {
                fields.repeated |= 1 << known as u32;
            }
        }
        fields
    }

    /// Returns the value of the first line of `known`, without the white space around it.
    pub(crate) fn first(&self, known: Known) -> Option<&'a [u8]> {
        match self.first[known as usize] {
            ABSENT => None,
            place => Some(trim(self.lines[usize::from(place)].value)),
        }
    }

    /// The number of field lines.
    pub(crate) fn count(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is a line of `known`.
    pub(crate) fn has(&self, known: Known) -> bool {
        self.first[known as usize] != ABSENT
    }

    /// Whether `known` stands on more than one line.
    pub(crate) fn is_repeated(&self, known: Known) -> bool {
        self.repeated & 1 << known as u32 != 0
    }

    /// Returns the combined field value: the values of all lines of `known`, joined by commas
    /// (RFC 9110 §5.3). Allocates only if the field is repeated.
    pub(crate) fn combined(&self, known: Known) -> Option<Cow<'a, [u8]>> {
        let first = self.first(known)?;
        if !self.is_repeated(known) {
            return Some(Cow::Borrowed(first));
        }
        let of_that_name =
            |line: &&httparse::Header| Known::from_name(line.name.as_bytes()) == Some(known);
        let values: Vec<&[u8]> = self
            .lines
            .iter()
            .filter(of_that_name)
            .map(|line| trim(line.value))
            .collect();
        Some(Cow::Owned(values.join(&b", "[..])))
    }

    /// Returns the value of each line of the field called `name`, in their order, without the white space around it.
    /// Walks all lines: for fields that are [`Known`], there is [`first`](Self::first).
    #[inline]
    pub(crate) fn values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let lines = self.lines.iter();
        let lines = lines.filter(move |line| line.name.eq_ignore_ascii_case(name));
        lines.map(|line| trim(line.value))
    }

    /// Returns every field line: its name as sent, its value without the white space around it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.lines.iter().map(|line| (line.name, trim(line.value)))
    }
}

/// Whether `name` is a token. The name of a field must be one (RFC 9110 §5.1, §5.6.2).
pub(crate) fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().copied().all(is_token_byte)
}

/// Whether `byte` may stand in a token: a letter, a digit, or a visible character that is no
/// delimiter (RFC 9110 §5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[usize::from(byte)]
}

/// By byte, whether it may stand in a token. A gateway looks at each octet of a host.
static TOKEN_BYTES: [bool; 256] = token_bytes();

const fn token_bytes() -> [bool; 256] {
    let mut is_in = [false; 256];
    let mut byte = u8::MIN;
    while byte < u8::MAX {
        is_in[byte as usize] = byte.is_ascii_graphic()
            && !matches!(byte, b'"' | b'(' | b')' | b',' | b'/' | b':'..=b'@' | b'['..=b']' | b'{' | b'}');
        byte += 1;
    }
    is_in
}

/// Whether applications take two names for the same: `X_Tenant` becomes the same variable as `X-Tenant` in
/// CGI and in WSGI, and PHP takes `X.Tenant` for it, too. So all that is no letter and no digit counts as the same
/// here. If the operator sets or removes one, a client must not be able to send the other.
pub(crate) fn is_same_variable(name: &str, other: &str) -> bool {
    let folded = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' => byte,
        b'A'..=b'Z' => byte.to_ascii_lowercase(),
        _ => b'-',
    };
    name.len() == other.len() && name.bytes().map(folded).eq(other.bytes().map(folded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<httparse::Header<'a>> {
        pairs
            .iter()
            .map(|(name, value)| httparse::Header {
                name,
                value: value.as_bytes(),
            })
            .collect()
    }

    /// `Remote.User` of a client told PHP who the user was.
    #[test]
    fn applications_tell_names_apart_by_letters_and_digits() {
        for same in ["x-user-1", "X_User_1", "x.user.1", "X+User!1", "x~user`1"] {
            assert!(is_same_variable("X-User-1", same), "{same}");
        }
        for other in ["X-User-2", "X-User1", "X-Used-1", "XAUser-1"] {
            assert!(!is_same_variable("X-User-1", other), "{other}");
        }
    }

    #[test]
    fn finds_known_fields_without_regard_to_case() {
        for (known, name) in Known::ALL {
            let name = str::from_utf8(name).expect("ASCII");
            let upper = name.to_uppercase();
            let lines = lines(&[("X-Other", "1"), (&upper, " v \t")]);
            assert_eq!(Fields::new(&lines).first(known), Some(&b"v"[..]), "{name}");
        }
    }

    #[test]
    fn absent_fields_are_absent() {
        let lines = lines(&[("Hosts", "a"), ("Hos", "b")]);
        let fields = Fields::new(&lines);
        assert!(!fields.has(Known::Host));
        assert_eq!(fields.first(Known::Host), None);
        assert_eq!(fields.combined(Known::Host), None);
    }

    #[test]
    fn combines_repeated_lines_in_order() {
        let lines = lines(&[
            ("If-None-Match", "\"a\""),
            ("Host", "x"),
            ("if-none-match", "\"b\" "),
        ]);
        let fields = Fields::new(&lines);
        assert!(fields.is_repeated(Known::IfNoneMatch) && !fields.is_repeated(Known::Host));
        assert_eq!(
            fields.combined(Known::IfNoneMatch).as_deref(),
            Some(&b"\"a\", \"b\""[..])
        );
    }

    #[test]
    fn gives_the_values_of_any_field_in_order() {
        let lines = lines(&[("X-A", " 1"), ("X-AB", "2"), ("x-a", ""), ("X-a", "3\t")]);
        let values: Vec<&[u8]> = Fields::new(&lines).values("x-A").collect();
        assert_eq!(values, [&b"1"[..], b"", b"3"]);
    }

    #[test]
    fn tells_a_token() {
        for (name, valid) in [
            ("X-Y_z", true),
            ("", false),
            ("a b", false),
            ("a:", false),
            ("é", false),
        ] {
            assert_eq!(is_token(name.as_bytes()), valid, "{name:?}");
        }
    }

    #[test]
    fn a_token_holds_every_visible_character_but_the_delimiters() {
        let is_delimiter = |byte: &u8| b"\"(),/:;<=>?@[\\]{}".contains(byte);
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_graphic() && !is_delimiter(&byte);
            assert_eq!(is_token_byte(byte), expected, "{byte:#04x}");
        }
    }
}
