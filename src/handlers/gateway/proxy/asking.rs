//! Asks an upstream: chooses a server, sends it the request, and asks another one if it fails and the
//! request may be repeated.
//!
//! ```text
//! content ─→ choose ─→ connection, kept or new ─→ dialogue ─→ head ─→ response
//!              ↑                                      │
//!              └── may it be asked again? ←── failed ─┘
//! ```
//!
//! | What happened | who is asked again |
//! |---|---|
//! | no connection, or one that the server ended before an octet of the request arrived | another server, whatever the method |
//! | a kept connection that the server ended before an octet of the request arrived | the same server on a new one, whatever the method |
//! | a kept connection that ended or broke before an octet of the response came | the same server on a new one, if the method is idempotent |
//! | the server failed | another server, if the method is idempotent and none of the content is lost |
//! | its status is one of `retry.statuses` | another server, if the method is idempotent and the content has been taken in; the response stands if no other server gives one |
//! | a part of a response has reached the client | no server: the response is cut |
//!
//! No request goes over a kept connection unless its content has been taken in, so that it can be
//! sent again. One whose method is not idempotent does so only where it can be told whether it
//! arrived, and only to a server whose connections stay open
//! ([`Server::is_fit_for_once`](crate::upstream)).

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::body::{Body, BodyReader};
use super::connection_auth;
use super::content::Asked;
use super::fault::{Failure, ProxyFault};
use super::heard::{Heard, Spoken, Unanswered};
use super::receiving::{Receiving, Said, UpstreamHead};
use super::request::{self, Wishes};
use super::target;
use super::tries::{Progress, Tries};
use super::{ProxyHandler, Worker};
use crate::http::status::Status;
use crate::log::{diagnostic, secrets};
use crate::message::content::{ContentError, ReadContent};
use crate::message::request::Request;
use crate::message::trace::TryEnd;
use crate::message::upstream_note::UpstreamNote;
use crate::runtime::descriptors::is_shortage;
use crate::runtime::{self, Either, either};
use crate::upstream::{Chosen, Connection, Dialogue, HeadReturns, NoServer, Wanted};

impl ProxyHandler {
    /// Asks servers of the upstream, one after the other, until one gives a response that is passed
    /// on, or no further server may be asked.
    pub(super) async fn ask<C: ReadContent + Copy>(
        &self,
        request: &Request<'_>,
        worker: &Worker<'_>,
        body: &Body<C>,
    ) -> Result<Heard<C>, Unanswered> {
        let mut tries = Tries::new();
        loop {
            let wanted = Wanted {
                client: request.client,
                head: Some(request.head),
            };
            let chosen = match self.choose(wanted, &tries, body).await? {
                Ok(chosen) => chosen,
                Err(why) => return tries.end_without_server(why),
            };
            tries.note_try();
            tell(request, &chosen, || {
                format!("is asked, try {}", tries.count)
            });
            let server = chosen.server().id();
            self.begin_span(request, &chosen, tries.count);
            let asked = self.ask_server(request, worker, body, &chosen, &tries.connect);
            let open = tries.open(&chosen, request.note);
            let asked = asked.await;
            open.end();
            end_span(request, &asked);
            match asked {
                Ok(said) => {
                    tell_response(request, &chosen, said.head.status, tries.connect.get());
                    let is_failure = self.is_failure(said.head.status);
                    let heard = self.heard(said, chosen, &tries, worker);
                    if is_failure {
                        heard.asked.chosen.failed();
                    } else {
                        heard.asked.chosen.succeeded();
                    }
                    if !is_failure || !body.is_kept() || !self.may_repeat(request, body, &tries) {
                        return Ok(heard);
                    }
                    tries.refused = Some(Box::new(heard));
                }
                Err((Failure::Client(error), _)) => {
                    request.note.set(Some(Box::new(tries.note(&chosen))));
                    return Err(error.into());
                }
                Err((Failure::Upstream(fault), progress)) => {
                    let may_repeat = self.may_repeat_after(&fault, progress, request, body, &tries);
                    tell(request, &chosen, || {
                        let next = next_step(may_repeat);
                        format!("fails: {}; {next}", diagnostic::chain(&fault))
                    });
                    let failed = tries.failure(fault, &chosen);
                    if !may_repeat {
                        return tries.end(failed);
                    }
                    tries.last = Some(failed);
                }
            }
            tries.failed.push(server);
        }
    }

