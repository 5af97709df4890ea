//! Certificates that the server orders, downloads and renews itself, by ACME (RFC 8555).
//!
//! ```text
//! generation ─ Plan: which certificates ─→ keeper: one task for the process; what is due, and when
//!                                            │ holds the lock of each certificate, or reads what another
//!                                            │ process writes
//!                                            ▼
//!                    storage  ←──────────  order: order → authorizations → finalize → download
//!                    (files)                 │ answers: responses to the CA's challenges
//!                                            ▼
//!                                          authority: directory, nonces, the account's signature
//!                                            │ jose, account, messages
//!                                            ▼
//!                                          client: one exchange over TLS, by `fetch`
//!
//! workers ── Shared::http_answer, Shared::tls_answer ←── answers
//! status  ── Shared::states                          ←── keeper
//! ```
//!
//! Each step is in the storage before the next one begins, so that a restart or a reload resumes where
//! the last process was. The storage holds failures and pauses, too: a server that is started again and
//! again asks a CA no more often than one that runs.

mod account;
mod answers;
mod attempt;
mod authority;
mod client;
mod command;
mod epoch;
mod fault;
mod jose;
mod keeper;
mod key_changes;
mod messages;
mod order;
mod plan;
mod record;
mod registration;
mod schedule;
mod state;
mod storage;
#[cfg(test)]
mod tests;

pub(crate) use command::{Answer, Command, KeyOutcome};
pub(crate) use keeper::keep;
pub(crate) use plan::Plan;
#[cfg(test)]
pub(crate) use state::Stage;
pub(crate) use state::{Shared, State};
pub(crate) use storage::{Storage, StorageError};
