//! The response of the handler behind the route, given at once or waited for.
//!
//! A panic in a handler is answered 500, and its connection goes on.

use std::pin::pin;
use std::sync::Arc;

use super::led::Destination;
use super::rate::Gate;
use super::route::Refusal;
use super::{Answered, Exchange, admission, auth, compression};
use crate::generation::Route;
use crate::generation::policy::ServingPolicy;
use crate::handlers::{Handler, WorkerState};
use crate::http::framing::Framing;
use crate::log::{diagnostic, secrets};
use crate::message::conditional;
use crate::message::content::{ContentError, ReadContent};
use crate::message::request::Request;
use crate::message::response::{DuplexAnswer, DuplexResponse, Response};
use crate::reason::Reason;
use crate::runtime::{self, Either, catch_panic, catch_panics, either};

/// Local redirects that are followed for one request. A handler that needs more leads in a circle.
const MAX_LOCAL_REDIRECTS: usize = 8;

impl<'g> Exchange<'g, '_> {
    /// The response, if it can be given without waiting. A rewritten request always waits: if it did not,
    /// [`Handler::answer_now`](crate::handlers::Handler::answer_now) would have two callers, and the compiler would
    /// not inline it into the path of all other requests.
    pub(in crate::server) fn answer_now(&self, local: &WorkerState) -> Option<Response<'g>> {
        if self.head.framing != Framing::Empty {
            return None;
        }
        if let Some(rates) = self.policy.rates() {
            match self.pass_rates(rates) {
                Gate::Open => {}
                Gate::Held(_) => return None,
                Gate::Shut(response) => return Some(response),
            }
        }
        if self.waits_for_auth() {
            return None;
        }
        let matched = match &self.matched {
            Ok(matched) => matched,
            Err(refusal) => return Some(self.refused(*refusal)),
        };
        let route = matched.route;
        if route.rewrite.is_some() {
            return None;
        }
        let answer = || {
            #[cfg(debug_assertions)]
            crate::server::test_hooks::run_hook(matched.path.as_bytes());
            route.handler.answer_now(&self.request(matched), local)
        };
        // A handler leaves nothing half done that another exchange could see: it has only lent us
        // values, and its own cells are never borrowed across a call that could panic.
        let mut answer = catch_panic(answer).unwrap_or_else(|_| Some(panicked(route)));
        // Written so that a response which stays as it is stays where it is.
        if self.policy.representation.act_behind_handlers() {
            answer = answer.map(|response| self.selected(response, local));
        }
        answer
    }

    /// The response of a handler, as the request's conditions and the codings that the client takes let it be
    /// sent, where the policy says something of them.
    #[inline(never)]
    fn selected<'c>(
        &self,
        response: DuplexResponse<'g, 'c>,
        local: &WorkerState,
    ) -> DuplexResponse<'g, 'c> {
        let (changes, handler) = (
            &self.policy.representation,
            self.route().map(|route| &route.handler),
        );
        if handler.is_some_and(|handler| handler.has_chosen_coding(&response)) {
            return response;
        }
        let status = response.status;
        let response = if handler.is_some_and(Handler::leaves_conditions) {
            conditional::under_conditions(response, self.head, changes)
        } else {
            response
        };
        if response.status != status {
            return response;
        }
        match &changes.compression {
            None => response,
            Some(rules) => {
                let is_passed_on = handler.is_some_and(Handler::passes_responses_on);
                let encoders = &local.encoders;
                compression::compress(rules, response, self.head, encoders, is_passed_on)
            }
        }
    }

    /// The response, waited for, wherever local redirects lead. `None` if the client has left and
    /// no response is wanted.
    pub(in crate::server) async fn answer<'c>(
        &self,
        local: &WorkerState,
        content: impl ReadContent + Copy + 'c,
    ) -> Option<Answered<'g, 'c>> {
        if let Some(rates) = self.policy.rates() {
            match self.pass_rates(rates) {
                Gate::Open => {}
                Gate::Shut(response) => return Some(self.answered(response, local)),
                // Boxed, because few requests are held, and every exchange would have room for it.
                Gate::Held(wait) => {
                    match Box::pin(either(runtime::sleep(wait), content.client_gone())).await {
                        Either::First(()) => {}
                        Either::Second(()) => return None,
                    }
                }
            }
        }
        // The answer is dropped before a redirect is followed. Following is seldom, so its future is boxed:
        // otherwise every exchange that waits would have room for it.
        let target = match self.answer_once(local, content).await {
            None => return None,
            Some(DuplexAnswer::Response(response)) => {
                return Some(self.answered(response, local));
            }
            Some(DuplexAnswer::LocalRedirect(target)) => target,
        };
        Box::pin(self.follow(target, local, content)).await
    }

    /// The response where the local redirect to `target` leads.
    async fn follow<'c>(
        &self,
        mut target: String,
        local: &WorkerState,
        content: impl ReadContent + Copy + 'c,
    ) -> Option<Answered<'g, 'c>> {
        let (mut policy, mut route) = (self.policy, self.route());
        for _ in 0..MAX_LOCAL_REDIRECTS {
            let Some(head) = self.head.redirected(&target) else {
                let why = "is no path of this server";
                return Some(redirect_failed(policy, route, &target, why));
            };
            let connection = self.arrival.map(|arrival| arrival.connection);
            let (listening, listener) = (self.generation.at(self.listener), self.listener);
            let mut next = Exchange::of_client(
                listening,
                listener,
                self.client,
                &head,
                connection,
                None,
                true,
            );
            next.arrival = self.arrival;
            // It is the same exchange, whatever the policy of that route says of ids.
            next.marks = self.marks.clone();
            next.inherit(self);
            (policy, route) = (next.policy, next.route());
            self.led_to.push(Destination::of(policy));
            self.tell_local_redirect(&target, &next);
            let answer = next.answer_once(local, content).await;
            self.note.set(next.take_note());
            if let Some(identity) = next.identity() {
                // For the record; that of the first one stands.
                let _ = self.identity.set(Arc::clone(identity));
            }
            match answer? {
                DuplexAnswer::Response(response) => return Some(next.answered(response, local)),
                DuplexAnswer::LocalRedirect(further) => target = further,
            }
        }
        let why = "is one local redirect too many";
        Some(redirect_failed(policy, route, &target, why))
    }

    /// The response of the server itself in place of a route's.
    #[inline]
    fn refused(&self, refusal: Refusal) -> Response<'g> {
        match refusal {
            Refusal::Because(reason @ Reason::PasswordMissing) => {
                auth::unauthorized(self.policy.auth.as_deref(), reason)
            }
            other => other.response(),
        }
    }

    fn answered<'c>(
        &self,
        response: DuplexResponse<'g, 'c>,
        local: &WorkerState,
    ) -> Answered<'g, 'c> {
        let response = if self.policy.representation.act_behind_handlers() {
            self.selected(response, local)
        } else {
            response
        };
        Answered {
            response,
            policy: self.policy,
            route: self.route(),
        }
    }

    /// The answer of the route that this request matches: a response, or a local redirect.
    async fn answer_once<'c>(
        &self,
        local: &WorkerState,
        content: impl ReadContent + Copy + 'c,
    ) -> Option<DuplexAnswer<'g, 'c>> {
        if admission::is_too_large(self.policy, self.head) {
            return Some(Response::problem(Reason::ContentTooLarge).into());
        }
        if self.waits_for_auth() {
            // Boxed, because few routes ask for anything, and every exchange would have room for it.
            match Box::pin(self.authorize(local, content)).await {
                Ok(()) => {}
                Err(refused) => return refused.map(DuplexAnswer::from),
            }
        }
        let matched = match &self.matched {
            Ok(matched) => matched,
            Err(refusal) => return Some(self.refused(*refusal).into()),
        };
        let begun = self.begun.take();
        let handler = &matched.route.handler;
        let Some(rewrite) = &matched.route.rewrite else {
            let request = self.request(matched);
            let answer = pin!(handler.answer(&request, local, content, begun));
            return answer_of(matched.route, catch_panics(answer).await);
        };
        let ask = async |request: &Request<'_>| {
            let answer = pin!(handler.answer(request, local, content, begun));
            answer_of(matched.route, catch_panics(answer).await)
        };
        // In a box, so that exchanges without it are no larger.
        match Box::pin(self.rewritten(matched, rewrite, ask)).await {
            Ok(answer) => answer,
            Err(reason) => Some(Response::problem(reason).into()),
        }
    }
}