    /// Takes note, for the trace of the exchange, that the server that was `chosen` is asked, as the try of that
    /// number.
    fn begin_span(&self, request: &Request<'_>, chosen: &Chosen, count: u32) {
        let Some(trace) = request.trace() else {
            return;
        };
        let url = || {
            let is_secure = chosen.server().is_secure();
            let scheme = if is_secure { "https" } else { "http" };
            let mut path = Vec::new();
            // What `rewrite` has put into a path may be what logs leave out of a query.
            match request.original {
                Some(_) => path.push(b'/'),
                None => target::push(request, self.options.strip_prefix, &mut path),
            }
            let end = memchr::memchr(b'?', &path).unwrap_or(path.len());
            let path = String::from_utf8_lossy(&path[..end]);
            format!("{scheme}://{}{path}", chosen.host())
        };
        trace.begin_try(chosen.server().name(), url, count.saturating_sub(1));
    }

    /// What the server that was `chosen` has said, with what is noted of the tries up to it.
    fn heard<C>(
        &self,
        said: Spoken<C>,
        chosen: Chosen,
        tries: &Tries<C>,
        worker: &Worker<'_>,
    ) -> Heard<C> {
        let note = Box::new(UpstreamNote {
            head: Some(runtime::now() - tries.begun),
            ..tries.note(&chosen)
        });
        let asked = Asked {
            chosen,
            kept: worker.kept.clone(),
            keep: self.upstream.options().keep,
        };
        Heard { said, asked, note }
    }

    /// The server that is asked next.
    ///
    /// # Errors
    /// If the client has gone.
    async fn choose<C: ReadContent + Copy>(
        &self,
        wanted: Wanted<'_>,
        tries: &Tries<C>,
        body: &Body<C>,
    ) -> Result<Result<Chosen, NoServer>, ContentError> {
        match self.upstream.choose_unless_busy(wanted, &tries.failed) {
            Some(chosen) => Ok(chosen),
            // Boxed, because most requests need not wait.
            None => Box::pin(self.wait_in_line(wanted, body)).await,
        }
    }

    /// Waits for a server with room, while the client waits.
    ///
    /// # Errors
    /// If the client has gone.
    async fn wait_in_line<C: ReadContent + Copy>(
        &self,
        wanted: Wanted<'_>,
        body: &Body<C>,
    ) -> Result<Result<Chosen, NoServer>, ContentError> {
        let choosing = self.upstream.wait_in_line(wanted);
        match either(choosing, body.client().client_gone()).await {
            Either::First(chosen) => Ok(chosen),
            Either::Second(()) => Err(ContentError::CutOff),
        }
    }

    /// Whether a response of that status counts as a failure of its server, whether or not another is asked.
    fn is_failure(&self, status: Status) -> bool {
        let statuses = &self.upstream.options().retry.statuses;
        statuses.contains(&status.code())
    }

    /// Whether the request may be sent to another server after one has failed by `fault`.
    fn may_repeat_after<C: ReadContent + Copy>(
        &self,
        fault: &ProxyFault,
        progress: Progress,
        request: &Request<'_>,
        body: &Body<C>,
        tries: &Tries<C>,
    ) -> bool {
        match progress {
            _ if fault.is_ours() => false,
            Progress::Unseen => body.is_whole() && self.may_try_again(tries),
            Progress::Unanswered | Progress::Answered => self.may_repeat(request, body, tries),
        }
    }

    /// Whether the request may be sent to another server although one may have acted upon it.
    fn may_repeat<C: ReadContent + Copy>(
        &self,
        request: &Request<'_>,
        body: &Body<C>,
        tries: &Tries<C>,
    ) -> bool {
        request.head.method.is_idempotent()
            && body.is_whole()
            && self.may_try_again(tries)
            && self.upstream.may_repeat(runtime::now())
    }

