//! A CA: its directory, the nonces it gives, and requests that the account's key has signed (RFC 8555
//! §6).

use std::cell::RefCell;

use serde::de::DeserializeOwned;
use serde_json::json;

use super::client::{Client, Reply};
use super::fault::Fault;
use super::jose::AccountKey;
use super::messages::{Directory, Problem};
use crate::http::http_url::HttpsUrl;
use crate::http::method::Method;

/// How often a request is sent until the CA accepts its nonce (RFC 8555 §6.5).
const MAX_NONCES: usize = 10;

/// A CA, as one account sees it.
pub(super) struct Authority {
    client: Client,
    pub(super) directory: Directory,
    pub(super) key: AccountKey,
    /// The URL of the account, once the CA has named it.
    pub(super) account: RefCell<Option<String>>,
    /// The nonce of the next request, if the CA has sent one.
    nonce: RefCell<Option<String>>,
}

impl Authority {
    /// Asks for the directory at `url`.
    ///
    /// # Errors
    /// If there is none.
    pub(super) async fn find(
        client: Client,
        url: &HttpsUrl,
        key: AccountKey,
    ) -> Result<Self, Fault> {
        let reply = client.ask(Method::Get, url, "").await?;
        if reply.status != 200 {
            return Err(refusal(&reply));
        }
        Ok(Self {
            client,
            directory: parse(&reply, "directory")?,
            key,
            account: RefCell::default(),
            nonce: RefCell::default(),
        })
    }

    /// Asks for what is at `url`, without a signature.
    ///
    /// # Errors
    /// If there is nothing.
    pub(super) async fn get(&self, url: &str) -> Result<Reply, Fault> {
        let reply = self.client.ask(Method::Get, &parsed(url)?, "").await?;
        accepted(reply)
    }

    /// Sends `payload` to `url`, signed for the account. An empty payload asks for what is there
    /// (RFC 8555 §6.3).
    ///
    /// # Errors
    /// If the CA refuses, or does not answer.
    pub(super) async fn post(&self, url: &str, payload: &str) -> Result<Reply, Fault> {
        let account = self.account.borrow().clone();
        self.send(url, payload, account.as_deref(), &self.key).await
    }

    /// Sends `payload` to `url`, signed by `key` for `account`. `None`: for the account of the key.
    async fn send(
        &self,
        url: &str,
        payload: &str,
        account: Option<&str>,
        key: &AccountKey,
    ) -> Result<Reply, Fault> {
        let target = parsed(url)?;
        let mut refused = None;
        for _ in 0..MAX_NONCES {
            let nonce = self.next_nonce().await?;
            let mut header = json!({ "nonce": nonce, "url": url });
            match account {
                Some(account) => header["kid"] = account.into(),
                None => header["jwk"] = key.jwk(),
            }
            let signed = key.sign(header, payload);
            let reply = self.client.ask(Method::Post, &target, &signed).await?;
            self.nonce.replace(reply.nonce.clone());
            match accepted(reply) {
                Err(fault) if fault.is_of("badNonce") => refused = Some(fault),
                outcome => return outcome,
            }
        }
        Err(refused.expect("each round but the last has returned"))
    }

    /// [`post`](Self::post), whose response is a message. `what` is its name for the operator.
    ///
    /// # Errors
    /// As `post`, or if the response is no such message.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        url: &str,
        payload: &str,
        what: &str,
    ) -> Result<(T, Reply), Fault> {
        let reply = self.post(url, payload).await?;
        Ok((parse(&reply, what)?, reply))
    }

    /// Whether the CA knows an account by `key` (RFC 8555 §7.3.1).
    ///
    /// # Errors
    /// If the CA does not say.
    pub(super) async fn knows(&self, key: &AccountKey) -> Result<bool, Fault> {
        let url = &self.directory.new_account;
        let wish = json!({ "onlyReturnExisting": true }).to_string();
        match self.send(url, &wish, None, key).await {
            Ok(_) => Ok(true),
            Err(fault) if fault.is_no_account() => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Where the CA changes keys.
    ///
    /// # Errors
    /// If it changes none.
    pub(super) fn key_change(&self) -> Result<&str, Fault> {
        let nonsense = || Fault::Nonsense("the CA changes no keys of accounts".to_owned());
        self.directory.key_change.as_deref().ok_or_else(nonsense)
    }

    /// Asks the CA to know the account by `next` (RFC 8555 §7.3.5).
    ///
    /// # Errors
    /// If the CA refuses, or does not answer.
    pub(super) async fn ask_for_key(&self, next: &AccountKey) -> Result<(), Fault> {
        let url = self.key_change()?;
        let account = self.account.borrow().clone().ok_or_else(no_account)?;
        let wish = json!({ "account": account, "oldKey": self.key.jwk() });
        let header = json!({ "jwk": next.jwk(), "url": url });
        let signed = next.sign(header, &wish.to_string());
        self.post(url, &signed).await.map(drop)
    }

    async fn next_nonce(&self) -> Result<String, Fault> {
        let kept = self.nonce.take();
        if let Some(nonce) = kept {
            return Ok(nonce);
        }
        let url = parsed(&self.directory.new_nonce)?;
        let reply = accepted(self.client.ask(Method::Head, &url, "").await?)?;
        let nonsense = || Fault::Nonsense("the CA gives no nonce".to_owned());
        reply.nonce.ok_or_else(nonsense)
    }
}

/// The fault of a CA that has an account and does not say where.
pub(super) fn no_account() -> Fault {
    Fault::Nonsense("the CA does not say where the account is".to_owned())
}

fn parsed(url: &str) -> Result<HttpsUrl, Fault> {
    url.parse().map_err(|error| Fault::of_url(url, error))
}

/// The message in `reply`, called `what`.
pub(super) fn parse<T: DeserializeOwned>(reply: &Reply, what: &str) -> Result<T, Fault> {
    serde_json::from_slice(&reply.content)
        .map_err(|error| Fault::Nonsense(format!("the CA sent no {what}: {error}")))
}

/// `reply`, if its status is 2xx.
fn accepted(reply: Reply) -> Result<Reply, Fault> {
    match reply.status {
        200..300 => Ok(reply),
        _ => Err(refusal(&reply)),
    }
}

fn refusal(reply: &Reply) -> Fault {
    let problem: Problem = serde_json::from_slice(&reply.content).unwrap_or_default();
    let said = match problem.said() {
        said if said.is_empty() => "it does not say why".to_owned(),
        said => said,
    };
    Fault::Refused {
        status: reply.status,
        kind: problem.name().to_owned(),
        said,
        retry_after: reply.retry_after,
    }
}
