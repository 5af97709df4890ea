//! The account with a CA: made once, then kept in the storage (RFC 8555 §7.3).

use std::path::Path;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::authority::{Authority, no_account};
use super::fault::Fault;
use super::jose::{AccountKey, NoKey, sign_with_hmac};
use super::storage::{self, StorageError};
use crate::config::model::Acme;

/// What is kept of an account.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Account {
    key: KeptKey,
    /// The URL of the account; `None` until the CA has named it.
    url: Option<String>,
    /// The contacts that the CA was told last.
    contact: Vec<String>,
    /// The key that the CA is asked to take in place of `key`; it may have done so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_key: Option<KeptKey>,
}

/// A key as a file holds it: PKCS #8 in base64. It was looked at when it was read.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
struct KeptKey(String);

impl KeptKey {
    fn of(pkcs8: &[u8]) -> Self {
        Self(BASE64.encode(pkcs8))
    }

    fn key(&self) -> AccountKey {
        key_of(&self.0).expect("it was looked at when it was read")
    }
}

impl TryFrom<String> for KeptKey {
    type Error = NoKey;

    fn try_from(text: String) -> Result<Self, NoKey> {
        key_of(&text)?;
        Ok(Self(text))
    }
}

impl Account {
    /// The account in the file at `path`. Without a file, makes a key and writes it before the CA is asked: a
    /// CA knows an account by its key, so that a second request finds the account of the first one.
    ///
    /// # Errors
    /// If the file cannot be read or written, or holds no account: its key may be all that is left of one, so
    /// that it is not replaced.
    pub(super) fn read_or_make(path: &Path) -> Result<Self, StorageError> {
        if let Some(account) = Self::read(path)? {
            return Ok(account);
        }
        let account = Self {
            key: KeptKey::of(AccountKey::generate().pkcs8()),
            url: None,
            contact: Vec::new(),
            next_key: None,
        };
        storage::write(path, &account)?;
        Ok(account)
    }

    /// The account in the file at `path`; `None` if there is no such file.
    ///
    /// # Errors
    /// If the file cannot be read, or holds no account with its keys.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, StorageError> {
        let Some(text) = storage::read(path)? else {
            return Ok(None);
        };
        let account = serde_json::from_slice(&text);
        account.map(Some).map_err(|_| StorageError::damaged(path))
    }

    /// Registers the account with the CA, with the contacts of `settings`. Returns the account for the file.
    ///
    /// # Errors
    /// If the CA refuses.
    pub(super) async fn register(
        self,
        authority: &Authority,
        settings: &Acme,
    ) -> Result<Self, Fault> {
        let url = match &self.url {
            None => create(authority, settings).await?,
            Some(url) if self.contact == settings.contact => url.clone(),
            Some(url) => {
                authority.account.replace(Some(url.clone()));
                let change = json!({ "contact": settings.contact }).to_string();
                authority.post(url, &change).await?;
                url.clone()
            }
        };
        authority.account.replace(Some(url.clone()));
        Ok(Self {
            url: Some(url),
            contact: settings.contact.clone(),
            ..self
        })
    }

    /// The account without its URL: the CA no longer knows it, and has to register it again.
    pub(super) fn forgotten(self) -> Self {
        Self { url: None, ..self }
    }

    pub(super) fn key(&self) -> AccountKey {
        self.key.key()
    }

    /// The key that is to take the place of the account's; `None`: no change of the key is under way.
    pub(super) fn next_key(&self) -> Option<AccountKey> {
        self.next_key.as_ref().map(KeptKey::key)
    }

    /// The account, whose key is going to be the one in `pkcs8`.
    pub(super) fn with_next(self, pkcs8: &[u8]) -> Self {
        Self {
            next_key: Some(KeptKey::of(pkcs8)),
            ..self
        }
    }

    /// The account, whose next key, the one in `pkcs8`, is its key now. `None`: that is not its next key.
    pub(super) fn with_key(self, pkcs8: &[u8]) -> Option<Self> {
        let key = KeptKey::of(pkcs8);
        (self.next_key.as_ref() == Some(&key)).then_some(Self {
            key,
            next_key: None,
            ..self
        })
    }

    /// The account, which keeps its key.
    pub(super) fn without_next(self) -> Self {
        Self {
            next_key: None,
            ..self
        }
    }

    /// The account, registered as `other` is. `None`: their keys are different.
    pub(super) fn registered_as(self, other: &Self) -> Option<Self> {
        (self.key == other.key).then(|| Self {
            url: other.url.clone(),
            contact: other.contact.clone(),
            ..self
        })
    }

    pub(super) fn is_kept_as(&self, other: &Self) -> bool {
        self.url == other.url && self.contact == other.contact
    }
}