    /// Whether there may be another try at all.
    fn may_try_again<C>(&self, tries: &Tries<C>) -> bool {
        let retry = &self.upstream.options().retry;
        tries.count < retry.tries && runtime::now() < tries.begun + retry.within
    }

    /// Asks one server: on a kept connection if there is one, on a new one if the server has closed that.
    async fn ask_server<C: ReadContent + Copy>(
        &self,
        request: &Request<'_>,
        worker: &Worker<'_>,
        body: &Body<C>,
        chosen: &Chosen,
        connect: &Cell<Option<Duration>>,
    ) -> Result<Spoken<C>, (Failure, Progress)> {
        let server = chosen.server();
        let is_idempotent = request.head.method.is_idempotent();
        let may_be_kept = body.is_kept() && (is_idempotent || server.is_fit_for_once());
        let kept = may_be_kept.then(|| worker.kept.take(server, is_idempotent));
        let mut kept = kept.flatten();
        loop {
            let is_kept = kept.is_some();
            let connection = match kept.take() {
                Some(connection) => connection,
                // Boxed, because most requests go over a kept connection.
                None => match Box::pin(self.open(chosen, body, connect)).await {
                    Ok(connection) => connection,
                    Err(failure) => return Err(note(failure, Progress::Unseen, chosen)),
                },
            };
            let mut dialogue = self.begin(request, worker, body, connection, chosen);
            let mut reader = body.reader();
            let failure = match hear(&mut dialogue, &mut reader).await {
                Ok(head) => {
                    dialogue.set_timeout(self.read_timeout());
                    if is_kept {
                        server.note_stay(true);
                    }
                    let rest = reader.into_rest();
                    return Ok(Spoken {
                        head,
                        dialogue,
                        rest,
                    });
                }
                Err(failure) => failure,
            };
            let progress = Progress::of(&dialogue);
            // The server may have closed a kept connection at the moment in which it was taken.
            let has_closed = is_kept && is_end(&failure);
            if has_closed {
                server.note_stay(false);
            }
            let may_go_again = has_closed && progress.allows_again(is_idempotent);
            if !may_go_again {
                return Err(note(failure, progress, chosen));
            }
        }
    }

    /// Opens a connection, while the client waits. `connect` gets the time that it took.
    async fn open<C: ReadContent + Copy>(
        &self,
        chosen: &Chosen,
        body: &Body<C>,
        connect: &Cell<Option<Duration>>,
    ) -> Result<Connection, Failure> {
        let (begun, timeout) = (runtime::now(), self.upstream.options().timeouts.connect);
        let opening = Connection::open_to(chosen.server(), Vec::new(), timeout);
        let opened = either(opening, body.client().client_gone()).await;
        connect.set(Some(runtime::now() - begun));
        match opened {
            Either::First(Ok(connection)) => Ok(connection),
            Either::First(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
                Err(ProxyFault::ConnectTimedOut.into())
            }
            Either::First(Err(error)) if is_shortage(&error) => {
                Err(ProxyFault::NoDescriptor(error).into())
            }
            Either::First(Err(error)) => Err(ProxyFault::Connect(error).into()),
            Either::Second(()) => Err(ContentError::CutOff.into()),
        }
    }

    /// A dialogue on `connection` that begins with the request's head.
    fn begin<C: ReadContent + Copy>(
        &self,
        request: &Request<'_>,
        worker: &Worker<'_>,
        body: &Body<C>,
        connection: Connection,
        chosen: &Chosen,
    ) -> Box<Dialogue<Receiving>> {
        let framing = body.framing();
        let wishes = Wishes {
            upgrade: request::wanted_protocol(request.head, &self.options.upgrade),
            expects_continue: body.expects_continue(),
            trailers: request::takes_trailers(request.head),
            owns_connection: connection_auth::owns_connection(request.head),
        };
        let head = request::encode(
            request,
            &self.options,
            &self.own_fields,
            chosen.host(),
            (framing, wishes),
            worker
                .buffers
                .for_request(request::usual_length(request.head)),
        );
        let receiving = Receiving::new(
            request.head.method,
            framing,
            wishes,
            Arc::clone(&self.withheld),
        );
        let timeout = self.head_timeout();
        let dialogue = Dialogue::new(connection, worker.buffers, timeout, head, receiving);
        Box::new(dialogue)
    }
}

