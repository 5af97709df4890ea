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
//! No request goes over a kept connection unless its content has been taken in, so that it can be sent again. One whose
//! method is not idempotent does so only where it can be told whether it arrived, and only to a server whose connections
//! stay open ([`Server::is_fit_for_once`](crate::upstream)).

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::body::{Body, BodyReader};
use super::content::Asked;
use super::fault::{Failure, ProxyFault};
use super::heard::{Heard, Unanswered};
use super::receiving::{Receiving, Said, UpstreamHead};
use super::request::{self, Wishes};
use super::{ProxyHandler, Worker};
use crate::http::response::encode_interim;
use crate::http::status::Status;
use crate::message::content::{ContentError, ReadContent};
use crate::message::request::Request;
use crate::message::upstream_note::UpstreamNote;
use crate::runtime::descriptors::is_shortage;
use crate::runtime::{self, Either, either};
use crate::upstream::{Chosen, Connection, Dialogue, HeadReturns, KeptConnections, Wanted};

/// How far a try got that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// No octet of the request arrived at the server.
    Unseen,
    /// Some of the request may have been read, but no octet of a response has come.
    Unanswered,
    /// Some of a response has come.
    Answered,
}

impl Progress {
    /// That of a dialogue that failed.
    fn of(dialogue: &Dialogue<Receiving>) -> Self {
        if !dialogue.protocol().is_untouched() {
            Self::Answered
        } else if dialogue.ended_before_request() {
            Self::Unseen
        } else {
            Self::Unanswered
        }
    }

    /// Whether a request may be sent once more after a kept connection ended.
    fn allows_again(self, is_idempotent: bool) -> bool {
        match self {
            Self::Unseen => true,
            Self::Unanswered => is_idempotent,
            Self::Answered => false,
        }
    }
}

/// The tries of one request.
struct Tries {
    /// The servers that were asked, by their ids.
    servers: Vec<u64>,
    begun: Instant,
    /// How long the last one took to take a connection; `None` while one is kept.
    connect: Cell<Option<Duration>>,
}

impl Tries {
    fn new() -> Self {
        Self {
            servers: Vec::new(),
            begun: runtime::now(),
            connect: Cell::new(None),
        }
    }

    /// Takes note of another try.
    fn note_try(&mut self, chosen: &Chosen) {
        if self.servers.is_empty() {
            // The request may have waited for a server before.
            self.begun = runtime::now();
        }
        self.servers.push(chosen.server().id());
        self.connect.set(None);
    }

    fn count(&self) -> u32 {
        self.servers.len() as u32
    }

    /// The response that stands, if there is one, because no other server gave a better one.
    fn standing<C>(&self, refused: Option<Heard<C>>) -> Option<Heard<C>> {
        let mut heard = refused?;
        heard.note.tries = self.count();
        Some(heard)
    }

    /// What is to be noted of them after one at `server`.
    fn note(&self, server: Arc<str>) -> UpstreamNote {
        UpstreamNote {
            server: Some(server),
            tries: self.count(),
            connect: self.connect.get(),
            head: None,
            error: None,
        }
    }
}

