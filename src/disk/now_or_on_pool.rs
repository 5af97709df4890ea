//! A look at the disk: on the loop if the system has the result in memory, otherwise on the pool. Once more, if
//! descriptors have run out and the worker could close some that it kept.

use std::io;
use std::sync::Arc;

use super::beneath::Waiting;
use crate::runtime::{self, BlockingError, BlockingPool};

/// Runs `look` on this thread, where it may not wait. If that is `WouldBlock`, runs it again on
/// `disk`, where it may.
///
/// # Errors
/// The outer error if the pool does not run `look`; the inner error if `look` fails.
///
/// # Cancellation
/// As [`BlockingPool::run`].
pub(crate) async fn now_or_on_pool<T, F>(
    disk: &BlockingPool,
    look: F,
) -> Result<io::Result<T>, BlockingError>
where
    T: Send + 'static,
    F: Fn(Waiting) -> io::Result<T> + Send + Sync + 'static,
{
    let mut looked = look(Waiting::Never);
    if looked.as_ref().is_err_and(runtime::has_made_room) {
        looked = look(Waiting::Never);
    }
    match looked {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            on_pool(disk, move || look(Waiting::Allowed)).await
        }
        looked => Ok(looked),
    }
}

/// Runs `look` on `disk`.
///
/// # Errors
/// The outer error if the pool does not run `look`; the inner error if `look` fails.
///
/// # Cancellation
/// As [`BlockingPool::run`].
pub(crate) async fn on_pool<T, F>(
    disk: &BlockingPool,
    look: F,
) -> Result<io::Result<T>, BlockingError>
where
    T: Send + 'static,
    F: Fn() -> io::Result<T> + Send + Sync + 'static,
{
    let look = Arc::new(look);
    let again = Arc::clone(&look);
    let looked = disk.run(move || look()).await?;
    if looked.as_ref().is_err_and(runtime::has_made_room) {
        return disk.run(move || again()).await;
    }
    Ok(looked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime;

    /// The result of a look that returns `first` where it may not wait, and 2 where it may.
    fn look(first: Result<u8, io::ErrorKind>) -> Result<io::Result<u8>, BlockingError> {
        let looking = async move {
            let disk = BlockingPool::new(1, 0);
            now_or_on_pool(&disk, move |waiting| match waiting {
                Waiting::Never => first.map_err(io::Error::from),
                Waiting::Allowed => Ok(2),
            })
            .await
        };
        runtime::run(looking).expect("a loop")
    }

    #[test]
    fn only_what_would_block_goes_to_the_pool() {
        let kind = |looked: io::Result<u8>| looked.map_err(|error| error.kind());
        for (first, expected) in [
            (Ok(1), Ok(1)),
            (Err(io::ErrorKind::WouldBlock), Ok(2)),
            (Err(io::ErrorKind::NotFound), Err(io::ErrorKind::NotFound)),
        ] {
            let looked = look(first).expect("the pool is free");
            assert_eq!(kind(looked), expected, "{first:?}");
        }
    }
}
