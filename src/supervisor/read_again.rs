//! What a reload tells of files that hold something else than before, in the words of the log.

use super::certificates;
use crate::config::Change;
use crate::generation::{Generation, ReadAgain};

/// The files that were read again when `generation` was prepared.
pub(super) fn changes(generation: &Generation) -> Vec<Change> {
    let files = generation.read_again().iter();
    let described = files.map(|file| describe(file, generation));
    described.map(|what| Change::read_again(&what)).collect()
}

fn describe(file: &ReadAgain, generation: &Generation) -> String {
    match file {
        ReadAgain::Certificate(file) => {
            let described = certificates::describe(generation, file);
            described.unwrap_or_else(|| format!("certificate {}", file.display()))
        }
        ReadAgain::ClientCa(file) => format!("client_ca {}", file.display()),
        ReadAgain::Ca(Some(file)) => format!("ca {} of upstreams", file.display()),
        ReadAgain::Ca(None) => "the authorities that the system trusts".to_owned(),
        ReadAgain::OwnCertificate(file) => {
            format!("certificate {} for upstreams", file.display())
        }
        ReadAgain::Passwords(file) => {
            let users = generation.users_in(file);
            format!("passwords in {}: {users} users", file.display())
        }
        ReadAgain::ErrorPage(file) => format!("error page {}", file.display()),
    }
}
