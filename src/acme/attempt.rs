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
use crate::http::date::iso;
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
        loop {
            let begun = match &record.begun {
                Some(begun) => begun.clone(),
                None => {
                    let begun = order::begin(&authority, &wish).await?;
                    record.begun = Some(begun.clone());
                    self.keep(record).await?;
                    begun
                }
            };
            // The certificate of an order that is not old is taken as it is: if that seems to have expired, the clock
            // here is wrong, and each try would make another order, until the CA refuses more.
            let now = SystemTime::now();
            let date = begun.is_old(now).then_some(now);
            let text = order::complete(&authority, &begun, &wish, self.answers).await?;
            let (file, names) = (self.file.to_owned(), self.names.to_vec());
            let put = move || put(&file, &names, &text, date);
            match self.registration.on_disk(put).await?? {
                Put::Done(standing) => return Ok(standing),
                Put::Outdated(why) => {
                    let names = self.names.join(", ");
                    diagnostic::warn(format_args!(
                        "acme: {names}: the order that was resumed is given up, and another one made: {why}"
                    ));
                    record.begun = None;
                }
            }
        }
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

/// What came of a certificate that the CA has issued.
#[derive(Debug)]
enum Put {
    Done(Standing),
    /// It was not written, because of its dates.
    Outdated(String),
}

/// Writes the certificate that the CA has issued to `file`, if it is for `names` and fits its key, and is valid at
/// `date`, if that is given.
fn put(file: &Path, names: &[String], text: &str, date: Option<SystemTime>) -> Result<Put, Fault> {
    let prepared =
        disk::prepare(file, text.as_bytes(), Access::Owner).map_err(StorageError::from)?;
    let issued = tls::check_issued(prepared.path(), names).map_err(|fault| {
        Fault::Nonsense(format!(
            "the CA has issued a certificate that cannot be used: {}",
            fault.message
        ))
    })?;
    let dates = (issued.facts.not_before, issued.facts.not_after);
    if let Some(why) = date.and_then(|date| outdated(dates, date)) {
        return Ok(Put::Outdated(why));
    }
    prepared.commit().map_err(StorageError::from)?;
    let unread = || StorageError::unread(file);
    Ok(Put::Done(Standing::read(file, names).ok_or_else(unread)?))
}

/// How far the clock of the CA may be ahead of this one.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(60 * 60);

/// Why a certificate that is valid from `begins` until `ends` is of no use at `date`.
fn outdated((begins, ends): (SystemTime, SystemTime), date: SystemTime) -> Option<String> {
    if date >= ends {
        Some(format!("its certificate expired {}", iso(ends)))
    } else if date + CLOCK_DIFFERENCE < begins {
        Some(format!(
            "its certificate is not valid before {}",
            iso(begins)
        ))
    } else {
        None
    }
}

/// A moment as RFC 3339 writes it.
fn moment(text: &str) -> Option<SystemTime> {
    let timestamp: jiff::Timestamp = text.parse().ok()?;
    Some(timestamp.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    /// An order that was resumed late yielded a certificate that had expired, and counted as issued.
    #[test]
    fn a_certificate_that_has_expired_is_not_written() {
        let directory = TemporaryDirectory::new("attempt");
        let file = directory.path().join("a.pem");
        let names = ["localhost".to_owned()];
        // 2050-01-01: the fixture `localhost` is valid then.
        let date = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(2_524_608_000));
        for (name, at, is_written) in [
            ("expired", date, false),
            ("early", date, false),
            ("localhost", date, true),
            ("expired", None, true),
        ] {
            let part =
                |end: &str| std::fs::read_to_string(format!("tests/fixtures/tls/{name}.{end}"));
            let text = part("pem").expect("a fixture") + &part("key").expect("a fixture");
            let put = put(&file, &names, &text, at).expect("a certificate with its key");
            assert_eq!(matches!(put, Put::Done(_)), is_written, "{name}: {put:?}");
            assert_eq!(file.exists(), is_written, "{name}");
            let _ = std::fs::remove_file(&file);
        }
    }

    #[test]
    fn the_clocks_may_differ_a_little() {
        let begins = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let ends = begins + Duration::from_secs(1000);
        let is_outdated = |date| outdated((begins, ends), date).is_some();
        assert!(!is_outdated(begins) && !is_outdated(begins - CLOCK_DIFFERENCE));
        assert!(is_outdated(
            begins - CLOCK_DIFFERENCE - Duration::from_secs(1)
        ));
        assert!(is_outdated(ends) && !is_outdated(ends - Duration::from_secs(1)));
    }
}
