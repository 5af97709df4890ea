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
        Self::with_patience(answer, IS_LONG)
    }

    fn with_patience(answer: Answer, is_long: Duration) -> Self {
        let answer = Rc::new(RefCell::new(Some(answer)));
        let kept = Rc::downgrade(&answer);
        runtime::spawn(async move {
            runtime::sleep(is_long).await;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::channel;

    #[test]
    fn the_operator_is_told_once_and_in_time() {
        let told = runtime::run(async {
            let (sender, mut told) = channel();
            let answer = move |said| sender.send(said);
            let wish = Wish::with_patience(Box::new(answer), Duration::ZERO);
            let first = told.receive().await;
            wish.answer(KeyAnswer::Changed);
            (first, told.receive().await)
        });
        let told = told.expect("a loop");
        assert_eq!(told, (Some(KeyAnswer::UnderWay), None));
        let told = runtime::run(async {
            let (sender, mut told) = channel();
            let answer = move |said| sender.send(said);
            Wish::new(Box::new(answer)).answer(KeyAnswer::Changed);
            (told.receive().await, told.receive().await)
        });
        let told = told.expect("a loop");
        assert_eq!(told, (Some(KeyAnswer::Changed), None));
    }
}