impl ProxyHandler {
    /// Asks servers of the upstream until one responds, or none may be asked any more.
    pub(super) async fn ask<C: ReadContent + Copy>(
        &self,
        request: &Request<'_>,
        worker: Worker<'_>,
        body: &Body<C>,
    ) -> Result<Heard<C>, Unanswered> {
        let wanted = Wanted {
            client: request.client,
            head: Some(request.head),
        };
        let mut tries = Tries::new();
        // The response of a server in whose place another is asked: it stands if no other gives one.
        let mut refused = None;
        let mut last = None;
        loop {
            let choosing = self.upstream.choose(wanted, &tries.servers);
            let chosen = match either(choosing, body.client().client_gone()).await {
                Either::First(Ok(chosen)) => chosen,
                Either::Second(()) => return Err(ContentError::CutOff.into()),
                Either::First(Err(why)) => {
                    let failed = last.unwrap_or(Unanswered::NoServer(why));
                    return tries.standing(refused).ok_or(failed);
                }
            };
            tries.note_try(&chosen);
            let server = Arc::clone(chosen.server().name());
            let asked = Asked {
                chosen,
                kept: worker.kept.clone(),
                keep: self.upstream.options().keep,
            };
            match self
                .ask_server(request, worker, body, asked, &tries.connect)
                .await
            {
                Ok(mut heard) => {
                    heard.note = UpstreamNote {
                        head: Some(runtime::now() - tries.begun),
                        ..tries.note(server)
                    };
                    if !self.is_refused(&heard, request, body, &tries) {
                        heard.asked.chosen.succeeded();
                        return Ok(heard);
                    }
                    heard.asked.chosen.failed();
                    refused = Some(heard);
                }
                Err((Failure::Client(error), _)) => {
                    request.note.set(Some(Box::new(tries.note(server))));
                    return Err(error.into());
                }
                Err((Failure::Upstream(fault), progress)) => {
                    let may_repeat = match progress {
                        _ if fault.is_ours() => false,
                        Progress::Unseen => body.is_whole() && self.may_try_again(&tries),
                        Progress::Unanswered | Progress::Answered => {
                            self.may_repeat(request, body, &tries)
                        }
                    };
                    let note = UpstreamNote {
                        error: Some(fault.proxy_error()),
                        ..tries.note(server)
                    };
                    let failed = Unanswered::Failed(fault, note);
                    if !may_repeat {
                        return tries.standing(refused).ok_or(failed);
                    }
                    last = Some(failed);
                }
            }
        }
    }

    /// Whether the response is one for which another server is asked.
    fn is_refused<C: ReadContent + Copy>(
        &self,
        heard: &Heard<C>,
        request: &Request<'_>,
        body: &Body<C>,
        tries: &Tries,
    ) -> bool {
        let statuses = &self.upstream.options().retry.statuses;
        statuses.contains(&heard.head.status.code())
            && body.is_kept()
            && self.may_repeat(request, body, tries)
    }

    /// Whether the request may be sent to another server although one may have acted upon it.
    fn may_repeat<C: ReadContent + Copy>(
        &self,
        request: &Request<'_>,
        body: &Body<C>,
        tries: &Tries,
    ) -> bool {
        request.head.method.is_idempotent()
            && body.is_whole()
            && self.may_try_again(tries)
            && self.upstream.may_repeat(runtime::now())
    }

    /// Whether there may be another try at all.
    fn may_try_again(&self, tries: &Tries) -> bool {
        let retry = &self.upstream.options().retry;
        tries.count() < retry.tries && runtime::now() < tries.begun + retry.within
    }

    /// Asks one server: on a kept connection if there is one, on a new one if the server has closed that.
    async fn ask_server<C: ReadContent + Copy>(
        &self,
        request: &Request<'_>,
        worker: Worker<'_>,
        body: &Body<C>,
        asked: Asked,
        connect: &Cell<Option<Duration>>,
    ) -> Result<Heard<C>, (Failure, Progress)> {
        let server = asked.chosen.server();
        let is_idempotent = request.head.method.is_idempotent();
        let may_be_kept = body.is_kept() && (is_idempotent || server.is_fit_for_once());
        let kept = may_be_kept.then(|| worker.kept.take(server));
        let mut kept = kept.flatten();
        let mut asked = asked;
        loop {
            let is_kept = kept.is_some();
            let connection = match kept.take() {
                Some(connection) => connection,
                None => match self.open((&asked.chosen, worker.kept), body, connect).await {
                    Ok(connection) => connection,
                    Err(failure) => return Err(note(failure, Progress::Unseen, &asked)),
                },
            };
            let heard = self
                .converse(request, worker, body, connection, asked)
                .await;
            let (failure, progress, back) = match heard {
                Ok(heard) => {
                    if is_kept {
                        heard.asked.chosen.server().note_stay(true);
                    }
                    return Ok(heard);
                }
                Err(failed) => failed,
            };
            asked = back;
            // The server may have closed a kept connection at the moment in which it was taken.
            let has_closed = is_kept && is_end(&failure);
            if has_closed {
                asked.chosen.server().note_stay(false);
            }
            let may_go_again = has_closed && progress.allows_again(is_idempotent);
            if !may_go_again {
                return Err(note(failure, progress, &asked));
            }
        }
    }

