//! The account in the storage, and the CA that knows it. Other processes that share the storage use the same
//! account, so that a lock guards its file.
//!
//! ```text
//!                 the file holds    the CA knows
//!  a key change:  old               old
//!                 old, next         old            ─┐
//!      ask        old, next         old or next     ├ a crash: the next process asks the CA which one it is
//!                 old, next         next           ─┘
//!                 next              next
//! ```
//!
//! A key that the CA may know is never removed from the file. While the file holds two, certificates are ordered
//! with the one that the CA knows: a CA that never completes the change does not stop orders.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::account::Account;
use super::authority::Authority;
use super::client::Client;
use super::fault::Fault;
use super::jose::AccountKey;
use super::storage::{self, Storage, StorageError};
use crate::config::model::Acme;
use crate::disk::Lock;
use crate::fetch::client_config;
use crate::runtime::{self, BlockingPool};

/// How long another process may hold the lock of the account: it does so while it reads and writes one small file.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// The time between two tries to take that lock.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// What the account is read, written and registered with.
#[derive(Clone, Copy)]
pub(super) struct Registration<'a> {
    pub(super) pool: &'a Arc<BlockingPool>,
    pub(super) settings: &'a Acme,
    pub(super) storage: &'a Storage,
}

/// The result of a change of the account's key that is not pending.
#[derive(Debug)]
pub(super) enum KeyChange {
    Changed,
    /// There is no change that was begun before.
    Nothing,
    /// The account keeps its key.
    Kept(Fault),
}

