//! Exchanges of the running server: those that end from now on, and the last that failed.
//!
//! ```text
//! GET /exchanges?status=5xx&slower=250ms&format=json    lines as exchanges end, until one side goes
//! GET /failures?route=/api&last=10                      lines of what has failed
//! ```
//!
//! A parameter that is said twice, or with commas, means any of its values; of different ones all must
//! hold.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{
    parse_duration, parse_log_format, parse_method, parse_network, parse_status, route_key,
};
use crate::control::reach::{Announce, HasRoute, Reach};
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::http::target::port;
use crate::log::feed::{Feed, FeedFormat, Filter, Follower, Place, Taken, Wanted};
use crate::message::content::{
    BrokenOff, Content, ContentSource, ContentStream, LocalFuture, Octets,
};
use crate::message::response::{CommonFields, Response};
use crate::reason::Reason;
use crate::runtime::{self, Receiver, channel};

/// How long the workers may take to learn of a follower. One that takes longer sends its records later.
const PATIENCE: Duration = Duration::from_millis(750);

/// How long lines are collected after some were sent, so that workers need not wake the task for each
/// exchange. A person sees no delay.
const COLLECT: Duration = Duration::from_millis(10);

/// The parameters that there are.
const KNOWN: &str =
    "the parameters are status, route, host, method, client, reason, slower, format and last";

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Exchanges,
    Failures,
}

/// What a query asks for.
struct Asked {
    wanted: Wanted,
    /// How many of the last failures.
    last: Option<usize>,
}

impl Resource {
    /// The response to GET with `query`.
    pub(super) async fn answer(self, query: Option<&[u8]>, reach: &Reach) -> Response<'static> {
        let asked = match parse(query.unwrap_or_default(), &reach.has_route) {
            Ok(asked) => asked,
            Err(sentence) => return Response::line(Status::BAD_REQUEST, &sentence),
        };
        match self {
            Self::Exchanges => follow(asked, reach).await,
            Self::Failures => {
                let last = asked.last.unwrap_or(usize::MAX);
                let lines = reach.feed.last_failures(&asked.wanted, last);
                lines_of(&asked.wanted, Content::Octets(Octets::Owned(lines)))
            }
        }
    }
}

/// Has the client get what it asked for as exchanges end. The response begins once every worker knows of
/// it, so that no exchange is missing that begins after that.
async fn follow(asked: Asked, reach: &Reach) -> Response<'static> {
    let Asked { wanted, last } = asked;
    let (follower, woken) = match reach.feed.enter(wanted.clone()) {
        Ok(entered) => entered,
        Err(why) => return Response::line(Status::SERVICE_UNAVAILABLE, &why.to_string()),
    };
    let lines = Lines {
        feed: Arc::clone(&reach.feed),
        announce: Arc::clone(&reach.announce),
        follower,
        woken,
        has_sent: false,
    };
    let (done, mut all_done) = channel::<()>();
    (reach.announce)(&done);
    drop(done);
    // It ends when each worker has looked, and has dropped the sender.
    let _ = runtime::timeout(PATIENCE, all_done.receive()).await;
    reach.feed.open(&lines.follower, &wanted, last.unwrap_or(0));
    let stream = ContentStream::new(None, Box::new(lines));
    lines_of(&wanted, Content::Stream(stream))
}

/// A response with `content`, which has the form that is `wanted`.
fn lines_of(wanted: &Wanted, content: Content<'static>) -> Response<'static> {
    let media_type = if wanted.format.is_json() {
        "application/x-ndjson"
    } else {
        "text/plain; charset=utf-8"
    };
    let fields = FieldLines::new()
        .with("Content-Type", media_type)
        .with("Cache-Control", "no-store");
    Response {
        status: Status::OK,
        fields: fields.into(),
        content,
        common: CommonFields::DateAndServer,
    }
}

/// The lines of a follower, as they come. Dropping it ends the following.
struct Lines {
    feed: Arc<Feed>,
    announce: Announce,
    follower: Arc<Follower>,
    woken: Receiver<()>,
    /// Lines were sent, so that others are collected for a moment.
    has_sent: bool,
}

impl Lines {
    /// Waits for lines, and appends them to `into`; `false` when none will come.
    async fn take(&mut self, into: &mut Vec<u8>) -> bool {
        if std::mem::take(&mut self.has_sent) {
            runtime::sleep(COLLECT).await;
        }
        loop {
            match self.follower.take(into) {
                Taken::Lines => {
                    self.has_sent = true;
                    return true;
                }
                Taken::End => return false,
                Taken::Nothing => {
                    self.woken.receive().await;
                }
            }
        }
    }
}

impl ContentSource for Lines {
    fn next<'s>(&'s mut self, into: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        Box::pin(async move { Ok(self.take(into).await) })
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.feed.leave(&self.follower);
        let (done, _) = channel();
        (self.announce)(&done);
    }
}

/// Reads a query.
///
/// # Errors
/// A sentence that names what is not known, and what is.
fn parse(query: &[u8], has_route: &HasRoute) -> Result<Asked, String> {
    let mut asked = Asked {
        wanted: Wanted {
            filter: Filter::default(),
            format: FeedFormat::Readable,
        },
        last: None,
    };
    for (name, value) in form_urlencoded::parse(query) {
        asked.set(&name, &value, has_route)?;
    }
    Ok(asked)
}

