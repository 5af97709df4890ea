//! Panics caught: of a call, and of a future while it is polled.
//!
//! What a panic leaves half done is not looked at: every caller gives up what it called, or calls
//! code that guards what it shares with others.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// A panic that was caught. The panic hook has printed it already.
pub(crate) struct Panic(Box<dyn Any + Send>);

/// Calls `call`.
///
/// # Errors
/// [`Panic`] if it panics.
pub(crate) fn catch_panic<T>(call: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(call)).map_err(Panic)
}

/// Waits for `future`, which is not polled again once it has panicked. It is pinned by the caller:
/// taken by value it would have its size twice in a task.
///
/// # Errors
/// [`Panic`] if a poll panics.
pub(crate) fn catch_panics<F: Future>(
    mut future: Pin<&mut F>,
) -> impl Future<Output = Result<F::Output, Panic>> {
    poll_fn(
        move |context| match catch_panic(|| future.as_mut().poll(context)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        },
    )
}

/// The message of the panic.
impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&panic_message(&*self.0))
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Panic({:?})", panic_message(&*self.0))
    }
}

/// The message of what a panic threw.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it did not say why".to_owned())
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;
    use crate::runtime;

    #[test]
    fn a_panic_of_a_call_is_caught_with_its_message() {
        let message = |caught: Result<u8, Panic>| caught.map_err(|panic| panic.to_string());
        assert_eq!(message(catch_panic(|| 1)), Ok(1));
        assert_eq!(message(catch_panic(|| panic!("a"))), Err("a".to_owned()));
        assert_eq!(
            message(catch_panic(|| panic!("{}", 1))),
            Err("1".to_owned())
        );
        let other = catch_panic(|| std::panic::panic_any(1u8));
        assert_eq!(message(other), Err("it did not say why".to_owned()));
    }

    #[test]
    fn a_panic_of_a_later_poll_is_caught() {
        let caught = runtime::run(async {
            let future = pin!(async {
                runtime::yield_now().await;
                panic!("late");
            });
            catch_panics(future)
                .await
                .map_err(|panic| panic.to_string())
        });
        assert_eq!(caught.expect("a loop"), Err::<(), _>("late".to_owned()));
    }
}
