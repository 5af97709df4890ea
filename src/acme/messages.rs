//! The messages of a CA (RFC 8555 §7.1), as far as they are used. Other members are ignored.

use serde::Deserialize;

/// The URLs of a CA (RFC 8555 §7.1.1, RFC 9773 §4.1).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Directory {
    pub(super) new_nonce: String,
    pub(super) new_account: String,
    pub(super) new_order: String,
    pub(super) key_change: Option<String>,
    pub(super) renewal_info: Option<String>,
    #[serde(default)]
    pub(super) meta: Meta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    #[serde(default)]
    pub(super) external_account_required: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OrderStatus {
    Pending,
    Ready,
    Processing,
    Valid,
    Invalid,
}

/// RFC 8555 §7.1.3.
#[derive(Debug, Deserialize)]
pub(super) struct Order {
    pub(super) status: OrderStatus,
    pub(super) authorizations: Vec<String>,
    pub(super) finalize: String,
    pub(super) certificate: Option<String>,
    pub(super) error: Option<Problem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AuthorizationStatus {
    Pending,
    Valid,
    Invalid,
    Deactivated,
    Expired,
    Revoked,
}

impl AuthorizationStatus {
    /// Whether the authorization cannot become valid any more (RFC 8555 §7.1.6).
    pub(super) fn is_failed(self) -> bool {
        match self {
            Self::Pending | Self::Valid => false,
            Self::Invalid | Self::Deactivated | Self::Expired | Self::Revoked => true,
        }
    }
}

/// RFC 8555 §7.1.4.
#[derive(Debug, Deserialize)]
pub(super) struct Authorization {
    pub(super) status: AuthorizationStatus,
    pub(super) identifier: Identifier,
    #[serde(default)]
    pub(super) challenges: Vec<Offer>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Identifier {
    pub(super) value: String,
}

/// A challenge that the CA offers (RFC 8555 §7.1.5).
#[derive(Debug, Deserialize)]
pub(super) struct Offer {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) url: String,
    #[serde(default)]
    pub(super) token: String,
    pub(super) error: Option<Problem>,
}

/// What went wrong, in the CA's words (RFC 7807, RFC 8555 §6.7).
#[derive(Debug, Default, Deserialize)]
pub(super) struct Problem {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) detail: String,
    /// Where the operator finds what to do, if `type` is `userActionRequired` (RFC 8555 §7.3.3).
    pub(super) instance: Option<String>,
    #[serde(default)]
    pub(super) subproblems: Vec<Subproblem>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Subproblem {
    #[serde(default)]
    pub(super) detail: String,
    pub(super) identifier: Option<Identifier>,
}

/// When a certificate is to be renewed (RFC 9773 §4.2).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RenewalInfo {
    pub(super) suggested_window: Window,
    #[serde(rename = "explanationURL")]
    pub(super) explanation: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Window {
    pub(super) start: String,
    pub(super) end: String,
}

/// What the operator reads of a CA's words: a line without control characters, and not too long.
const MAX_SAID: usize = 500;

impl Problem {
    /// What follows `urn:ietf:params:acme:error:`.
    pub(super) fn name(&self) -> &str {
        let prefix = "urn:ietf:params:acme:error:";
        self.kind.strip_prefix(prefix).unwrap_or_default()
    }

    /// The CA's words.
    pub(super) fn said(&self) -> String {
        let mut text = self.detail.clone();
        if text.is_empty() {
            text.clone_from(&self.kind);
        }
        if let Some(place) = self
            .instance
            .as_ref()
            .filter(|_| self.name() == "userActionRequired")
        {
            text.push_str(&format!("; see {place}"));
        }
        for part in &self.subproblems {
            let name = part.identifier.as_ref().map_or("", |name| &name.value);
            text.push_str(&format!("; {name}: {}", part.detail));
        }
        shown(&text)
    }
}

/// The CA's `text` as a line for the operator.
pub(super) fn shown(text: &str) -> String {
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(MAX_SAID).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_with_all_that_the_ca_says() {
        for (problem, expected) in [
            (r#"{ "detail": "no\nmore" }"#, "no more"),
            (r#"{ "type": "about:blank" }"#, "about:blank"),
            (
                r#"{ "type": "urn:ietf:params:acme:error:userActionRequired",
                     "detail": "terms have changed", "instance": "https://ca.example/terms" }"#,
                "terms have changed; see https://ca.example/terms",
            ),
            (
                r#"{ "detail": "no", "instance": "/1", "subproblems": [
                     { "detail": "bad", "identifier": { "value": "a.example" } } ] }"#,
                "no; a.example: bad",
            ),
        ] {
            let problem: Problem = serde_json::from_str(problem).expect("a problem");
            assert_eq!(problem.said(), expected);
        }
        assert_eq!(shown(&"x".repeat(600)).len(), MAX_SAID);
    }
}