impl Asked {
    fn set(&mut self, name: &str, value: &str, has_route: &HasRoute) -> Result<(), String> {
        let Wanted { filter, format } = &mut self.wanted;
        let when = &mut filter.when;
        let fault = |what: String| format!("`{name}`: {what}");
        match name {
            "status" => each(value, &mut when.status, parse_status).map_err(fault)?,
            "method" => {
                each(&value.to_ascii_uppercase(), &mut when.method, parse_method).map_err(fault)?
            }
            "reason" => each(value, &mut when.reason, parse_reason).map_err(fault)?,
            "client" => each(value, &mut filter.client, parse_network).map_err(fault)?,
            "host" => each(value, &mut filter.host, parse_host).map_err(fault)?,
            // A key may have a comma.
            "route" => {
                let place = parse_place(value, has_route).map_err(fault)?;
                filter.places.push(place);
            }
            "slower" => {
                let least = parse_duration(value);
                let why = || fault(not(value, "a time; write 250ms or 2s"));
                when.slower_than = Some(least.ok_or_else(why)?);
            }
            "format" => *format = parse_format(value).map_err(fault)?,
            "last" => {
                let why = |_| fault(not(value, "a number; write 10"));
                self.last = Some(value.parse().map_err(why)?);
            }
            _ => {
                let name = name.escape_debug();
                return Err(format!("`{name}` is not known here; {KNOWN}"));
            }
        }
        Ok(())
    }
}

/// Reads values that commas separate.
fn each<T>(
    values: &str,
    into: &mut Vec<T>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<(), String> {
    for value in values.split(',') {
        into.push(parse(value.trim())?);
    }
    Ok(())
}

fn not(value: &str, what: &str) -> String {
    format!("`{}` is not {what}", value.escape_debug())
}

fn parse_reason(text: &str) -> Result<Reason, String> {
    let mut all = Reason::ALL.iter().copied();
    all.find(|reason| reason.id() == text)
        .ok_or_else(|| not(text, "a reason; `tidegate reasons` lists them"))
}

/// A host without its port, as records have it.
fn parse_host(text: &str) -> Result<String, String> {
    if text.is_empty() || port(text.as_bytes()).is_some() {
        return Err(not(text, "a host without a port; write example.com"));
    }
    Ok(text.to_owned())
}

/// The route whose key it is, or, if none has it, the path.
fn parse_place(text: &str, has_route: &HasRoute) -> Result<Place, String> {
    let key = route_key(text);
    if has_route(&key) {
        Ok(Place::Route(key))
    } else if text.starts_with('/') {
        Ok(Place::below(text))
    } else {
        let what = "the key of a route, as `tidegate explain` names it, and not a path, which begins with `/`";
        Err(not(text, what))
    }
}

fn parse_format(text: &str) -> Result<FeedFormat, String> {
    match text {
        "readable" => Ok(FeedFormat::Readable),
        _ => parse_log_format(text)
            .map(FeedFormat::OfLog)
            .map_err(|why| format!("{why}; or readable")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::LogFormat;
    use crate::http::method::Method;

    fn ask(query: &str) -> Result<Asked, String> {
        let has_route: HasRoute = Arc::new(|key| key == "/api" || key == "= /a,b");
        parse(query.as_bytes(), &has_route)
    }

    #[test]
    fn a_query_says_what_is_wanted() {
        let asked = ask(
            "status=5xx,404&status=301&route=/api&route=%3D+/a,b&route=/x&host=h,[::1]&method=get,POST\
             &client=192.0.2.0/24&reason=no_route&slower=250ms&format=json&last=7",
        );
        let Ok(Asked { wanted, last }) = asked else {
            panic!("{:?}", asked.err());
        };
        let Wanted { filter, format } = wanted;
        let statuses = filter.when.status.iter();
        let statuses: Vec<_> = statuses.map(|range| (range.first, range.last)).collect();
        assert_eq!(statuses, [(500, 599), (404, 404), (301, 301)]);
        let places = [
            Place::Route("/api".to_owned()),
            Place::Route("= /a,b".to_owned()),
            Place::below("/x"),
        ];
        assert_eq!(filter.places, places);
        assert_eq!(filter.when.method, [Method::Get, Method::Post]);
        assert_eq!(filter.when.reason, [Reason::NoRoute]);
        assert_eq!(filter.when.slower_than, Some(Duration::from_millis(250)));
        assert_eq!((filter.host.len(), filter.client.len()), (2, 1));
        assert_eq!(format, FeedFormat::OfLog(LogFormat::Json));
        assert_eq!(last, Some(7));
    }

    #[test]
    fn what_is_not_known_is_named_with_what_is() {
        for (query, parts) in [
            (
                "stats=5xx",
                &["`stats` is not known", "status, route, host"][..],
            ),
            ("status=6xx", &["`status`", "`6xx` is no status", "5xx"]),
            ("status=", &["`status`", "404 or 5xx"]),
            ("status=99", &["`99` is no status"]),
            ("route=api", &["`route`", "`api`", "tidegate explain"]),
            (
                "method=gett",
                &["`GETT` is not a method", "did you mean `GET`?"],
            ),
            (
                "client=localhost",
                &["`localhost` is not an IP address", "10.0.0.0/8"],
            ),
            ("reason=nothing", &["`nothing`", "tidegate reasons"]),
            ("slower=soon", &["`slower`", "`soon`", "250ms"]),
            (
                "format=xml",
                &["`xml` is no format", "combined, common, json", "readable"],
            ),
            ("format={stat}", &["`{stat}` is no variable", "{status}"]),
            ("last=-1", &["`last`", "`-1` is not a number"]),
            ("host=", &["`host`", "example.com"]),
            ("host=h:80", &["`h:80` is not a host without a port"]),
        ] {
            let why = ask(query).err().unwrap_or_default();
            for part in parts {
                assert!(why.contains(part), "{query}: {part:?} in {why:?}");
            }
        }
    }
}