    /// Opens a connection, while the client waits. `connect` gets the time that it took.
    async fn open<C: ReadContent + Copy>(
        &self,
        (chosen, kept): (&Chosen, &KeptConnections),
        body: &Body<C>,
        connect: &Cell<Option<Duration>>,
    ) -> Result<Connection, Failure> {
        let (begun, timeout) = (runtime::now(), self.upstream.options().timeouts.connect);
        let address = chosen.server().address();
        let opening = async {
            match Connection::open(address, timeout).await {
                // The connections that wait for a next request give theirs up.
                Err(error) if is_shortage(&error) && kept.close_all() => {
                    Connection::open(address, timeout).await
                }
                opened => opened,
            }
        };
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

    /// Sends the request on `connection` and waits for the head of the final response; interim ones go to
    /// the client. Failing, returns also how far it got.
    async fn converse<C: ReadContent + Copy>(
        &self,
        request: &Request<'_>,
        worker: Worker<'_>,
        body: &Body<C>,
        connection: Connection,
        asked: Asked,
    ) -> Result<Heard<C>, (Failure, Progress, Asked)> {
        let framing = body.framing();
        let wishes = Wishes {
            upgrade: request::wanted_protocol(request.head, &self.options.upgrade),
            expects_continue: body.expects_continue(),
            trailers: request::takes_trailers(request.head),
        };
        let head = request::encode(
            request,
            &self.options,
            &self.target,
            asked.chosen.host(),
            (framing, wishes),
        );
        let receiving = Receiving::new(request.head.method, framing, wishes);
        let timeout = self.head_timeout();
        let dialogue = Dialogue::new(connection, worker.input, timeout, head, receiving);
        let mut dialogue = Box::new(dialogue);
        let mut reader = body.reader();
        let heard = self.hear(&mut dialogue, &mut reader, body.client()).await;
        match heard {
            Ok(head) => Ok(Heard {
                head,
                dialogue,
                asked,
                rest: reader.into_rest(),
                note: UpstreamNote::default(),
            }),
            Err(failure) => Err((failure, Progress::of(&dialogue), asked)),
        }
    }

    async fn hear<C: ReadContent + Copy>(
        &self,
        dialogue: &mut Dialogue<Receiving>,
        reader: &mut BodyReader<'_, C>,
        client: C,
    ) -> Result<UpstreamHead, Failure> {
        if let Some(first) = reader.first_block().await? {
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
                        // The client may never send content to which it was not invited.
                        dialogue.stop_sending();
                    }
                    dialogue.set_timeout(self.read_timeout());
                    return Ok(head);
                }
                // It invites the content, and the client is invited when that is read.
                Said::Interim(Status::CONTINUE, _) if reader.is_waiting() => reader.go_on(),
                Said::Interim(status, fields) => {
                    client.inform(&encode_interim(status, &fields)).await?;
                }
            }
        }
    }
}

/// Whether a connection ended, as one does that the server has closed between two requests.
fn is_end(failure: &Failure) -> bool {
    matches!(failure, Failure::Upstream(fault) if fault.is_end_of_connection())
}

/// Takes note that the server failed, if it was the server.
fn note(failure: Failure, progress: Progress, asked: &Asked) -> (Failure, Progress) {
    if matches!(&failure, Failure::Upstream(fault) if !fault.is_ours()) {
        asked.chosen.failed();
    }
    (failure, progress)
}
