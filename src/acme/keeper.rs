//! The task that keeps certificates: one for the process, on a thread of the supervisor's.
//!
//! ```text
//!        ┌──────────────────────────────────────────────────────┐
//!        ▼                                                       │
//!   look: another process may have written ─→ its lock? ─ no ─→ wait
//!        │                                       │ yes           ▲
//!        │                                       ▼               │
//!        │                                 what is due? ─ none ──┤
//!        │                                       ▼               │
//!        └── show the new one ←─ issued ─── one attempt ─ failed ┘ a pause that grows
//! ```
//!
//! It orders one certificate at a time: a CA limits what an account may ask. The plan of the next generation
//! takes the place of the last one without a break, if it is for the same CA: an order under way goes on.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::attempt::Attempt;
use super::command::{Command, KeyOutcome, KeyRequest};
use super::fault::Fault;
use super::key_changes::KeyChanges;
use super::plan::{Plan, Wanted};
use super::record::{Record, Standing};
use super::registration::Registration;
use super::state::{Stage, State};
use super::storage::{self, Storage, StorageError, remove_prepared};
use crate::config::model::Acme;
use crate::disk::Lock;
use crate::log::diagnostic;
use crate::runtime::{self, BlockingPool, Either, Receiver, channel, either};

/// The keeper looks at every certificate at least this often: the operator may set the clock, and other
/// processes change files.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A process without the lock of a certificate looks this often whether it gets the lock, or whether the
/// file has changed.
const WITHOUT_LOCK: Duration = Duration::from_secs(2);

/// Threads for files and look-ups of names, and how much may wait for them.
const THREADS: usize = 2;
const QUEUE: usize = 64;

/// Carries out commands until the sender is gone: keeps the certificates of the last plan, and changes keys.
pub(crate) async fn keep(mut commands: Receiver<Command>) {
    let mut next = commands.receive().await;
    while let Some(command) = next {
        next = match command {
            Command::Follow(Some(plan)) => follow(*plan, &mut commands).await,
            Command::Follow(None) => commands.receive().await,
            Command::ChangeKey(answer) => {
                answer(KeyOutcome::without_acme());
                commands.receive().await
            }
        };
    }
}

/// What the task has to do, as the last commands have it.
struct Work {
    plan: RefCell<Plan>,
    /// Requests for another key of the account.
    requests: RefCell<Vec<KeyRequest>>,
}

/// Follows `plan` and the commands after it, as far as they are for the same CA. Returns the first command
/// that is not; `None` if there will be no more.
async fn follow(plan: Plan, commands: &mut Receiver<Command>) -> Option<Command> {
    let (changed, changes) = channel();
    let work = Rc::new(Work {
        plan: RefCell::new(plan),
        requests: RefCell::default(),
    });
    let mut done = pin!(keep_at(Rc::clone(&work), changes));
    let mut asked: Vec<KeyRequest> = Vec::new();
    loop {
        let next = match either(commands.receive(), done.as_mut()).await {
            Either::First(next) => next,
            Either::Second(never) => match never {},
        };
        match next {
            Some(Command::Follow(Some(next))) if next.settings == work.plan.borrow().settings => {
                work.plan.replace(*next);
            }
            Some(Command::ChangeKey(answer)) => {
                let request = KeyRequest::new(answer);
                asked.retain(|request| !request.is_answered());
                asked.push(request.clone());
                work.requests.borrow_mut().push(request);
            }
            None => return None,
            other => {
                for request in asked {
                    request.answer(KeyOutcome::reloaded());
                }
                return other;
            }
        }
        changed.send(());
    }
}

async fn keep_at(work: Rc<Work>, mut changes: Receiver<()>) -> Infallible {
    let settings = work.plan.borrow().settings.clone();
    let mut keeper = Keeper::new(BlockingPool::new(THREADS, QUEUE), settings);
    loop {
        let present = work.plan.borrow().clone();
        let requests = work.requests.take();
        let wait = keeper.step(&present, requests).await;
        either(changes.receive(), runtime::sleep(wait)).await;
    }
}

