//! A response on its way from an upstream: from octets to heads and content.
//!
//! No I/O: octets come in pieces of any size. The states follow one another:
//!
//! ```text
//! Head ─┬─→ Head        an interim response, which waits to be passed on
//!       ├─→ Content ─→ Ended
//!       ├─→ Ended       there is no content, or all of it came with the head
//!       └─→ Tunnel      101: what follows is not HTTP
//! ```

use std::borrow::Cow;
use std::collections::VecDeque;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use super::connection_auth::asks_for_proof;
use super::fault::ProxyFault;
use crate::http::chunked::{LAST_CHUNK, push_chunk};
use crate::http::content::{Decoder, Step};
use crate::http::field_roles::{is_hop_by_hop, may_be_trailer};
use crate::http::fields::is_name;
use crate::http::list;
use crate::http::method::Method;
use crate::http::received_response::{
    MAX_RECEIVED_HEAD, ReceivedFraming, ReceivedHead, line_space,
};
use crate::http::request::may_be_complete;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::http::version::Version;
use crate::upstream::Protocol;

use super::request::{SentFraming, Wishes};
use super::withheld::{Withheld, begins_with};

/// Octets of content that may wait to be taken.
const MAX_CONTENT: usize = 128 * 1024;

/// Options of `Connection` in a response whose trailer fields are passed on: each name of one is compared with each
/// option. No honest upstream sends more.
const MAX_OPTIONS: usize = 64;

/// Interim responses to one request. No honest upstream sends more.
const MAX_INTERIM: usize = 64;

/// A response on its way.
pub(super) struct Receiving {
    /// The method of the request.
    method: Method,
    /// How the request's content is delimited.
    sent_framing: SentFraming,
    /// The protocol that the request asks for, if it asks for another one.
    wanted_protocol: Option<Vec<u8>>,
    /// Octets of a head that is incomplete.
    partial: Vec<u8>,
    /// Heads of interim responses that wait to be passed on, and that of the final one behind them.
    interims: VecDeque<(Status, Vec<u8>)>,
    last: Option<UpstreamHead>,
    interim: usize,
    content: Vec<u8>,
    state: State,
    /// Whether another request may be sent on the connection once this response has ended.
    persistent: bool,
    /// How long the upstream says that it waits for another request.
    waits: Option<Duration>,
    /// Whether the client takes trailer fields.
    takes_trailers: bool,
    /// What the client gets neither in an interim response nor in a trailer section.
    withheld: Arc<Withheld>,
    /// The options of the final head's `Connection`, if trailer fields may follow for the client: a field that
    /// one of them names is meant for this server, wherever it stands (RFC 9110 §7.6.1).
    options: Vec<Vec<u8>>,
    /// Whether the request proves who its client is for the whole connection.
    is_owned: bool,
    /// Encoded trailer fields for the client.
    trailers: Vec<u8>,
}

enum State {
    Head,
    Content(Decoder),
    Tunnel,
    Ended,
}

/// What an upstream says before content.
pub(super) enum Said {
    /// An interim response: status and encoded field lines.
    Interim(Status, Vec<u8>),
    Final(UpstreamHead),
}

/// The head of a final response, for the client.
pub(super) struct UpstreamHead {
    pub(super) status: Status,
    /// Encoded field lines, without those of the connection and of the framing.
    pub(super) fields: Vec<u8>,
    /// The length of the content, if it is announced: to HEAD, of the content that is not sent.
    pub(super) length: Option<u64>,
    /// Whether `Date` is among the fields.
    pub(super) has_date: bool,
    /// Whether the upstream asks that the content is passed on as it comes (`X-Accel-Buffering: no`).
    pub(super) is_unbuffered: bool,
    /// The protocols that a 426 asks for in `Upgrade` (RFC 9110 §15.5.22).
    pub(super) required_protocols: Vec<Vec<u8>>,
}

