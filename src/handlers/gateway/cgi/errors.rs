//! A script's standard error, read on the loop until the script is done.

use std::io;

use crate::handlers::gateway::script_log::ScriptLog;
use crate::runtime::{self, Either, PolledFd, Receiver, either};

/// Octets read at once.
const BLOCK: usize = 4096;

/// Reads `errors` into `log`, until no process has it open any more or `until` hears that the script
/// has ended.
pub(super) async fn log_errors(errors: PolledFd, mut log: ScriptLog, mut until: Receiver<()>) {
    let mut block = Vec::with_capacity(BLOCK);
    let mut is_last = false;
    loop {
        block.clear();
        match errors.try_read(&mut block) {
            Ok(0) => return,
            Ok(_) => {
                log.push(&block);
                runtime::yield_now().await;
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock || is_last => return,
            Err(_) => match either(errors.readable(), until.receive()).await {
                Either::First(Ok(())) => {}
                // What the script wrote before its end is still to be read.
                Either::First(Err(_)) | Either::Second(_) => is_last = true,
            },
        }
    }
}
