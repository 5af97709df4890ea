//! `auth` of a server or a route, ready to be applied.

use std::collections::HashSet;
use std::sync::Arc;

use super::carryover::{Carryover, Groups};
use crate::auth::Passwords;
use crate::config::model::{self, Auth, Verb};
use crate::handlers::ForwardAuth;
use crate::http::response::FieldLines;
use crate::message::identity::IdentityFields;

/// What a client has to prove, and what is told of it.
pub(crate) struct ServingAuth {
    pub(crate) door: Door,
    pub(crate) fields: IdentityFields,
    /// As the configuration has it: what one route has asked for is not asked for again where a local redirect
    /// leads to a route with the same.
    rule: Option<Auth>,
}

/// How a request is let in.
pub(crate) enum Door {
    /// It is; but the client may not say who it is.
    Open,
    Basic(Basic),
    Forward(Box<ForwardAuth>),
}

/// By a password.
pub(crate) struct Basic {
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) realm: String,
    /// The field of a 401 that asks for a password.
    pub(crate) challenge: FieldLines,
}

impl ServingAuth {
    /// Prepares `auth` of a policy; `withheld` are the fields that say who a user is anywhere on the server.
    pub(super) fn new(
        auth: Option<&Auth>,
        withheld: &[String],
        asker: &str,
        groups: &Groups,
        carryover: &mut Carryover,
    ) -> Option<Box<Self>> {
        if auth.is_none() && withheld.is_empty() {
            return None;
        }
        let mut user = None;
        let door = match auth {
            None => Door::Open,
            Some(Auth::Basic(basic)) => {
                user.clone_from(&basic.user_header);
                Door::Basic(Basic {
                    passwords: carryover.passwords(&basic.file),
                    realm: basic.realm.clone(),
                    challenge: FieldLines::new().with("WWW-Authenticate", challenge(&basic.realm)),
                })
            }
            Some(Auth::Forward(forward)) => {
                let group = groups.get(&forward.upstream);
                let group = group.expect("checking found the upstream of every `auth`");
                Door::Forward(Box::new(ForwardAuth::new(
                    forward,
                    Arc::clone(group),
                    asker,
                )))
            }
        };
        Some(Box::new(Self {
            door,
            fields: IdentityFields {
                withheld: withheld.to_vec(),
                user,
            },
            rule: auth.cloned(),
        }))
    }

    /// Whether nothing has to be proved.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.door, Door::Open)
    }

    /// As the configuration has it.
    pub(super) fn rule(&self) -> Option<&Auth> {
        self.rule.as_ref()
    }

    /// Whether a client that was let in by `other` has proved what is wanted here.
    pub(crate) fn is_satisfied_by(&self, other: &Self) -> bool {
        self.rule == other.rule
    }
}

/// The names of all fields that say who a user is on `server`, or what certificate the client has shown: a client that
/// sends one of them to a route that is open must not be taken for that user by an application that is behind a closed
/// one as well.
pub(super) fn withheld(server: &model::Server) -> Vec<String> {
    let routes = server.routes.iter().map(|route| &route.policy);
    let policies = routes.chain([&server.policy]);
    let rules = policies.filter_map(|policy| policy.auth.as_ref());
    let of_users = rules.flat_map(|auth| auth.fields());
    let proxies = server.routes.iter().filter_map(|route| match &route.verb {
        Verb::Proxy(proxy) => Some(proxy),
        _ => None,
    });
    let of_certificates = proxies.flat_map(|proxy| &proxy.client_certificate);
    let names = of_users.chain(of_certificates.map(|(name, _)| name));
    let mut seen = HashSet::new();
    let names = names.filter(|name| seen.insert(name.to_ascii_lowercase()));
    names.cloned().collect()
}

/// The value of `WWW-Authenticate` (RFC 7617 §2, §2.1).
fn challenge(realm: &str) -> String {
    let escaped = realm.replace('\\', "\\\\").replace('"', "\\\"");
    format!("Basic realm=\"{escaped}\", charset=\"UTF-8\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_is_a_quoted_string() {
        for (realm, expected) in [
            ("Admin", r#"Basic realm="Admin", charset="UTF-8""#),
            ("", r#"Basic realm="", charset="UTF-8""#),
            (
                r#"a "b" \c"#,
                r#"Basic realm="a \"b\" \\c", charset="UTF-8""#,
            ),
        ] {
            assert_eq!(challenge(realm), expected, "{realm}");
        }
    }
}
