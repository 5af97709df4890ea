//! Certificates that look after themselves: ordered, verified, downloaded and renewed by ACME (RFC 8555).
//!
//! ```text
//! generation ─ Plan: which certificates ─→ keeper: one task for the process; what is due, and when
//!                                            │ holds the lock of each certificate, or reads what another
//!                                            │ process writes
//!                                            ▼
//!                    storage  ←──────────  order: order → authorizations → finalize → download
//!                    (files)                 │ answers: what a CA that asks back is told
//!                                            ▼
//!                                          authority: directory, nonces, the account's signature
//!                                            │ jose, account, messages
//!                                            ▼
//!                                          client: one exchange over TLS
//!
//! workers ── Shared::http_answer, Shared::tls_answer ←── answers
//! status  ── Shared::states                          ←── keeper
//! ```
//!
//! Each step is in the storage before the next one begins, so that a restart or a reload goes on where
//! the last process was. Failures are remembered there too: nothing that is started again and again asks
//! a CA more often than the pauses allow.

mod account;
mod answers;
mod attempt;
mod authority;
mod client;
mod command;
mod fault;
mod jose;
mod keeper;
mod key_changes;
mod lock;
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
mod trust;

pub(crate) use command::{Answer, Command, KeyAnswer};
pub(crate) use keeper::keep;
pub(crate) use plan::Plan;
#[cfg(test)]
pub(crate) use state::Stage;
pub(crate) use state::{Shared, State};
pub(crate) use storage::{Storage, StorageError};
