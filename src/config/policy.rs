//! What holds for every exchange of a server or a route, whatever its verb.
//!
//! Each level of the file (the top, `[[server]]`, the route) says only what it changes; here stand
//! the results. One rule for all of it: what is said further in of a thing replaces what is said
//! of the same thing further out, and the rest is inherited. So the policy of a level, merged into
//! itself, is itself, which is what lets `dump` write it out at each level.

use super::Limits;

/// The policy of the whole configuration, a server or a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) headers: HeaderChanges,
    pub(crate) limits: Limits,
}

/// What is done to the fields of every answer, error answers included: first `remove`, then `set`,
/// then `add`.
///
/// Names are as written; no name stands in two of the lists in different case. None of them is a
/// field that frames the message or belongs to the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeaderChanges {
    /// In place of what the answer has of that name. Each name once.
    pub(crate) set: Vec<(String, String)>,
    /// Beside what the answer has of that name. A name may be repeated.
    pub(crate) add: Vec<(String, String)>,
    pub(crate) remove: Vec<String>,
}

impl HeaderChanges {
    /// `inner` on top of this: a name that `inner` mentions is decided there alone.
    pub(super) fn refined_by(&self, inner: Self) -> Self {
        let is_kept = |name: &str| !inner.mentions(name);
        let kept = |pairs: &[(String, String)]| -> Vec<(String, String)> {
            let pairs = pairs.iter().filter(|(name, _)| is_kept(name));
            pairs.cloned().collect()
        };
        let removed = self.remove.iter().filter(|name| is_kept(name)).cloned();
        Self {
            set: [kept(&self.set), inner.set.clone()].concat(),
            add: [kept(&self.add), inner.add.clone()].concat(),
            remove: removed.chain(inner.remove.iter().cloned()).collect(),
        }
    }

    fn mentions(&self, name: &str) -> bool {
        let pairs = self.set.iter().chain(&self.add).map(|(name, _)| name);
        pairs
            .chain(&self.remove)
            .any(|mentioned| mentioned.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(set: &[&str], add: &[&str], remove: &[&str]) -> HeaderChanges {
        let pair = |text: &&str| {
            let (name, value) = text.split_once('=').expect("NAME=VALUE");
            (name.to_owned(), value.to_owned())
        };
        HeaderChanges {
            set: set.iter().map(pair).collect(),
            add: add.iter().map(pair).collect(),
            remove: remove.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn a_field_is_decided_by_the_innermost_level_that_mentions_it() {
        let outer = changes(&["A=1", "B=1"], &["C=1", "C=2"], &["D"]);
        let cases = [
            (changes(&[], &[], &[]), outer.clone()),
            (outer.clone(), outer.clone()),
            (
                changes(&["b=2"], &[], &[]),
                changes(&["A=1", "b=2"], &["C=1", "C=2"], &["D"]),
            ),
            (
                changes(&[], &["c=3", "D=1"], &["a"]),
                changes(&["B=1"], &["c=3", "D=1"], &["a"]),
            ),
        ];
        for (inner, expected) in cases {
            assert_eq!(outer.refined_by(inner.clone()), expected, "{inner:?}");
        }
    }
}