/// The task, and what it works with.
struct Keeper {
    pool: Arc<BlockingPool>,
    settings: Acme,
    storage: Option<Storage>,
    /// The locks that this process holds, by the file of the certificate.
    locks: HashMap<PathBuf, Lock>,
    /// The record of each certificate whose lock this process holds. The files hold the same, unless the
    /// disk is full.
    records: HashMap<PathBuf, Record>,
    key_changes: KeyChanges,
}

impl Keeper {
    fn new(pool: Arc<BlockingPool>, settings: Acme) -> Self {
        Self {
            pool,
            settings,
            storage: None,
            locks: HashMap::new(),
            records: HashMap::new(),
            key_changes: KeyChanges::default(),
        }
    }

    /// Changes the key of the account if there are `requests` for that, and orders every certificate that is
    /// due. Returns after which time something more may be due.
    async fn step(&mut self, plan: &Plan, requests: Vec<KeyRequest>) -> Duration {
        let Some(storage) = self.open_storage().await else {
            let said = "the storage cannot be used, and the log says why".to_owned();
            requests
                .into_iter()
                .for_each(|request| request.answer(KeyOutcome::Failed(said.clone())));
            return LONGEST_WAIT;
        };
        let registration = Registration {
            pool: &self.pool,
            settings: &self.settings,
            storage: &storage,
        };
        let key_change = self.key_changes.step(registration, requests).await;
        // Another process may need a certificate that this one needs no more.
        let is_wanted = |file: &PathBuf| plan.wanted.iter().any(|wanted| wanted.file == *file);
        self.records.retain(|file, _| is_wanted(file));
        self.locks.retain(|file, _| is_wanted(file));
        let mut soonest = key_change.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        for wanted in &plan.wanted {
            self.show(wanted).await;
            let wait = match self.keep(plan, wanted, &storage).await {
                Ok(wait) => wait,
                Err(fault) => self.note_unkept(plan, wanted, &fault).await,
            };
            soonest = soonest.min(wait);
        }
        soonest
    }

    /// Orders the certificate if that is due and no other process does so. Returns after which time something
    /// more may be due.
    ///
    /// # Errors
    /// If its lock cannot be taken, or its files cannot be read.
    async fn keep(
        &mut self,
        plan: &Plan,
        wanted: &Wanted,
        storage: &Storage,
    ) -> Result<Duration, Fault> {
        if self.take_lock(wanted, storage).await? {
            self.look_after(plan, wanted, storage).await
        } else {
            self.watch(plan, wanted).await
        }
    }

    /// Whether this process holds the lock of `wanted`, perhaps from now on.
    async fn take_lock(&mut self, wanted: &Wanted, storage: &Storage) -> Result<bool, Fault> {
        if self.locks.contains_key(&wanted.file) {
            return Ok(true);
        }
        let path = storage.lock_file(&wanted.file);
        let targets = [wanted.file.clone(), storage.order(&wanted.file)];
        let taken = self.on_disk(move || {
            let lock = Lock::take(&path)?;
            if lock.is_some() {
                targets.iter().for_each(|target| remove_prepared(target));
            }
            Ok::<_, StorageError>(lock)
        });
        let Some(lock) = taken.await?? else {
            return Ok(false);
        };
        self.locks.insert(wanted.file.clone(), lock);
        Ok(true)
    }

    /// Tells the operator that the certificate cannot be ordered without its lock and its files.
    async fn note_unkept(&self, plan: &Plan, wanted: &Wanted, fault: &Fault) -> Duration {
        let names = wanted.describe();
        let message = format_args!("acme: {names} cannot be ordered: {fault}");
        diagnostic::error_limited(format_args!("acme files {names}"), message);
        let standing = self.standing(wanted).await.ok().flatten();
        let state = State {
            stage: Stage::Failed,
            ends: standing.map(|standing| standing.ends),
            next: Some(SystemTime::now() + LONGEST_WAIT),
            failure: Some(fault.to_string()),
        };
        plan.shared.set_state(&wanted.file, state);
        LONGEST_WAIT
    }

