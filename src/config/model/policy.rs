//! What holds for every exchange of a server or a route, whatever its verb.
//!
//! Each level of the file (the top, `[[server]]`, the route) says only what it changes. The results
//! stand here. One rule holds for all of it: what an inner level says about a thing replaces what an
//! outer level says about it, and the rest is inherited. Merged into itself, a policy does not change.
//! So `dump` may write the whole policy at each level.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Auth, Cidr, Cors, Limits, RequestText, Types};
use crate::address::ClientAddress;
use crate::http::compression::{Compression, forbids_changes};
use crate::http::fields::is_same_variable;
use crate::http::status::Status;

/// The policy of the whole configuration, a server or a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) headers: HeaderChanges,
    pub(crate) limits: Limits,
    pub(crate) error_pages: ErrorPages,
    pub(crate) access: Access,
    /// Whether a client that has shown no certificate is answered 403.
    pub(crate) needs_certificate: bool,
    /// `None`: a client has to prove nothing.
    pub(crate) auth: Option<Auth>,
    /// `None`: browsers are told nothing, so that scripts of other origins may read nothing.
    pub(crate) cors: Option<Cors>,
    /// The names of the rates that requests are counted at, each once.
    pub(crate) rates: Vec<String>,
    /// What is compressed; `None`: nothing.
    pub(crate) compress: Option<Compression>,
    /// The media types of files.
    pub(crate) types: Types,
    /// Whether exchanges have ids, which responses, handlers and upstreams are told.
    pub(crate) request_id: bool,
}

impl Policy {
    /// What is compressed, unless `headers` say that nothing is: that content is to be left as it is, or
    /// which coding all of it has.
    pub(crate) fn compression(&self) -> Option<&Compression> {
        let compression = self.compress.as_ref()?;
        let headers = &self.headers;
        let forbids = |(name, value): &(String, RequestText)| {
            name.eq_ignore_ascii_case("Cache-Control") && forbids_changes(value.written.as_bytes())
        };
        let mut lines = headers.set.iter().chain(&headers.add);
        let is_left_alone = headers.decide_coding() || lines.any(forbids);
        (!is_left_alone).then_some(compression)
    }
}

/// What is done to the fields of every answer, of errors all but those that let caches keep it: first `remove`, then
/// `set`, then `add`.
///
/// Names are as written. No name stands in two of the lists, not even in different case. No name is
/// one of a field that frames the message or belongs to the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeaderChanges {
    /// In place of what the answer has of that name. Each name once.
    pub(crate) set: Vec<(String, RequestText)>,
    /// Beside what the answer has of that name. A name may be repeated.
    pub(crate) add: Vec<(String, RequestText)>,
    pub(crate) remove: Vec<String>,
}

impl HeaderChanges {
    /// Whether a field of the name `name`, or of another that applications take for it, is set or
    /// removed, so that no other line of it is sent.
    // Each field of a request is asked for.
    #[inline(always)]
    pub(crate) fn replace(&self, name: &str) -> bool {
        // Most routes change none.
        !(self.set.is_empty() && self.remove.is_empty()) && self.names_one_like(name)
    }

    fn names_one_like(&self, name: &str) -> bool {
        let set = self.set.iter().map(|(other, _)| other);
        let mut others = set.chain(&self.remove);
        others.any(|other| is_same_variable(name, other))
    }

    /// Whether the operator says which coding content has, or that no field says it. The server then chooses
    /// no coding: its own label would be missing or wrong.
    pub(crate) fn decide_coding(&self) -> bool {
        self.mentions("Content-Encoding")
    }

    /// Merges `inner` into this. For a name that `inner` mentions, only `inner` counts.
    pub(crate) fn refined_by(&self, inner: Self) -> Self {
        let is_kept = |name: &str| !inner.mentions(name);
        let kept = |pairs: &[(String, RequestText)]| -> Vec<(String, RequestText)> {
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

/// The statuses that an error page is for. A single status comes before a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StatusPattern {
    /// From 400 to 599.
    Exact(Status),
    /// `4xx`
    ClientError,
    /// `5xx`
    ServerError,
}

/// As the operator writes it.
impl fmt::Display for StatusPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(status) => write!(f, "{}", status.code()),
            Self::ClientError => f.write_str("4xx"),
            Self::ServerError => f.write_str("5xx"),
        }
    }
}

/// The files that are sent as the content of error answers. Each was there when it was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorPages(BTreeMap<StatusPattern, PathBuf>);

