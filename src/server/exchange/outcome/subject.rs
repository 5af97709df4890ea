//! What an access record tells of an exchange: its request, or as much of it as is known, borrowed or copied.

use std::rc::Rc;
use std::time::Duration;

use super::Outcome;
use crate::address::ClientAddress;
use crate::generation::Generation;
use crate::http::fields::Known;
use crate::http::request::{Glimpse, RequestHead, request_line};
use crate::log::record::AccessRecord;
use crate::log::secrets;
use crate::message::marks::Marks;
use crate::message::request_id::RequestId;
use crate::message::trace::Trace;
use crate::server::exchange::Exchange;
use crate::server::exchange::unrouted::Unrouted;

/// What an access record tells of an exchange besides its outcome.
pub(crate) enum Subject<'e> {
    /// A request that was read: its exchange, and the bytes that its head was parsed from.
    Request(&'e Exchange<'e, 'e>, &'e [u8]),
    /// A request that was read, and whose exchange is lost in a panic: its head, and the same bytes.
    Head(&'e RequestHead<'e>, &'e [u8]),
    /// A request that no route was looked for.
    Unrouted(&'e Unrouted<'e>),
    /// The same as `Request`, copied, for an exchange that outlives the buffer of its request.
    Kept(KeptSubject),
}

/// What an access record tells of an exchange that its request does not say.
#[derive(Clone, Copy, Default)]
pub(crate) struct Told<'e> {
    /// The key of the route that answers, or whose policy refuses the request: the one that metrics count it at.
    pub(crate) route: Option<&'e str>,
    /// The id, if it has one.
    pub(crate) id: Option<&'e RequestId>,
    /// The user, if one was verified.
    pub(crate) user: Option<&'e str>,
}

impl Exchange<'_, '_> {
    /// What the log tells of the exchange that its request does not say.
    fn told(&self) -> Told<'_> {
        Told {
            route: self.key(),
            id: self.id(),
            user: self.user(),
        }
    }
}

/// How many octets of a request line that cannot be read are logged. All of them may need an escape of four
/// octets, and programs that read such logs take lines of up to 4095: goaccess counts a longer one as
/// several that are invalid.
const MAX_REFUSED_LINE: usize = 512;

/// The parts of a request that its access record names, as the client sent them, one after the other: a
/// tunnel holds them as long as it lasts.
///
/// ```text
/// GET /chat HTTP/1.1 LF shop.example LF :https://shop.example/ LF            LF :/chat LF   LF
/// request line          host            Referer, if there is one  User-Agent    route     id   user
/// ```
///
/// User-Agent, id and user are missing here.
///
/// Each is a part of a line, so none has an LF. A field that is there begins with a colon, because it may be
/// empty.
#[derive(Default)]
pub(crate) struct KeptSubject {
    text: Box<[u8]>,
    /// What the exchange is known by, if it has a trace.
    marks: Option<Rc<Marks>>,
}

impl KeptSubject {
    fn new(bytes: &[u8], head: Option<&RequestHead<'_>>, told: Told<'_>) -> Self {
        let mut parts = request_line(bytes).to_vec();
        parts.push(b'\n');
        parts.extend_from_slice(head.map(|head| head.host).unwrap_or_default());
        let field = |known| head.and_then(|head| head.fields.first(known));
        let route = told.route.map(str::as_bytes);
        let id = told.id.map(|id| id.as_str().as_bytes());
        let (referer, agent) = (field(Known::Referer), field(Known::UserAgent));
        let user = told.user.map(str::as_bytes);
        for value in [referer, agent, route, id, user] {
            parts.push(b'\n');
            if let Some(value) = value {
                parts.push(b':');
                parts.extend_from_slice(value);
            }
        }
        Self {
            text: parts.into(),
            marks: None,
        }
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.text.split(|octet| *octet == b'\n')
    }

    fn request_line(&self) -> &[u8] {
        self.parts().next().unwrap_or_default()
    }

    fn host(&self) -> &[u8] {
        self.parts().nth(1).unwrap_or_default()
    }

    /// The part at that place, if it is there.
    fn optional(&self, nth: usize) -> Option<&[u8]> {
        self.parts().nth(nth)?.strip_prefix(b":")
    }