impl Receiving {
    /// A response to a request of `method` whose content is sent as `sent_framing` says; of which nothing
    /// has come.
    pub(super) fn new(
        method: Method,
        sent_framing: SentFraming,
        wishes: Wishes<'_>,
        withheld: Arc<Withheld>,
    ) -> Self {
        Self {
            method,
            sent_framing,
            wanted_protocol: wishes.upgrade.map(<[u8]>::to_vec),
            partial: Vec::new(),
            interims: VecDeque::new(),
            last: None,
            interim: 0,
            content: Vec::new(),
            state: State::Head,
            persistent: false,
            waits: None,
            takes_trailers: wishes.trailers,
            withheld,
            options: Vec::new(),
            is_owned: wishes.owns_connection,
            trailers: Vec::new(),
        }
    }

    /// The next head that has come, interim or final.
    pub(super) fn take_head(&mut self) -> Option<Said> {
        match self.interims.pop_front() {
            Some((status, fields)) => Some(Said::Interim(status, fields)),
            None => self.last.take().map(Said::Final),
        }
    }

    /// Whether nothing at all has come.
    pub(super) fn is_untouched(&self) -> bool {
        matches!(self.state, State::Head) && self.partial.is_empty() && self.interim == 0
    }

    /// Whether the response has ended in a way that leaves the connection good for another request.
    pub(super) fn is_reusable(&self) -> bool {
        self.persistent && matches!(self.state, State::Ended)
    }

    /// How long the upstream says that it waits for another request.
    pub(super) fn waits(&self) -> Option<Duration> {
        self.waits
    }

    /// The encoded trailer fields for the client, once the response has ended.
    pub(super) fn take_trailers(&mut self) -> Vec<u8> {
        take(&mut self.trailers)
    }

    /// Takes heads off `octets`. Returns how many octets they are.
    fn receive_heads(&mut self, octets: &[u8]) -> Result<usize, ProxyFault> {
        let mut at = 0;
        while matches!(self.state, State::Head) {
            let mut space = line_space();
            let Some(head) = ReceivedHead::parse(&octets[at..], &mut space, self.method)? else {
                break;
            };
            at += head.length;
            self.take_note(&head)?;
        }
        Ok(at)
    }

    /// Takes note of a head that is complete.
    fn take_note(&mut self, head: &ReceivedHead<'_>) -> Result<(), ProxyFault> {
        let is_switch = head.status == Status::SWITCHING_PROTOCOLS;
        if is_switch && !self.is_asked_for(head) {
            return Err(ProxyFault::UnaskedUpgrade);
        }
        if is_switch && !is_switch_in_form(head) {
            return Err(ProxyFault::MalformedUpgrade);
        }
        let is_interim = head.status.is_interim() && !is_switch;
        if self.takes_trailers && options(head).nth(MAX_OPTIONS).is_some() {
            self.takes_trailers = false;
        }
        let told = Told::by(head, is_switch, self.takes_trailers, &self.withheld);
        if is_interim {
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                return Err(ProxyFault::TooManyInterim);
            }
            self.interims.push_back((head.status, told.fields));
            return Ok(());
        }
        let decoder = Decoder::of_response(head.framing);
        if self.takes_trailers && head.framing == ReceivedFraming::Chunked {
            self.options = options(head).map(<[u8]>::to_vec).collect();
        }
        self.persistent =
            head.persistent && !is_switch && !self.is_owned && !told.is_for_connection;
        self.waits = told.waits;
        self.state = if is_switch {
            State::Tunnel
        } else if decoder.is_ended() {
            State::Ended
        } else {
            State::Content(decoder)
        };
        self.last = Some(UpstreamHead {
            status: head.status,
            fields: told.fields,
            length: head.content_length,
            has_date: told.has_date,
            is_unbuffered: told.is_unbuffered,
            required_protocols: required_protocols(head),
        });
        Ok(())
    }

    /// Whether a 101 changes to the protocol that the request asks for, and to no other one: the client is told
    /// of all that `Upgrade` names (RFC 9110 §7.8).
    fn is_asked_for(&self, head: &ReceivedHead<'_>) -> bool {
        let Some(wanted) = &self.wanted_protocol else {
            return false;
        };
        let mut protocols = head.values(b"upgrade").flat_map(list::elements).peekable();
        protocols.peek().is_some()
            && protocols.all(|protocol| protocol.eq_ignore_ascii_case(wanted))
    }

    /// Takes content off `octets`. Returns how many octets belong to the response.
    fn receive_content(&mut self, octets: &[u8]) -> Result<usize, ProxyFault> {
        let State::Content(decoder) = &mut self.state else {
            return Ok(0);
        };
        let mut at = 0;
        loop {
            match decoder.step(&octets[at..])? {
                Step::Content { skip, len } => {
                    self.content
                        .extend_from_slice(&octets[at + skip..at + skip + len]);
                    at += skip + len;
                }
                Step::NeedMore => return Ok(octets.len()),
                Step::End { used } => {
                    let mut trailers = decoder.take_trailers();
                    if self.takes_trailers {
                        trailers.retain(|line| {
                            let options = self.options.iter().map(Vec::as_slice);
                            is_for_client(&line.name, &self.withheld, options)
                        });
                        self.trailers = trailers.encode().into_bytes();
                    }
                    self.state = State::Ended;
                    return Ok(at + used);
                }
            }
        }
    }

    /// Takes octets that follow the head of the final response.
    fn receive_behind_head(&mut self, octets: &[u8]) -> Result<(), ProxyFault> {
        let used = match self.state {
            State::Content(_) => self.receive_content(octets)?,
            State::Tunnel => {
                self.content.extend_from_slice(octets);
                octets.len()
            }
            State::Head | State::Ended => 0,
        };
        // Octets behind the response belong to no request of ours.
        self.persistent &= used == octets.len();
        Ok(())
    }

    /// The upstream has ended its side.
    fn end_of_input(&mut self) -> Result<(), ProxyFault> {
        self.persistent = false;
        match &mut self.state {
            State::Head => Err(ProxyFault::ClosedEarly),
            State::Content(decoder) => {
                decoder.end_of_input().map_err(|_| ProxyFault::Truncated)?;
                self.state = State::Ended;
                Ok(())
            }
            State::Tunnel | State::Ended => {
                self.state = State::Ended;
                Ok(())
            }
        }
    }
}

