//! One attempt at a certificate: the account, the order, and the file.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::answers::Answers;
use super::authority;
use super::fault::Fault;
use super::messages::{RenewalInfo, shown};
use super::order::{self, Wish};
use super::record::{Record, Standing};
use super::registration::Registration;
use super::storage::{self, StorageError};
use crate::disk::{self, Access};
use crate::log::diagnostic;
use crate::tls;

/// What an attempt is made with.
pub(super) struct Attempt<'a> {
    pub(super) registration: Registration<'a>,
    pub(super) answers: &'a Arc<Answers>,
    pub(super) names: &'a [String],
    /// Where the certificate is put.
    pub(super) file: &'a Path,
}

impl Attempt<'_> {
    /// Orders the certificate, or resumes the order that `record` holds. `record` says afterwards
    /// when to try again, or when to renew.
    ///
    /// # Errors
    /// Why there is no certificate.
    ///
    /// # Cancellation
    /// The storage holds every step that has ended.
    pub(super) async fn make(
        &self,
        record: &mut Record,
        standing: Option<&Standing>,
    ) -> Result<(), Fault> {
        let mut outcome = self.order(record, standing).await;
        if outcome.as_ref().is_err_and(Fault::is_no_account) {
            // The CA has lost the account, and its orders with it. The key makes another.
            record.begun = None;
            outcome = match self.registration.forget().await {
                Ok(()) => self.order(record, standing).await,
                Err(fault) => Err(fault),
            };
        }
        let now = SystemTime::now();
        match &outcome {
            Ok(standing) => record.note_issued(standing, now),
            Err(fault) => record.note_failure(fault, now),
        }
        if let Err(error) = self.keep(record).await {
            diagnostic::error(format_args!("acme: {error}"));
        }
        outcome.map(drop)
    }

    async fn order(
        &self,
        record: &mut Record,
        standing: Option<&Standing>,
    ) -> Result<Standing, Fault> {
        let authority = self.registration.authority().await?;
        let has_info = authority.directory.renewal_info.is_some();
        let replaces = standing.and_then(|standing| standing.identifier.clone());
        let wish = Wish {
            names: self.names.to_vec(),
            challenges: self.registration.settings.challenges.clone(),
            replaces: replaces.filter(|_| has_info),
            refusals: record.refusals,
        };
        let begun = match &record.begun {
            Some(begun) => begun.clone(),
            None => {
                let begun = order::begin(&authority, &wish).await?;
                record.begun = Some(begun.clone());
                self.keep(record).await?;
                begun
            }
        };
        let text = order::complete(&authority, &begun, &wish, self.answers).await?;
        let (file, names) = (self.file.to_owned(), self.names.to_vec());
        let put = move || put(&file, &names, &text);
        self.registration.on_disk(put).await?
    }

    /// Asks the CA when the certificate of `standing` is to be renewed (RFC 9773), if the CA offers that.
    pub(super) async fn ask_renewal(&self, record: &mut Record, standing: &Standing) {
        let now = SystemTime::now();
        match self.renewal_info(standing).await {
            Ok(Some((info, wait))) => {
                let window = [&info.suggested_window.start, &info.suggested_window.end];
                let [start, end] = window.map(|text| moment(text));
                if let Some(why) = &info.explanation {
                    diagnostic::info(format_args!(
                        "acme: the CA says why {} is to be renewed: {}",
                        self.names.join(", "),
                        shown(why)
                    ));
                }
                record.note_renewal_info(start.zip(end), wait, now);
            }
            Ok(None) | Err(_) => record.note_renewal_info(None, None, now),
        }
        if let Err(error) = self.keep(record).await {
            diagnostic::error(format_args!("acme: {error}"));
        }
    }

    async fn renewal_info(
        &self,
        standing: &Standing,
    ) -> Result<Option<(RenewalInfo, Option<Duration>)>, Fault> {
        let Some(identifier) = &standing.identifier else {
            return Ok(None);
        };
        let (_, authority) = self.registration.find_authority().await?;
        let Some(url) = &authority.directory.renewal_info else {
            return Ok(None);
        };
        let url = format!("{}/{identifier}", url.trim_end_matches('/'));
        let reply = authority.get(&url).await?;
        let info = authority::parse(&reply, "renewal information")?;
        Ok(Some((info, reply.retry_after)))
    }

    async fn keep(&self, record: &Record) -> Result<(), Fault> {
        let Registration { storage, .. } = self.registration;
        let (path, record) = (storage.order(self.file), record.clone());
        let write = move || storage::write(&path, &record);
        Ok(self.registration.on_disk(write).await??)
    }
}

/// Writes the certificate that the CA has issued to `file`, if it is for `names` and fits its key.
fn put(file: &Path, names: &[String], text: &str) -> Result<Standing, Fault> {
    let prepared =
        disk::prepare(file, text.as_bytes(), Access::Owner).map_err(StorageError::from)?;
    tls::check_issued(prepared.path(), names).map_err(|fault| {
        Fault::Nonsense(format!(
            "the CA has issued a certificate that cannot be used: {}",
            fault.message
        ))
    })?;
    prepared.commit().map_err(StorageError::from)?;
    let unread = || StorageError::unread(file);
    Ok(Standing::read(file, names).ok_or_else(unread)?)
}

/// A moment as RFC 3339 writes it.
fn moment(text: &str) -> Option<SystemTime> {
    let timestamp: jiff::Timestamp = text.parse().ok()?;
    Some(timestamp.into())
}
