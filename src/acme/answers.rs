//! The responses to challenges, by which a CA verifies that a name leads to this server (RFC 8555 §8, RFC
//! 8737).
//!
//! The keeper adds an answer before it tells the CA to verify the name, and removes it once the CA has
//! decided. Workers look answers up.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;

/// The answers of the orders that are under way.
#[derive(Default)]
pub(super) struct Answers(RwLock<Known>);

#[derive(Default)]
struct Known {
    /// By token.
    http: HashMap<String, HttpAnswer>,
    /// By name, in lower case.
    tls: HashMap<String, Arc<ServerConfig>>,
}

struct HttpAnswer {
    /// The name that is verified.
    name: String,
    key_authorization: String,
}

/// An answer that workers give. Dropping it removes the answer.
pub(super) struct Given {
    answers: Arc<Answers>,
    key: Key,
}

enum Key {
    Token(String),
    Name(String),
}

impl Answers {
    /// Has workers answer requests for `token` at `name`.
    pub(super) fn give_http(
        self: &Arc<Self>,
        name: &str,
        token: &str,
        key_authorization: String,
    ) -> Given {
        let answer = HttpAnswer {
            name: name.to_owned(),
            key_authorization,
        };
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.http.insert(token.to_owned(), answer);
        Given {
            answers: Arc::clone(self),
            key: Key::Token(token.to_owned()),
        }
    }

    /// Has workers use `config` for handshakes by which a CA verifies `name`.
    pub(super) fn give_tls(self: &Arc<Self>, name: &str, config: Arc<ServerConfig>) -> Given {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.tls.insert(name.to_owned(), config);
        Given {
            answers: Arc::clone(self),
            key: Key::Name(name.to_owned()),
        }
    }

    /// The key authorization for `token`, if `host` (perhaps with a port) is the name that it is for.
    pub(super) fn http(&self, host: &str, token: &str) -> Option<String> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let answer = known.http.get(token)?;
        let (name, _port) = host.split_once(':').unwrap_or((host, ""));
        let is_it = name.eq_ignore_ascii_case(&answer.name);
        is_it.then(|| answer.key_authorization.clone())
    }

    /// The configuration of a handshake by which a CA verifies `name`.
    pub(super) fn tls(&self, name: &str) -> Option<Arc<ServerConfig>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.tls.get(name).cloned()
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        let mut known = self
            .answers
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match &self.key {
            Key::Token(token) => drop(known.http.remove(token)),
            Key::Name(name) => drop(known.tls.remove(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::made::challenge_config;

    #[test]
    fn an_answer_is_given_for_its_name_until_it_is_dropped() {
        let answers = Arc::<Answers>::default();
        assert_eq!(answers.http("a.example", "token"), None);
        let given = answers.give_http("a.example", "token", "token.key".to_owned());
        for host in ["a.example", "A.example:80", "a.example:5002"] {
            assert_eq!(answers.http(host, "token").as_deref(), Some("token.key"));
        }
        assert_eq!(answers.http("b.example", "token"), None);
        assert_eq!(answers.http("a.example", "other"), None);
        drop(given);
        assert_eq!(answers.http("a.example", "token"), None);
        let config = challenge_config("a.example", "token.key").expect("a config");
        let given = answers.give_tls("a.example", config);
        assert!(answers.tls("a.example").is_some() && answers.tls("b.example").is_none());
        drop(given);
        assert!(answers.tls("a.example").is_none());
    }
}