/// Sends the request and waits for the head of the final response; interim ones go to the client.
// It is no method, because each octet of its future is one of a future that has to fit into what the allocator keeps at
// hand.
async fn hear<C: ReadContent + Copy>(
    dialogue: &mut Dialogue<Receiving>,
    reader: &mut BodyReader<'_, C>,
) -> Result<UpstreamHead, Failure> {
    if reader.is_at_end() {
        dialogue.push_content(&[], false);
    } else if let Some(first) = Box::pin(reader.first_block()).await? {
        let (block, goes_on) = first;
        dialogue.push_content(&block, goes_on);
    }
    loop {
        let find = |receiving: &mut Receiving| Ok(receiving.take_head());
        match dialogue.head(reader, HeadReturns::AtOnce, find).await? {
            // The rest of our head would go before what the client sends to the other protocol.
            Said::Final(head)
                if head.status == Status::SWITCHING_PROTOCOLS && !dialogue.is_sent() =>
            {
                return Err(ProxyFault::EarlyUpgrade.into());
            }
            Said::Final(head) => {
                if reader.is_waiting() {
                    // The client may send its content all the same (RFC 9110 §10.1.1), or never. From the
                    // response's head on, reading it does not invite it.
                    reader.go_on();
                    dialogue.may_lack_content();
                }
                return Ok(head);
            }
            Said::Interim(status, fields) => {
                Box::pin(reader.pass_on(status, fields)).await?;
            }
        }
    }
}

/// Takes note of how the try has ended.
fn end_span<C>(request: &Request<'_>, asked: &Result<Spoken<C>, (Failure, Progress)>) {
    if let Some(trace) = request.trace() {
        trace.end_try(match asked {
            Ok(said) => TryEnd::Response(said.head.status),
            Err((Failure::Upstream(fault), _)) => TryEnd::Failed(fault.reason()),
            Err((Failure::Client(_), _)) => TryEnd::Abandoned,
        });
    }
}

/// Tells what the server that was `chosen` does for `request`, a step of its story, if the operator wants to
/// hear of this client.
fn tell(request: &Request<'_>, chosen: &Chosen, step: impl FnOnce() -> String) {
    if diagnostic::may_debug(request.client) {
        tell_step(request, chosen, &step());
    }
}

/// Tells that the server responds with `status`, `connected` after that time or over a kept connection.
fn tell_response(
    request: &Request<'_>,
    chosen: &Chosen,
    status: Status,
    connected: Option<Duration>,
) {
    tell(request, chosen, || {
        let connection = match connected {
            Some(after) => format!("connected in {after:.1?}"),
            None => "over a kept connection".to_owned(),
        };
        format!("responds {status}, {connection}")
    });
}

/// What follows a failure, as [`tell`] tells it.
fn next_step(may_repeat: bool) -> &'static str {
    if may_repeat {
        "another server may be asked"
    } else {
        "no other server is asked"
    }
}

#[cold]
fn tell_step(request: &Request<'_>, chosen: &Chosen, step: &str) {
    let (name, server) = (
        secrets::in_diagnostics(request.head),
        chosen.server().name(),
    );
    diagnostic::debug_of(request.client, format_args!("{name}: {server} {step}"));
}

/// Whether a connection ended, as one does that the server has closed between two requests.
fn is_end(failure: &Failure) -> bool {
    matches!(failure, Failure::Upstream(fault) if fault.is_end_of_connection())
}

/// Takes note that the server failed, if it was the server.
fn note(failure: Failure, progress: Progress, chosen: &Chosen) -> (Failure, Progress) {
    if matches!(&failure, Failure::Upstream(fault) if !fault.is_ours()) {
        chosen.failed();
    }
    (failure, progress)
}