impl Protocol for Receiving {
    type Fault = ProxyFault;

    fn push_content(&mut self, block: &[u8], goes_on: bool, out: &mut Vec<u8>) {
        if self.sent_framing != SentFraming::Chunked {
            out.extend_from_slice(block);
            return;
        }
        push_chunk(block, out);
        if !goes_on {
            out.extend_from_slice(LAST_CHUNK);
        }
    }

    fn receive(&mut self, octets: &[u8]) -> Result<(), ProxyFault> {
        if octets.is_empty() {
            return self.end_of_input();
        }
        if !matches!(self.state, State::Head) {
            return self.receive_behind_head(octets);
        }
        let seen = self.partial.len();
        let octets = if seen == 0 {
            Cow::Borrowed(octets)
        } else {
            self.partial.extend_from_slice(octets);
            Cow::Owned(take(&mut self.partial))
        };
        // Nearly every head comes at once, so it is not looked through before it is parsed.
        let is_worth_parsing =
            seen == 0 || octets.len() >= MAX_RECEIVED_HEAD || may_be_complete(&octets, seen);
        let used = if is_worth_parsing {
            self.receive_heads(&octets)?
        } else {
            0
        };
        if !matches!(self.state, State::Head) {
            return self.receive_behind_head(&octets[used..]);
        }
        self.partial = octets[used..].to_vec();
        Ok(())
    }

    fn content(&mut self) -> &mut Vec<u8> {
        &mut self.content
    }

    fn is_full(&self) -> bool {
        self.content.len() >= MAX_CONTENT
    }

    fn is_in_content(&self) -> bool {
        !matches!(self.state, State::Head)
    }

    fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }
}

/// What the fields of a head say: to the client, and to this server.
struct Told {
    /// Encoded field lines for the client, without those of the connection and of the framing.
    fields: Vec<u8>,
    /// Whether `Date` is among them.
    has_date: bool,
    /// `X-Accel-Buffering: no`
    is_unbuffered: bool,
    /// How long the upstream waits for another request.
    waits: Option<Duration>,
    /// Whether it asks the client to prove itself for the whole connection.
    is_for_connection: bool,
}