    /// Opens the storage, if it is not open yet.
    async fn open_storage(&mut self) -> Option<Storage> {
        if self.storage.is_none() {
            let settings = self.settings.clone();
            let opened = self.on_disk(move || Storage::open(&settings)).await;
            match opened.and_then(|opened| Ok(opened?)) {
                Ok(storage) => self.storage = Some(storage),
                Err(fault) => diagnostic::error_limited("acme storage", format_args!("{fault}")),
            }
        }
        self.storage.clone()
    }

    /// Shows clients the certificate in the storage, which another process may have written.
    async fn show(&self, wanted: &Wanted) {
        let copy = wanted.clone();
        let shown = self.on_disk(move || copy.show()).await.unwrap_or(Ok(()));
        if let Err(why) = shown {
            let names = wanted.describe();
            diagnostic::error(format_args!("acme: {names}: {why}"));
        }
    }

    /// Takes note of the state of a certificate that another process orders.
    async fn watch(&self, plan: &Plan, wanted: &Wanted) -> Result<Duration, Fault> {
        let standing = self.standing(wanted).await?;
        plan.shared.set_state(
            &wanted.file,
            State {
                stage: Stage::Elsewhere,
                ends: standing.as_ref().map(|standing| standing.ends),
                ..State::default()
            },
        );
        Ok(WITHOUT_LOCK)
    }

    async fn standing(&self, wanted: &Wanted) -> Result<Option<Standing>, Fault> {
        let (file, names) = (wanted.file.clone(), wanted.names.clone());
        self.on_disk(move || Standing::read(&file, &names)).await
    }

    /// Orders the certificate if that is due. Returns the time until it is due.
    async fn look_after(
        &mut self,
        plan: &Plan,
        wanted: &Wanted,
        storage: &Storage,
    ) -> Result<Duration, Fault> {
        let mut record = self.record(wanted, storage).await?;
        let standing = self.standing(wanted).await?;
        let attempt = Attempt {
            registration: Registration {
                pool: &self.pool,
                settings: &self.settings,
                storage,
            },
            answers: &plan.shared.answers,
            names: &wanted.names,
            file: &wanted.file,
        };
        let now = SystemTime::now();
        if let Some(standing) = standing.as_ref().filter(|_| record.asks_renewal(now)) {
            attempt.ask_renewal(&mut record, standing).await;
        }
        let due = record.due(standing.as_ref(), now);
        let mut state = record.state(standing.as_ref(), due.unwrap_or(now));
        if due.is_none() {
            state.stage = match standing {
                Some(_) => Stage::Renewing,
                None => Stage::Ordering,
            };
        }
        plan.shared.set_state(&wanted.file, state);
        if due.is_none() {
            let outcome = attempt.make(&mut record, standing.as_ref()).await;
            tell(wanted, &record, &outcome);
        }
        self.records.insert(wanted.file.clone(), record);
        Ok(match due {
            Some(due) => due.duration_since(now).unwrap_or_default(),
            // The next step takes note of the state.
            None => Duration::ZERO,
        })
    }

    /// The record of a certificate, from memory or from its file.
    async fn record(&self, wanted: &Wanted, storage: &Storage) -> Result<Record, Fault> {
        if let Some(record) = self.records.get(&wanted.file) {
            return Ok(record.clone());
        }
        let path = storage.order(&wanted.file);
        let text = self.on_disk(move || storage::read(&path)).await??;
        // Another version of the server may have written other members: there is a new record then.
        let record = text.and_then(|text| serde_json::from_slice(&text).ok());
        Ok(record.unwrap_or_default())
    }