impl ErrorPages {
    /// The page for `status`. The page for that status comes before the page for its class, whatever
    /// level they are from.
    pub(crate) fn find(&self, status: Status) -> Option<&Path> {
        let class = match status.code() {
            500.. => StatusPattern::ServerError,
            _ => StatusPattern::ClientError,
        };
        let page = self.0.get(&StatusPattern::Exact(status));
        page.or_else(|| self.0.get(&class)).map(PathBuf::as_path)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (StatusPattern, &Path)> {
        let pages = self.0.iter();
        pages.map(|(pattern, path)| (*pattern, path.as_path()))
    }

    /// Adds a page. It replaces the page for the same statuses, if there is one.
    pub(crate) fn insert(&mut self, pattern: StatusPattern, path: PathBuf) {
        self.0.insert(pattern, path);
    }
}

/// Which clients are answered; the others get 403.
///
/// `deny` comes before `allow`. If `allow` has entries, all other clients are denied. The order of
/// entries means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Access {
    /// Empty: all clients.
    pub(crate) allow: Vec<Cidr>,
    pub(crate) deny: Vec<Cidr>,
}

impl Access {
    /// Whether `client` is answered.
    ///
    /// A client without an address is in no network, only in "all". A client that is not known could
    /// be any that `deny` names, so that it is kept out wherever `deny` names one.
    pub(crate) fn permits(&self, client: ClientAddress) -> bool {
        let has_all = |networks: &[Cidr]| Cidr::ALL.iter().all(|all| networks.contains(all));
        let names = |networks: &[Cidr]| match client {
            ClientAddress::Ip(ip) => networks.iter().any(|network| network.contains(ip)),
            ClientAddress::Unix | ClientAddress::Unknown => has_all(networks),
        };
        let is_denied = match client {
            ClientAddress::Ip(_) | ClientAddress::Unix => names(&self.deny),
            ClientAddress::Unknown => !self.deny.is_empty(),
        };
        !is_denied && (self.allow.is_empty() || names(&self.allow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network;

    #[test]
    fn deny_goes_before_allow_and_allow_shuts_out_the_rest() {
        let networks = |texts: &[&str]| -> Vec<Cidr> {
            let cidr = |text: &&str| network(text);
            texts.iter().map(cidr).collect()
        };
        let cases: &[(&[&str], &[&str], &str, bool)] = &[
            (&[], &[], "192.0.2.1", true),
            (&["10.0.0.0/8"], &[], "10.1.1.1", true),
            (&["10.0.0.0/8"], &[], "192.0.2.1", false),
            (&[], &["10.0.0.0/8"], "10.1.1.1", false),
            (&[], &["10.0.0.0/8"], "::1", true),
            (&["10.0.0.0/8"], &["10.0.0.66"], "10.0.0.66", false),
        ];
        for (allow, deny, ip, expected) in cases {
            let (allow, deny) = (networks(allow), networks(deny));
            let access = Access { allow, deny };
            let ip: std::net::IpAddr = ip.parse().expect("an address");
            assert_eq!(access.permits(ip.into()), *expected, "{ip} {access:?}");
        }
    }

    #[test]
    fn a_client_without_an_address_is_in_no_network() {
        for (allow, deny, unix, unknown) in [
            (&[][..], &[][..], true, true),
            (&Cidr::ALL[..], &[][..], true, true),
            (&Cidr::ALL[..1], &[][..], false, false),
            (&[network("0.0.0.0")], &[], false, false),
            (&[network("10.0.0.0/8")], &[], false, false),
            (&[], &Cidr::ALL, false, false),
            (&[], &[network("10.0.0.66")], true, false),
            (&Cidr::ALL, &[network("10.0.0.66")], true, false),
        ] {
            let (allow, deny) = (allow.to_vec(), deny.to_vec());
            let access = Access { allow, deny };
            assert_eq!(access.permits(ClientAddress::Unix), unix, "{access:?}");
            assert_eq!(
                access.permits(ClientAddress::Unknown),
                unknown,
                "{access:?}"
            );
        }
    }

    #[test]
    fn a_status_has_its_own_page_before_that_of_its_class() {
        let mut pages = ErrorPages::default();
        pages.insert(StatusPattern::ClientError, "4xx.html".into());
        pages.insert(StatusPattern::Exact(Status::NOT_FOUND), "404.html".into());
        for (status, expected) in [
            (Status::NOT_FOUND, Some("404.html")),
            (Status::GONE, Some("4xx.html")),
            (Status::INTERNAL_SERVER_ERROR, None),
        ] {
            assert_eq!(pages.find(status), expected.map(Path::new), "{status}");
        }
    }

    fn changes(set: &[&str], add: &[&str], remove: &[&str]) -> HeaderChanges {
        let pair = |text: &&str| {
            let (name, value) = text.split_once('=').expect("NAME=VALUE");
            (name.to_owned(), RequestText::plain(value))
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
