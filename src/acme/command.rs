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
    /// Give the account with the CA a new key, and say what became of that.
    ChangeKey(Answer),
}

/// Takes what became of a change of the account's key, on any thread. If it is dropped instead, the task
/// ended before.
pub(crate) type Answer = Box<dyn FnOnce(KeyAnswer) + Send>;

/// What became of a change of the account's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyAnswer {
    Changed,
    /// It takes long: the log says how it ends.
    UnderWay,
    /// Why it is not changed, as the operator reads it.
    Failed(String),
}

impl KeyAnswer {
    /// There is no account whose key could be changed.
    pub(crate) fn without_acme() -> Self {
        Self::Failed("no server of the running configuration has `tls = \"acme\"`".to_owned())
    }
}

/// When the operator is told that a change is under way: `tidegate` waits for a minute.
const IS_LONG: Duration = Duration::from_secs(40);

/// A wish for another key, until it is answered.
pub(super) struct Wish(Rc<RefCell<Option<Answer>>>);

impl Wish {
    /// The wish that `answer` is the answer of. It is answered once: by [`Wish::answer`], or after
    /// [`IS_LONG`], if an order or the change takes longer.
    pub(super) fn new(answer: Answer) -> Self {
        let answer = Rc::new(RefCell::new(Some(answer)));
        let kept = Rc::downgrade(&answer);
        runtime::spawn(async move {
            runtime::sleep(IS_LONG).await;
            let answer = kept.upgrade().and_then(|answer| answer.take());
            if let Some(answer) = answer {
                answer(KeyAnswer::UnderWay);
            }
        });
        Self(answer)
    }

    pub(super) fn answer(self, said: KeyAnswer) {
        let answer = self.0.take();
        if let Some(answer) = answer {
            answer(said);
        }
    }
}
