//! The part of [`auth`](super::auth) that is waited for: a password that was not verified a moment ago, and the
//! service that says who is let in.

use std::sync::Arc;

use super::auth::{credentials, is_behind_auth, unauthorized};
use super::route::Refusal;
use super::{Answered, Exchange};
use crate::auth::Decoded;
use crate::generation::auth::{Basic, Door};
use crate::handlers::{Said, WorkerState};
use crate::http::path::NormalPath;
use crate::log::diagnostic;
use crate::message::content::ReadContent;
use crate::message::identity::{Identity, Verified};
use crate::message::response::{DuplexResponse, Response};
use crate::message::routed_path::RoutedPath;
use crate::reason::Reason;
use crate::runtime::{Either, either};

impl<'g> Exchange<'g, '_> {
    /// Whether the client still has to prove what is wanted, and that is waited for.
    #[inline]
    pub(super) fn waits_for_auth(&self) -> bool {
        match &self.policy.auth {
            None => false,
            Some(auth) => {
                !auth.is_open() && self.identity.get().is_none() && is_behind_auth(&self.matched)
            }
        }
    }

    /// Whether another server says whether the request is let in.
    pub(in crate::server) fn asks_a_service(&self) -> bool {
        let auth = self.policy.auth.as_ref();
        auth.is_some_and(|auth| matches!(auth.door, Door::Forward(_))) && self.waits_for_auth()
    }

    /// The user, if one was verified.
    #[inline]
    pub(in crate::server) fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.get()
    }

    /// The name of the user, if one was verified.
    pub(in crate::server) fn user(&self) -> Option<&str> {
        self.verified().user()
    }

    /// What handlers are told of the user.
    #[inline]
    pub(super) fn verified(&self) -> Verified<'_> {
        Verified {
            identity: self.identity.get().map(|identity| &**identity),
            fields: self.policy.auth.as_ref().map(|auth| &auth.fields),
        }
    }

    /// Takes over that `before`, which a local redirect has led here from, was let in by the same rule.
    pub(super) fn inherit(&mut self, before: &Exchange<'_, '_>) {
        let (Some(auth), Some(other)) = (&self.policy.auth, &before.policy.auth) else {
            return;
        };
        if let (true, Some(identity)) = (auth.is_satisfied_by(other), before.identity.get()) {
            let _ = self.identity.set(Arc::clone(identity));
        }
    }

    /// For `explain`: the response to a client that has not proved what it can prove without asking another
    /// server.
    pub(in crate::server) async fn refusal_of_auth<'c>(
        &self,
        local: &WorkerState,
        client: impl ReadContent + Copy + 'c,
    ) -> Option<Answered<'g, 'c>> {
        let response = if matches!(self.matched, Err(Refusal::Because(Reason::PasswordMissing))) {
            unauthorized(self.policy.auth.as_deref(), Reason::PasswordMissing)
        } else if self.waits_for_auth() && !self.asks_a_service() {
            self.authorize(local, client).await.err()??
        } else {
            return None;
        };
        Some(Answered {
            response,
            policy: self.policy,
            route: self.route(),
        })
    }

    /// Waits until it is known whether the client is let in.
    ///
    /// # Errors
    /// The response to a client that is not; `None`: it has gone.
    pub(super) async fn authorize<'c>(
        &self,
        local: &WorkerState,
        client: impl ReadContent + Copy + 'c,
    ) -> Result<(), Option<DuplexResponse<'g, 'c>>> {
        let Some(auth) = self.policy.auth.as_deref() else {
            return Ok(());
        };
        let identity = match &auth.door {
            Door::Open => return Ok(()),
            Door::Basic(basic) => {
                let verified = self.verify(basic, local, client).await?;
                verified.ok_or_else(|| Some(unauthorized(Some(auth), Reason::PasswordWrong)))?
            }
            Door::Forward(forward) => {
                let parsed;
                let path = match &self.matched {
                    Ok(matched) => RoutedPath::new(&matched.path, matched.length),
                    Err(_) => {
                        parsed = NormalPath::parse(self.head.target.path)
                            .map_err(|_| Some(Response::problem(Reason::PathInvalid)))?;
                        RoutedPath::new(&parsed, 0)
                    }
                };
                let request = self.request_of(path);
                match local.ask_whether_let_in(forward, &request, client).await {
                    Err(_) => return Err(None),
                    Ok(Said::Refuses(response)) => return Err(Some(response)),
                    Ok(Said::LetsIn(identity)) => {
                        // The record of the exchange tells of the servers that the handler asks.
                        let _ = self.take_note();
                        identity
                    }
                }
            }
        };
        let _ = self.identity.set(identity);
        Ok(())
    }

    /// Has the pool verify the password.
    ///
    /// # Errors
    /// As [`authorize`](Self::authorize).
    async fn verify<'c>(
        &self,
        basic: &Basic,
        local: &WorkerState,
        client: impl ReadContent + Copy,
    ) -> Result<Option<Arc<Identity>>, Option<DuplexResponse<'g, 'c>>> {
        let whole = {
            let mut decoded = Decoded::new();
            match credentials(self.head, &mut decoded) {
                Some(credentials) => credentials.to_vec(),
                None => return Ok(None),
            }
        };
        let passwords = Arc::clone(&basic.passwords);
        let verifying = local.pools.passwords.run(move || passwords.verify(&whole));
        match either(verifying, client.client_gone()).await {
            Either::First(Ok(verified)) => Ok(verified),
            Either::First(Err(error)) => {
                let route = self.route().map_or_else(String::new, ToString::to_string);
                let what = format_args!("a password was not verified: {error}");
                diagnostic::error_of(&route, what);
                Err(Some(Response::busy(Reason::PasswordsBusy)))
            }
            Either::Second(()) => Err(None),
        }
    }
}