/// The answer of the handler of `route`, whatever came of asking it; `None` if the client has left.
// Two callers, of which one is hot: without this the compiler inlines it into neither.
#[inline(always)]
fn answer_of<'g, 'c, P>(
    route: &Route,
    outcome: Result<Result<DuplexAnswer<'g, 'c>, ContentError>, P>,
) -> Option<DuplexAnswer<'g, 'c>> {
    match outcome {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => Some(unreadable_content(route, error)?.into()),
        Err(_) => Some(panicked(route).into()),
    }
}

/// The response where the local redirect of the code behind `route`, to `target`, leads nowhere.
fn redirect_failed<'g>(
    policy: &'g ServingPolicy,
    route: Option<&'g Route>,
    target: &str,
    why: &str,
) -> Answered<'g, 'static> {
    let target = secrets::named(target);
    diagnostic::error_of(
        route.map_or_else(String::new, Route::to_string),
        format_args!("the local redirect to \"{target}\" {why}"),
    );
    Answered {
        response: Response::problem(Reason::LocalRedirectFailed),
        policy,
        route,
    }
}

/// The response where the request's content could not be read; `None` if the client has left.
fn unreadable_content(route: &Route, error: ContentError) -> Option<Response<'static>> {
    if matches!(error, ContentError::NotKept(_) | ContentError::NoThread(_)) {
        let chain = diagnostic::chain(&error);
        diagnostic::error_of(route, format_args!("{chain}"));
    }
    match error.reason() {
        Reason::ClientGone => None,
        reason @ (Reason::ContentQueueFull | Reason::SystemShortage) => {
            Some(Response::busy(reason))
        }
        reason => Some(Response::problem(reason)),
    }
}

/// The response where the code behind `route` panicked.
fn panicked(route: &Route) -> Response<'static> {
    let what = format_args!("the handler panicked; its exchange was answered 500");
    diagnostic::error_of(route, what);
    Response::problem(Reason::HandlerPanicked)
}
