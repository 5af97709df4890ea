//! Which records a follower wants.

use crate::config::model::{Cidr, LogCondition, PathStart};
use crate::log::condition::{holds, is_for};
use crate::log::record::AccessRecord;

/// Which records a follower wants: those for which everything holds that is said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// What access logs can say, too; its `route` and `path` are not used.
    pub(crate) when: LogCondition,
    /// Empty: any.
    pub(crate) places: Vec<Place>,
    /// Hosts without ports, as records have them; empty: any.
    pub(crate) host: Vec<String>,
    /// Empty: any.
    pub(crate) client: Vec<Cidr>,
}

/// Where the requests go that a follower wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// To the route of this key.
    Route(String),
    /// To this path, or what is below it.
    Path(PathStart),
}

impl Filter {
    /// Whether the follower wants `record`. What is redacted of a record cannot be asked for.
    pub(crate) fn takes(&self, record: &AccessRecord<'_>) -> bool {
        let Self {
            when,
            places,
            host,
            client,
        } = self;
        let is_of_client = || {
            let address = record.client.ip();
            address.is_some_and(|address| client.iter().any(|network| network.contains(address)))
        };
        let is_host = |host: &String| record.host.eq_ignore_ascii_case(host.as_bytes());
        holds(when, record)
            && (places.is_empty() || places.iter().any(|place| place.has(record)))
            && (host.is_empty() || host.iter().any(is_host))
            && (client.is_empty() || is_of_client())
    }
}

impl Place {
    /// The path `start`, and what is below it.
    pub(crate) fn below(start: &str) -> Self {
        Self::Path(PathStart::new(start.to_owned()))
    }

    fn has(&self, record: &AccessRecord<'_>) -> bool {
        match self {
            Self::Route(key) => record.route == Some(key),
            Self::Path(start) => is_for(record, std::slice::from_ref(start)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::address::ClientAddress;
    use crate::config::network;
    use crate::http::status::Status;

    fn record() -> AccessRecord<'static> {
        let client = IpAddr::from([192, 0, 2, 7]).into();
        AccessRecord {
            host: b"Shop.example",
            route: Some("/api"),
            ..AccessRecord::unreadable(client, b"GET /api/users?id=7 HTTP/1.1", Status::NOT_FOUND)
        }
    }

    fn takes(change: impl FnOnce(&mut Filter)) -> bool {
        let mut filter = Filter::default();
        change(&mut filter);
        filter.takes(&record())
    }

    #[test]
    fn a_filter_without_conditions_takes_all() {
        assert!(takes(|_| ()));
    }

    #[test]
    fn a_route_is_named_by_its_key_alone_and_a_path_has_what_is_below() {
        for (place, expected) in [
            (Place::Route("/api".to_owned()), true),
            (Place::Route("/ap".to_owned()), false),
            (Place::below("/api"), true),
            (Place::below("/api/users"), true),
            (Place::below("/ap"), false),
        ] {
            let name = format!("{place:?}");
            assert_eq!(
                takes(|filter| filter.places = vec![place]),
                expected,
                "{name}"
            );
        }
        let several = [Place::below("/x"), Place::Route("/api".to_owned())];
        assert!(takes(|filter| filter.places = several.to_vec()));
    }

    #[test]
    fn a_host_is_taken_in_any_case() {
        for (host, expected) in [("shop.EXAMPLE", true), ("example", false)] {
            let wanted = vec!["other".to_owned(), host.to_owned()];
            assert_eq!(takes(|filter| filter.host = wanted), expected, "{host}");
        }
    }

    #[test]
    fn a_client_is_an_address_or_in_a_network() {
        for (client, expected) in [
            ("192.0.2.7", true),
            ("192.0.2.0/24", true),
            ("192.0.2.8", false),
        ] {
            let wanted = vec![network(client)];
            assert_eq!(takes(|filter| filter.client = wanted), expected, "{client}");
        }
        let filter = Filter {
            client: vec![network("0.0.0.0/0")],
            ..Filter::default()
        };
        let redacted = AccessRecord {
            client: ClientAddress::Unknown,
            ..record()
        };
        assert!(!filter.takes(&redacted));
    }

    #[test]
    fn all_that_is_said_must_hold() {
        let both = |filter: &mut Filter| {
            filter.host = vec!["shop.example".to_owned()];
            filter.when.slower_than = Some(std::time::Duration::from_secs(1));
        };
        assert!(!takes(both));
    }
}