    /// Calls `work` on a thread that may wait for the disk.
    ///
    /// # Errors
    /// If there is no such thread.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        Ok(self.pool.run(work).await?)
    }
}

fn tell(wanted: &Wanted, record: &Record, outcome: &Result<(), Fault>) {
    let names = wanted.describe();
    let pause = record.pause(SystemTime::now()).as_secs_f64().ceil();
    match outcome {
        Ok(()) => diagnostic::info(format_args!("acme: a certificate for {names} was issued")),
        Err(fault) => diagnostic::error(format_args!(
            "acme: no certificate for {names}: {fault}; the next try is in {pause} seconds"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    fn settings(directory: &TemporaryDirectory, contact: &str) -> Acme {
        Acme {
            contact: vec![contact.to_owned()],
            ..Acme::at("https://localhost:1/dir", directory.path().to_owned())
        }
    }

    /// The certificate for `a.example`.
    fn wanted(settings: &Acme) -> Wanted {
        let names = vec!["a.example".to_owned()];
        Wanted {
            file: settings.certificate_file(&names),
            names,
            terminators: Vec::new(),
        }
    }

    /// The pauses that the file holds were forgotten, and the CA was asked at once.
    #[test]
    fn nothing_is_ordered_while_the_record_cannot_be_read() {
        let directory = TemporaryDirectory::new("keeper");
        let settings = settings(&directory, "mailto:a@example.com");
        let wanted = wanted(&settings);
        let mut plan = Plan::new(settings.clone(), Arc::default());
        plan.wanted.push(wanted.clone());
        let shared = Arc::clone(&plan.shared);
        let wait = runtime::run(async move {
            let storage = Storage::open(&settings).expect("a storage");
            std::fs::create_dir(storage.order(&plan.wanted[0].file)).expect("ours");
            let mut keeper = Keeper::new(BlockingPool::new(1, 8), settings);
            keeper.step(&plan, Vec::new()).await
        });
        assert_eq!(wait.expect("a loop"), LONGEST_WAIT);
        let state = shared.state(&wanted.file);
        let failure = state.failure.unwrap_or_default();
        assert!(failure.contains("cannot read `"), "{failure}");
        assert_eq!(state.stage, Stage::Failed);
    }

    /// The certificate was told to be left to another process, and the log said nothing.
    #[test]
    fn a_lock_is_not_held_elsewhere_because_no_thread_could_take_it() {
        let directory = TemporaryDirectory::new("keeper");
        let settings = settings(&directory, "mailto:a@example.com");
        let wanted = wanted(&settings);
        let taken = runtime::run(async move {
            let storage = Storage::open(&settings).expect("a storage");
            let mut keeper = Keeper::new(BlockingPool::new(0, 0), settings);
            keeper.take_lock(&wanted, &storage).await
        });
        let fault = taken.expect("a loop").expect_err("the pool takes no job");
        let expected = "the queue of the blocking pool is full";
        assert_eq!(fault.to_string(), expected);
    }

    /// Such a request was dropped, and `tidegate acme roll-key` was told that the server ends.
    #[test]
    fn a_request_for_another_key_is_answered_if_a_reload_changes_the_settings() {
        let directory = TemporaryDirectory::new("keeper");
        let follow = |contact| {
            let plan = Plan::new(settings(&directory, contact), Arc::default());
            Command::Follow(Some(Box::new(plan)))
        };
        let (first, next) = (
            follow("mailto:a@example.com"),
            follow("mailto:b@example.com"),
        );
        let said = runtime::run(async move {
            let (sender, commands) = channel();
            let (answers, mut said) = channel();
            sender.send(first);
            let answer = Box::new(move |outcome| answers.send(outcome));
            sender.send(Command::ChangeKey(answer));
            sender.send(next);
            drop(sender);
            keep(commands).await;
            said.receive().await
        });
        let said = said.expect("a loop");
        assert_eq!(said, Some(KeyOutcome::reloaded()));
    }
}