impl Registration<'_> {
    /// The CA, which knows the account.
    ///
    /// # Errors
    /// If the CA cannot be asked, or refuses the account.
    pub(super) async fn authority(&self) -> Result<Authority, Fault> {
        let (mut account, mut authority) = self.find_authority().await?;
        if let Some(next) = account.next_key() {
            // A CA that does not answer this question may take an order all the same.
            let knows_next = authority.knows(&next).await;
            if knows_next.is_ok_and(|knows_next| knows_next) {
                self.adopt(&next).await?.tell();
                (account, authority) = self.find_authority().await?;
            }
        }
        self.register(&account, &authority).await?;
        Ok(authority)
    }

    /// The CA, which has not been asked for the account yet.
    ///
    /// # Errors
    /// If the CA does not answer.
    pub(super) async fn find_authority(&self) -> Result<(Account, Authority), Fault> {
        let account = self.account().await?;
        let ca = self.settings.ca.clone();
        let trusted = self.on_disk(move || client_config(ca.as_deref())).await?;
        let client = Client::new(trusted.map_err(Fault::Unreachable)?, Arc::clone(self.pool));
        let url = &self.settings.directory.url;
        let authority = Authority::find(client, url, account.key()).await?;
        Ok((account, authority))
    }

    /// Registers `account` with the CA, and writes its URL to the file.
    async fn register(&self, account: &Account, authority: &Authority) -> Result<Account, Fault> {
        let registered = account.clone().register(authority, self.settings).await?;
        if !registered.is_kept_as(account) {
            let told = registered.clone();
            self.update(move |kept| kept.registered_as(&told)).await?;
        }
        Ok(registered)
    }

    /// Registers `account`, which the CA has lost, with the same key.
    async fn register_again(
        &self,
        account: &Account,
        authority: &Authority,
    ) -> Result<Account, Fault> {
        self.register(&account.clone().forgotten(), authority).await
    }

    /// Removes the URL of the account, which the CA has lost, from the file. It is registered again with the same
    /// key.
    pub(super) async fn forget(&self) -> Result<(), Fault> {
        self.update(|kept| Some(kept.forgotten())).await
    }

    /// Gives the account a new key. A change that was begun before is that change.
    ///
    /// # Errors
    /// If the change is pending: the file may hold two keys, and the CA knows one of them.
    pub(super) async fn change_key(&self) -> Result<KeyChange, Fault> {
        self.change(true).await
    }

    /// Resumes a change of the account's key that was begun before, if there is one.
    ///
    /// # Errors
    /// As [`change_key`](Self::change_key).
    pub(super) async fn resume_key_change(&self) -> Result<KeyChange, Fault> {
        self.change(false).await
    }

    async fn change(&self, may_begin: bool) -> Result<KeyChange, Fault> {
        let fault = match self.try_change(may_begin).await {
            Ok(change) => return Ok(change),
            Err(fault) => fault,
        };
        match self.has_begun_change().await {
            Ok(false) => Ok(KeyChange::Kept(fault)),
            Ok(true) | Err(_) => Err(fault),
        }
    }

    /// Whether the file holds the next key of the account.
    ///
    /// # Errors
    /// If the file cannot be read.
    async fn has_begun_change(&self) -> Result<bool, Fault> {
        let path = self.storage.account();
        let account = self.on_disk(move || Account::read(&path)).await??;
        Ok(account.is_some_and(|account| account.next_key().is_some()))
    }

    async fn try_change(&self, may_begin: bool) -> Result<KeyChange, Fault> {
        if !may_begin && !self.has_begun_change().await? {
            return Ok(KeyChange::Nothing);
        }
        // Without the lock, two processes could change the key at once, and one of them would remove a
        // key that the CA knows.
        let lock = self.take_lock(self.storage.key_change_lock()).await?;
        let busy = || Fault::Busy("another process changes the key of the account");
        let _lock = lock.ok_or_else(busy)?;
        // The other process may have finished it.
        if !may_begin && !self.has_begun_change().await? {
            return Ok(KeyChange::Nothing);
        }
        let (account, authority) = self.find_authority().await?;
        if let Some(next) = account.next_key()
            && authority.knows(&next).await?
        {
            return self.adopt(&next).await;
        }
        let account = match self.register(&account, &authority).await {
            Err(fault) if fault.is_no_account() => {
                self.register_again(&account, &authority).await?
            }
            registered => registered?,
        };
        let next = match account.next_key() {
            Some(next) => next,
            None => {
                authority.key_change()?;
                let next = AccountKey::generate();
                let pkcs8 = next.pkcs8().to_vec();
                self.update(move |kept| Some(kept.with_next(&pkcs8)))
                    .await?;
                next
            }
        };
        self.ask_for_change(&account, &authority, &next).await
    }

    /// Asks the CA to take `next`, which the file holds, in place of the key of `account`.
    async fn ask_for_change(
        &self,
        account: &Account,
        authority: &Authority,
        next: &AccountKey,
    ) -> Result<KeyChange, Fault> {
        let mut asked = authority.ask_for_key(next).await;
        if asked.as_ref().is_err_and(Fault::is_no_account) {
            self.register_again(account, authority).await?;
            asked = authority.ask_for_key(next).await;
        }
        let fault = match asked {
            Ok(()) => return self.adopt(next).await,
            Err(fault) if fault.is_refusal() => fault,
            Err(fault) => return Err(fault),
        };
        // The CA may have made the change before, where its response was lost.
        match authority.knows(next).await {
            Ok(true) => self.adopt(next).await,
            Ok(false) => {
                self.update(|kept| Some(kept.without_next())).await?;
                Ok(KeyChange::Kept(fault))
            }
            // Why it cannot be asked is of less use to the operator than the refusal.
            Err(_) => Err(fault),
        }
    }

    /// Makes `next`, which the CA knows now, the key of the account. Nothing is lost if another process has done
    /// so before.
    async fn adopt(&self, next: &AccountKey) -> Result<KeyChange, Fault> {
        let pkcs8 = next.pkcs8().to_vec();
        self.update(move |kept| kept.with_key(&pkcs8)).await?;
        Ok(KeyChange::Changed)
    }

    /// The lock in the file at `path`; `None`: another process holds it.
    async fn take_lock(&self, path: PathBuf) -> Result<Option<Lock>, Fault> {
        let taken = self.on_disk(move || Lock::take(&path)).await?;
        Ok(taken.map_err(StorageError::from)?)
    }

    /// The lock of the account. Another process may hold it for `patience`.
    ///
    /// # Errors
    /// If it still does then.
    async fn lock_account(&self, patience: Duration) -> Result<Lock, Fault> {
        let mut left = patience;
        loop {
            if let Some(lock) = self.take_lock(self.storage.account_lock()).await? {
                return Ok(lock);
            }
            let busy = Fault::Busy("another process holds the lock of the account");
            left = left.checked_sub(LOCK_PAUSE).ok_or(busy)?;
            runtime::sleep(LOCK_PAUSE).await;
        }
    }

    /// The account in the storage.
    async fn account(&self) -> Result<Account, Fault> {
        let lock = self.lock_account(LOCK_PATIENCE).await?;
        let path = self.storage.account();
        let read = self.on_disk(move || {
            let _lock = lock;
            storage::remove_prepared(&path);
            Account::read_or_make(&path)
        });
        Ok(read.await??)
    }

    /// Changes the account in the storage. `change` gets it as it is there now: another process may have
    /// changed it since this one has read it. `None` leaves it as it is.
    async fn update(
        &self,
        change: impl FnOnce(Account) -> Option<Account> + Send + 'static,
    ) -> Result<(), Fault> {
        let lock = self.lock_account(LOCK_PATIENCE).await?;
        let path = self.storage.account();
        let written = self.on_disk(move || {
            let _lock = lock;
            let kept = Account::read_or_make(&path)?;
            match change(kept) {
                Some(account) => storage::write(&path, &account),
                None => Ok(()),
            }
        });
        Ok(written.await??)
    }

    /// Calls `work` on a thread that may wait for the disk.
    ///
    /// # Errors
    /// If there is no such thread.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        Ok(self.pool.run(work).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    /// A process that hung with the lock stopped all others for ever, without a word.
    #[test]
    fn a_process_that_keeps_the_lock_of_the_account_is_not_waited_for_without_limit() {
        let directory = TemporaryDirectory::new("registration");
        let settings = Acme::at("https://ca.example/dir", directory.path().to_owned());
        let taken = runtime::run(async move {
            let storage = Storage::open(&settings).expect("a storage");
            let registration = Registration {
                pool: &BlockingPool::new(1, 1),
                settings: &settings,
                storage: &storage,
            };
            let held = Lock::take(&storage.account_lock()).expect("ours");
            let busy = registration.lock_account(LOCK_PAUSE).await.err();
            drop(held);
            let free = registration.lock_account(Duration::ZERO).await;
            (busy.expect("it is held").to_string(), free.is_ok())
        });
        let expected = "another process holds the lock of the account".to_owned();
        assert_eq!(taken.expect("a loop"), (expected, true));
    }
}
