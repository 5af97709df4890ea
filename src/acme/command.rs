//! What the supervisor tells the task that keeps certificates.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::plan::Plan;
use crate::runtime;

/// What the supervisor tells the task.
pub(crate) enum Command {
    /// Keep the certificates of this plan, and no others. `None`: no certificate.
    Follow(Option<Box<Plan>>),
    /// Give the account with the CA a new key, and tell the result.
    ChangeKey(Answer),
}

/// Takes the result of a change of the account's key, on any thread. If it is dropped instead, the task
/// ended before.
pub(crate) type Answer = Box<dyn FnOnce(KeyOutcome) + Send>;

/// The result of a change of the account's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyOutcome {
    Changed,
    /// It takes long: the log says how it ends.
    UnderWay,
    /// Why it is not changed, as the operator reads it.
    Failed(String),
}

impl KeyOutcome {
    /// There is no account whose key could be changed.
    pub(crate) fn without_acme() -> Self {
        Self::failed("no server of the running configuration has `tls = \"acme\"`")
    }

    /// There is no thread that could change the key.
    pub(crate) fn without_thread() -> Self {
        Self::failed("no thread keeps certificates, and the log says why; a reload starts another")
    }

    /// The task has to follow another configuration.
    pub(super) fn reloaded() -> Self {
        let why = "a reload has changed `[acme]` before the change of the key ended; the log tells the result if \
                   there is one";
        Self::failed(why)
    }

    fn failed(why: &str) -> Self {
        Self::Failed(why.to_owned())
    }
}

/// When the operator is told at the latest, if only that the change is under way: `tidegate` waits for a minute.
const REPLY_WITHIN: Duration = Duration::from_secs(40);

/// A request for another key, until it is answered.
#[derive(Clone)]
pub(super) struct KeyRequest(Rc<RefCell<Option<Answer>>>);

impl KeyRequest {
    /// A request whose result `answer` takes, once: from [`KeyRequest::answer`], or after [`REPLY_WITHIN`] if an
    /// order or the change takes longer.
    pub(super) fn new(answer: Answer) -> Self {
        Self::within(answer, REPLY_WITHIN)
    }

    fn within(answer: Answer, limit: Duration) -> Self {
        let answer = Rc::new(RefCell::new(Some(answer)));
        let kept = Rc::downgrade(&answer);
        runtime::spawn(async move {
            runtime::sleep(limit).await;
            let answer = kept.upgrade().and_then(|answer| answer.take());
            if let Some(answer) = answer {
                answer(KeyOutcome::UnderWay);
            }
        });
        Self(answer)
    }

    pub(super) fn is_answered(&self) -> bool {
        self.0.borrow().is_none()
    }

    pub(super) fn answer(self, said: KeyOutcome) {
        let answer = self.0.take();
        if let Some(answer) = answer {
            answer(said);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::channel;

    #[test]
    fn the_operator_is_told_once_and_in_time() {
        let told = runtime::run(async {
            let (sender, mut told) = channel();
            let answer = move |said| sender.send(said);
            let request = KeyRequest::within(Box::new(answer), Duration::ZERO);
            let first = told.receive().await;
            request.answer(KeyOutcome::Changed);
            (first, told.receive().await)
        });
        let told = told.expect("a loop");
        assert_eq!(told, (Some(KeyOutcome::UnderWay), None));
        let told = runtime::run(async {
            let (sender, mut told) = channel();
            let answer = move |said| sender.send(said);
            KeyRequest::new(Box::new(answer)).answer(KeyOutcome::Changed);
            (told.receive().await, told.receive().await)
        });
        let told = told.expect("a loop");
        assert_eq!(told, (Some(KeyOutcome::Changed), None));
    }
}
