//! Who a request is from, as far as this server has verified it, and what handlers are told of that.

use crate::http::fields::is_same_variable;

/// A user that was verified.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `None`: the service that let the request in has named no user.
    pub(crate) user: Option<Box<str>>,
    /// How the user was verified.
    pub(crate) by: VerifiedBy,
    /// Fields of the service that let the request in, for handlers and upstreams.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
}

/// How a user was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VerifiedBy {
    /// By a password, which stands in `Authorization`.
    Password,
    /// Another server was asked.
    Service,
}

impl VerifiedBy {
    /// The value of `AUTH_TYPE` (RFC 3875 §4.1.1).
    pub(crate) fn auth_type(self) -> &'static str {
        match self {
            Self::Password => "Basic",
            Self::Service => "forward",
        }
    }
}

/// The fields by which a server's handlers and upstreams are told of users.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct IdentityFields {
    /// Names of fields that a client must not send: this server alone says them.
    pub(crate) withheld: Vec<String>,
    /// The field that says the name of a user who was verified by a password.
    pub(crate) user: Option<String>,
}

/// What a request is told of users.
#[derive(Clone, Copy, Default)]
pub(crate) struct Verified<'r> {
    pub(crate) identity: Option<&'r Identity>,
    /// `None`: no field is about users here.
    pub(crate) fields: Option<&'r IdentityFields>,
}

impl<'r> Verified<'r> {
    /// The name of the user.
    pub(crate) fn user(self) -> Option<&'r str> {
        self.identity?.user.as_deref()
    }

    /// Whether this server has verified the password in `Authorization`.
    pub(crate) fn is_by_password(self) -> bool {
        self.identity
            .is_some_and(|identity| identity.by == VerifiedBy::Password)
    }

    /// Whether the client's field `name` must not arrive, because applications take it for one that this
    /// server alone says.
    #[inline]
    pub(crate) fn withholds(self, name: &str) -> bool {
        let Some(fields) = self.fields else {
            return false;
        };
        let mut withheld = fields.withheld.iter();
        withheld.any(|other| is_same_variable(name, other))
    }

    /// The fields that say who the user is: names and values.
    pub(crate) fn lines(self) -> impl Iterator<Item = (&'r str, &'r [u8])> {
        let copied = self.identity.map_or(&[][..], |identity| &identity.fields);
        let copied = copied.iter().map(|(name, value)| (&**name, &**value));
        let name = self.fields.and_then(|fields| fields.user.as_deref());
        let name = name.filter(|_| self.is_by_password());
        let user = self.user().map(str::as_bytes);
        copied.chain(name.into_iter().zip(user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_ours_is_withheld_in_any_spelling() {
        let fields = IdentityFields {
            withheld: vec!["Remote-User".to_owned()],
            user: None,
        };
        let verified = Verified {
            identity: None,
            fields: Some(&fields),
        };
        for (name, expected) in [
            ("Remote-User", true),
            ("remote_user", true),
            ("REMOTE-USER", true),
            ("Remote-Users", false),
            ("User", false),
        ] {
            assert_eq!(verified.withholds(name), expected, "{name}");
            assert!(!Verified::default().withholds(name));
        }
    }

    #[test]
    fn a_user_is_told_by_the_fields_of_the_way_that_it_was_verified() {
        let fields = IdentityFields {
            withheld: Vec::new(),
            user: Some("X-User".to_owned()),
        };
        for (by, expected) in [
            (VerifiedBy::Password, &[("G", "a"), ("X-User", "alice")][..]),
            (VerifiedBy::Service, &[("G", "a")]),
        ] {
            let identity = Identity {
                user: Some("alice".into()),
                by,
                fields: vec![("G".to_owned(), b"a".to_vec())],
            };
            let verified = Verified {
                identity: Some(&identity),
                fields: Some(&fields),
            };
            let found: Vec<_> = verified.lines().collect();
            let expected = expected
                .iter()
                .map(|(name, value)| (*name, value.as_bytes()));
            assert_eq!(found, expected.collect::<Vec<_>>(), "{by:?}");
        }
    }
}
