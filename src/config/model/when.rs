//! `when`: what a request must have, beside its path and its method, for a route to answer it.

use super::HostPattern;
use crate::http::method::Method;

/// Conditions, all of which must hold. There are none: every request is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct When(pub(crate) Vec<Condition>);

/// What one part of a request must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Condition {
    /// One of these. GET stands for HEAD, too.
    Method(Vec<Method>),
    /// One of these hosts.
    Host(Vec<HostPattern>),
    /// A field.
    Header(String, Wanted),
    /// A parameter of the query.
    Query(String, Wanted),
    Cookie(String, Wanted),
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wanted {
    /// There is one, whatever it says.
    Present,
    Absent,
    /// One that one of these matches.
    OneOf(Vec<ValuePattern>),
}

/// Text that a value must be, in which `*` stands for any octets, or none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ValuePattern(pub(crate) String);

impl ValuePattern {
    /// Whether `value` is such a text. `ignores_case` is about letters of ASCII.
    ///
    /// It takes at most as many steps as the value has octets times those of the pattern.
    pub(crate) fn matches(&self, value: &[u8], ignores_case: bool) -> bool {
        let same = |a: u8, b: u8| a == b || ignores_case && a.eq_ignore_ascii_case(&b);
        let pattern = self.0.as_bytes();
        let (mut at, mut from) = (0, 0);
        // Behind the last `*`, and the octet up to which that `*` has stood for the value.
        let mut star: Option<(usize, usize)> = None;
        while from < value.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    at += 1;
                    star = Some((at, from));
                }
                Some(octet) if same(*octet, value[from]) => {
                    at += 1;
                    from += 1;
                }
                _ => {
                    let Some((behind, taken)) = star else {
                        return false;
                    };
                    at = behind;
                    from = taken + 1;
                    star = Some((behind, from));
                }
            }
        }
        pattern[at..].iter().all(|octet| *octet == b'*')
    }
}

impl Wanted {
    /// Whether `values`, those that the request has, are as they must be.
    pub(crate) fn has<V: AsRef<[u8]>>(
        &self,
        mut values: impl Iterator<Item = V>,
        ignores_case: bool,
    ) -> bool {
        match self {
            Self::Present => values.next().is_some(),
            Self::Absent => values.next().is_none(),
            Self::OneOf(patterns) => values.any(|value| {
                let mut patterns = patterns.iter();
                patterns.any(|pattern| pattern.matches(value.as_ref(), ignores_case))
            }),
        }
    }
}

impl When {
    /// Whether every request is answered.
    pub(crate) fn is_always(&self) -> bool {
        self.0.is_empty()
    }

    /// The methods of which the request must have one; none: it may have any.
    pub(crate) fn methods(&self) -> &[Method] {
        let named = self.0.iter().find_map(|condition| match condition {
            Condition::Method(methods) => Some(methods.as_slice()),
            _ => None,
        });
        named.unwrap_or_default()
    }

    /// The names of the fields that it looks at.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|condition| match condition {
            Condition::Header(name, _) => Some(name.as_str()),
            Condition::Cookie(..) => Some("Cookie"),
            Condition::Method(_) | Condition::Host(_) | Condition::Query(..) => None,
        })
    }

    /// Whether each of its conditions is one of `other`, so that it answers every request that `other`
    /// would.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.0.iter().all(|condition| other.0.contains(condition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asterisk_stands_for_any_octets() {
        for (pattern, value, is_match) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "abc", true),
            ("a", "a", true),
            ("a", "A", false),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("*c", "abcd", false),
            ("a*c", "ac", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("*json*", "application/json;q=0.5", true),
            ("*json*", "text/html", false),
            ("a**b", "ab", true),
            ("*a*b*a", "xxaybzzaba", true),
            ("a?b", "a?b", true),
            ("a?b", "axb", false),
        ] {
            let pattern = ValuePattern(pattern.to_owned());
            assert_eq!(
                pattern.matches(value.as_bytes(), false),
                is_match,
                "{pattern:?} {value}"
            );
        }
        let pattern = ValuePattern("*JSON".to_owned());
        assert!(pattern.matches(b"text/json", true));
    }

    #[test]
    fn a_hostile_value_takes_bounded_time() {
        let pattern = ValuePattern(format!("*{}b", "a*".repeat(200)));
        assert!(!pattern.matches(&[b'a'; 64 * 1024], false));
    }

    #[test]
    fn fewer_conditions_cover_more() {
        let header = |name: &str| Condition::Header(name.to_owned(), Wanted::Present);
        let (one, two) = (
            When(vec![header("A")]),
            When(vec![header("B"), header("A")]),
        );
        assert!(one.covers(&two) && one.covers(&one) && !two.covers(&one));
        assert!(When::default().covers(&one) && When::default().is_always());
        assert_eq!(two.fields().collect::<Vec<_>>(), ["B", "A"]);
    }
}