impl Told {
    /// Walks the fields of `head` once, and once more for `Connection`, which may name some of them. The fields
    /// that are `withheld` are left out of an interim response, and of what `Trailer` announces.
    fn by(
        head: &ReceivedHead<'_>,
        is_switch: bool,
        takes_trailers: bool,
        withheld: &Withheld,
    ) -> Self {
        let mut lines = FieldLines::behind(Vec::with_capacity(head.length));
        let (mut has_date, mut is_unbuffered, mut waits) = (false, false, None);
        let mut is_for_connection = false;
        let is_interim = head.status.is_interim() && !is_switch;
        let has_options = head.values(b"connection").next().is_some();
        for (name, value) in head.fields() {
            let octets = name.as_bytes();
            let is_for_us = if is_name(octets, b"x-accel-buffering") {
                is_unbuffered |= value.eq_ignore_ascii_case(b"no");
                true
            } else if is_name(octets, b"keep-alive") {
                waits = waits.or_else(|| announced_wait(value));
                true
            } else {
                is_name(octets, b"content-length")
            };
            let is_announcement = takes_trailers && is_name(octets, b"trailer");
            let is_dropped = is_for_us
                || is_hop_by_hop(name) && !is_announcement
                || is_interim && withheld.has(name)
                || has_options && is_named(name, options(head));
            is_for_connection |= asks_for_proof(name, value);
            if is_announcement && !is_dropped {
                announce(value, head, withheld, &mut lines);
            } else if !is_dropped {
                has_date |= is_name(octets, b"date");
                lines.push_clean(name, [value]);
            }
        }
        if is_switch {
            lines.push("Connection", "upgrade");
            for protocol in head.values(b"upgrade") {
                lines.push_clean("Upgrade", [protocol]);
            }
        }
        Self {
            fields: lines.into_bytes(),
            has_date,
            is_unbuffered,
            waits,
            is_for_connection,
        }
    }
}

/// The options of `Connection`.
fn options<'a>(head: &ReceivedHead<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    head.values(b"connection").flat_map(list::elements)
}

/// Whether a 101 is well formed: HTTP/1.0 has no 101, and without the option `Upgrade` says nothing about this
/// connection (RFC 9110 §7.8). An application that sends another one may go on with HTTP.
fn is_switch_in_form(head: &ReceivedHead<'_>) -> bool {
    head.version == Version::Http11 && is_named("Upgrade", options(head))
}

/// Whether one of these options of `Connection` names the field.
fn is_named<'o>(name: &str, mut options: impl Iterator<Item = &'o [u8]>) -> bool {
    options.any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
}

/// Whether the client gets the field `name` of a trailer section, behind a head with these options of
/// `Connection`.
fn is_for_client<'o>(
    name: &str,
    withheld: &Withheld,
    options: impl Iterator<Item = &'o [u8]>,
) -> bool {
    may_be_trailer(name)
        && !withheld.has(name)
        && !begins_with(name, "X-Accel-")
        && !is_named(name, options)
}

/// Appends `Trailer` with those names of `value` whose fields the client gets, if there are any.
fn announce(value: &[u8], head: &ReceivedHead<'_>, withheld: &Withheld, lines: &mut FieldLines) {
    let is_sent = |name: &&[u8]| {
        str::from_utf8(name).is_ok_and(|name| is_for_client(name, withheld, options(head)))
    };
    let names: Vec<_> = list::elements(value).filter(is_sent).collect();
    if !names.is_empty() {
        lines.push_clean("Trailer", [&names.join(&b", "[..])]);
    }
}

/// The protocols that the client must change to, if `head` is of a 426.
fn required_protocols(head: &ReceivedHead<'_>) -> Vec<Vec<u8>> {
    if head.status != Status::UPGRADE_REQUIRED {
        return Vec::new();
    }
    let protocols = head.values(b"upgrade").flat_map(list::elements);
    protocols.map(<[u8]>::to_vec).collect()
}

/// The time in a value of `Keep-Alive`, as `timeout=5`: how long the upstream waits for another request.
fn announced_wait(value: &[u8]) -> Option<Duration> {
    let mut parameters = list::elements(value);
    let seconds = parameters.find_map(|parameter| {
        let text = str::from_utf8(parameter).ok()?;
        let (name, value) = text.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("timeout")
            .then(|| value.trim().parse().ok())?
    });
    seconds.map(Duration::from_secs)
}