/// The key that the file holds as `text`.
fn key_of(text: &str) -> Result<AccountKey, NoKey> {
    let pkcs8 = BASE64.decode(text.as_bytes()).map_err(|_| NoKey)?;
    AccountKey::from_pkcs8(&pkcs8)
}

/// Registers the account, or finds the one that the CA has for the key. Returns its URL.
async fn create(authority: &Authority, settings: &Acme) -> Result<String, Fault> {
    let url = &authority.directory.new_account;
    let mut wish = json!({ "termsOfServiceAgreed": true });
    if !settings.contact.is_empty() {
        wish["contact"] = settings.contact.clone().into();
    }
    match &settings.external_account {
        Some(external) => {
            let header = json!({ "kid": external.key_id, "url": url });
            let jwk = authority.key.jwk().to_string();
            let binding = sign_with_hmac(&external.hmac_key, header, &jwk);
            wish["externalAccountBinding"] = binding;
        }
        None if authority.directory.meta.external_account_required => {
            let message =
                "the CA issues to its own accounts alone: write external_account in [acme]";
            return Err(Fault::Nonsense(message.to_owned()));
        }
        None => {}
    }
    authority.account.replace(None);
    let reply = authority.post(url, &wish.to_string()).await?;
    reply.location.ok_or_else(no_account)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    #[test]
    fn a_damaged_file_is_an_error_and_stays_as_it_is() {
        let directory = TemporaryDirectory::new("account");
        let path = directory.path().join("account.json");
        let account = Account::read_or_make(&path).expect("room");
        let again = Account::read_or_make(&path).expect("an account");
        assert!(again.is_kept_as(&account) && again.key == account.key);
        let key = &account.key.0;
        for damaged in [
            "",
            "{",
            r#"{ "key": "bm9uZQ==", "contact": [] }"#,
            &format!(r#"{{ "key": "{key}", "next_key": "bm9uZQ==", "contact": [] }}"#),
        ] {
            directory.write("account.json", damaged.as_bytes());
            let error = Account::read_or_make(&path).err().expect("an error");
            let error = error.to_string();
            assert!(error.contains("move it away"), "{error}");
            let kept = std::fs::read_to_string(&path).expect("it is there");
            assert_eq!(kept, damaged);
        }
    }

    /// Such a file was taken for none: a new key took the place of the account's only one.
    #[test]
    fn a_file_that_cannot_be_read_is_not_replaced() {
        let directory = TemporaryDirectory::new("account");
        let path = directory.path().join("account.json");
        std::os::unix::fs::symlink("account.json", &path).expect("ours");
        let error = Account::read_or_make(&path).err().expect("an error");
        assert!(error.to_string().contains("cannot read `"), "{error}");
        let kept = std::fs::read_link(&path).expect("it is there");
        assert_eq!(kept, Path::new("account.json"));
    }

    /// A process that is late, while another one has begun another change, would remove a key that the CA may know.
    #[test]
    fn the_next_key_and_no_other_takes_the_place_of_the_present_one() {
        let [present, next, other] = [(); 3].map(|()| AccountKey::generate());
        let account = Account {
            key: KeptKey::of(present.pkcs8()),
            url: None,
            contact: Vec::new(),
            next_key: Some(KeptKey::of(next.pkcs8())),
        };
        for late in [&present, &other] {
            assert!(account.clone().with_key(late.pkcs8()).is_none());
        }
        let changed = account.with_key(next.pkcs8()).expect("its next key");
        assert!(changed.key == KeptKey::of(next.pkcs8()) && changed.next_key.is_none());
    }
}