    /// The same, of a part that is text of this server.
    fn text(&self, nth: usize) -> Option<&str> {
        str::from_utf8(self.optional(nth)?).ok()
    }
}

impl<'e> Subject<'e> {
    #[inline]
    pub(super) fn record(
        &self,
        client: ClientAddress,
        outcome: Outcome,
        duration: Duration,
    ) -> AccessRecord<'_> {
        // Changed where it is: each `..record` would copy all of it.
        let mut record = AccessRecord::unreadable(client, b"", outcome.status);
        record.content_length = outcome.content_sent;
        record.duration = duration;
        record.reason = outcome.reason;
        let known = self.trace().filter(|trace| trace.is_known());
        record.trace_id = known.map(Trace::id);
        match self {
            Self::Request(exchange, bytes) => {
                add_head(&mut record, exchange.head, bytes);
                let told = exchange.told();
                record.route = told.route;
                record.request_id = told.id.map(RequestId::as_str);
                record.user = told.user;
            }
            Self::Head(head, bytes) => add_head(&mut record, head, bytes),
            Self::Unrouted(request) => {
                let Glimpse {
                    line, host, fields, ..
                } = &request.glimpse;
                record.request_line = &line[..line.len().min(MAX_REFUSED_LINE)];
                record.host = host;
                record.referer = fields.first(Known::Referer);
                record.user_agent = fields.first(Known::UserAgent);
                record.request_id = request.id().map(RequestId::as_str);
            }
            Self::Kept(kept) => {
                record.request_line = kept.request_line();
                record.host = kept.host();
                record.referer = kept.optional(2);
                record.user_agent = kept.optional(3);
                record.route = kept.text(4);
                record.request_id = kept.text(5);
                record.user = kept.text(6);
            }
        }
        record
    }

    /// Method and request-target, as a line of the log names the request.
    pub(super) fn in_log(&self) -> String {
        let line = match self {
            Self::Request(exchange, _) => return secrets::in_diagnostics(exchange.head),
            Self::Head(head, _) => return secrets::in_diagnostics(head),
            Self::Unrouted(request) => request.glimpse.line,
            Self::Kept(kept) => kept.request_line(),
        };
        let line = String::from_utf8_lossy(line);
        secrets::named(line.rsplit_once(' ').map_or(&line, |(front, _)| front))
    }

    /// The generation that the exchange began with; `None` for a tunnel, which keeps no generation alive, and where the
    /// request could not be read.
    pub(super) fn generation(&self) -> Option<&Generation> {
        match self {
            Self::Request(exchange, _) => Some(exchange.generation),
            Self::Head(..) | Self::Unrouted(_) | Self::Kept(_) => None,
        }
    }

    /// The trace that the exchange belongs to, if it has one.
    pub(super) fn trace(&self) -> Option<&Trace> {
        let marks = match self {
            Self::Request(exchange, _) => exchange.marks(),
            Self::Kept(kept) => kept.marks.as_ref(),
            Self::Unrouted(request) => request.marks.as_ref(),
            Self::Head(..) => None,
        };
        marks?.trace.as_ref()
    }

    /// Copies what is borrowed.
    pub(super) fn into_kept(self) -> Subject<'static> {
        Subject::Kept(match self {
            Self::Request(exchange, bytes) => KeptSubject {
                marks: exchange
                    .marks()
                    .filter(|marks| marks.trace.is_some())
                    .cloned(),
                ..KeptSubject::new(bytes, Some(exchange.head), exchange.told())
            },
            Self::Head(head, bytes) => KeptSubject::new(bytes, Some(head), Told::default()),
            Self::Unrouted(request) => {
                let told = Told {
                    id: request.id(),
                    ..Told::default()
                };
                KeptSubject::new(request.glimpse.line, None, told)
            }
            Self::Kept(kept) => kept,
        })
    }
}

/// Adds what the request's head says; it was parsed from `bytes`.
fn add_head<'r>(record: &mut AccessRecord<'r>, head: &'r RequestHead<'_>, bytes: &'r [u8]) {
    record.request_line = request_line(bytes);
    record.host = head.host;
    record.referer = head.fields.first(Known::Referer);
    record.user_agent = head.fields.first(Known::UserAgent);
}
