//! Waiting for a response that the handler decides later: no thread waits, only this task.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use super::call::{Expiry, Failure, Outcome, made};
use crate::api::{Ending, Later, Life, Response};
use crate::runtime::{self, BlockingError, BlockingPool, Either, channel, either};

/// Waits until the response is decided, and returns it; or its fallback, when that is due.
///
/// # Errors
/// Why the wait ended without any response.
pub(super) async fn decided(
    mut later: Later,
    life: &Arc<Life>,
    pool: &BlockingPool,
    expiry: impl Future<Output = Expiry>,
) -> Result<Outcome, Expiry> {
    let patience = later.patience();
    let ended = either(expiry, patience_ends(patience, life));
    let why = match either(later.decided(), ended).await {
        Either::First(Some(answer)) => return Ok(made(answer)),
        Either::First(None) => return Ok(Err(Failure::Undecided)),
        Either::Second(Either::First(Expiry::ClientGone)) => return Err(Expiry::ClientGone),
        Either::Second(Either::First(why @ Expiry::TimedOut)) => why,
        Either::Second(Either::Second(())) => Expiry::TimedOut,
    };
    let fallback = later.into_fallback().ok_or(why)?;
    // The code that would decide has nothing to wait for any more.
    life.client_gone();
    if !fallback.has_changes() {
        return Ok(made_of_fallback(fallback.into_response()));
    }
    // Changes are code of the program, which may wait.
    let changed = pool.run(move || fallback.into_response()).await;
    Ok(match changed {
        Ok(response) => made_of_fallback(response),
        Err(BlockingError::Panicked(message)) => Err(Failure::Panicked(message)),
        Err(error) => Err(Failure::Saturated(error)),
    })
}

/// A fallback that is itself to be decided later comes too late.
fn made_of_fallback(fallback: Response) -> Outcome {
    if fallback.is_decided() {
        made(Ok(fallback))
    } else {
        Err(Failure::Undecided)
    }
}

/// Waits until the fallback is due, if there is one: after its time, or when the server stops or the
/// route is retired.
async fn patience_ends(patience: Option<Duration>, life: &Arc<Life>) {
    let Some(patience) = patience else {
        return pending().await;
    };
    let (sender, mut told) = channel::<()>();
    Ending(Arc::clone(life)).then(move |_reason| drop(sender));
    either(told.receive(), runtime::sleep(patience)).await;
}
