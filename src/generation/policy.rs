//! The policy of a server or a route, prepared: field changes and error pages are encoded.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::auth::ServingAuth;
use super::carryover::Carryover;
use super::cors::ServingCors;
use super::error_pages::ErrorPage;
use crate::config::model::{
    Access, Auth, ErrorPages, HeaderChanges, Limits, Policy, RequestText, RoutePattern, Verb,
};
use crate::http::compression::Compression;
use crate::http::date::HttpDate;
use crate::http::field_list::{FieldList, lines_of, name_and_value};
use crate::http::field_roles::{FieldRole, FieldRule};
use crate::http::list;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::http::template::{Part, Place, Template, Values};
use crate::message::changes::{Change, RepresentationChanges};
use crate::message::conditional;
use crate::message::content::{Content, DuplexContent, Octets};
use crate::message::response::{DuplexResponse, Response};
use crate::metrics::series::SeriesId;
use crate::throttle::rates::Rates;

/// A policy, ready to be applied.
pub(crate) struct ServingPolicy {
    pub(crate) limits: Limits,
    /// In which series exchanges are counted that come under it.
    pub(crate) series: SeriesId,
    /// The key of the route of that series, if it is a route's. The log names a refused request by it, which no
    /// route answers.
    pub(crate) route: Option<Box<str>>,
    /// Which clients are answered, how often and how fast; `None`: every client, without a limit.
    pub(crate) admission: Option<Admission>,
    /// Whether exchanges have ids.
    pub(crate) request_id: bool,
    /// Whether exchanges may have [marks](crate::message::marks): ids, or traces. One thing to look at for an
    /// exchange that has neither.
    pub(crate) is_marked: bool,
    /// Whether errors of this server's own say so in `Proxy-Status`.
    pub(crate) proxy_status: bool,
    /// What a client has to prove; `None`: nothing, and it may say what it likes of itself. In a box, because
    /// few routes have it. What it says depends on the other routes of the server: see `with_auth`.
    pub(crate) auth: Option<Box<ServingAuth>>,
    /// In a box, because few routes have it.
    pub(crate) cors: Option<Box<ServingCors>>,
    /// What of the operator's changes a handler has to know beforehand.
    pub(crate) representation: RepresentationChanges,
    /// In a box, so that the policies that change nothing are small and quickly known.
    changes: Option<Box<FieldChanges>>,
    pages: ErrorPages,
    /// The files of `pages`.
    loaded: Vec<(PathBuf, Arc<ErrorPage>)>,
}

/// Which clients are answered, where not all are, and how often and how fast.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) access: Access,
    /// Whether a client has to show a certificate.
    pub(crate) needs_certificate: bool,
    /// The rates at which requests are counted.
    pub(crate) rates: Option<Rates>,
    /// Octets of responses that a connection is sent in a second. Here and not only in the limits, so that an
    /// exchange without any of these looks at one thing.
    pub(crate) max_rate_out: Option<NonZeroU64>,
}

impl Admission {
    fn of(policy: &Policy, changes: &FieldChanges, carryover: &Carryover) -> Option<Self> {
        let is_for_all = policy.access == Access::default()
            && !policy.needs_certificate
            && policy.rates.is_empty()
            && policy.limits.max_rate_out.is_none();
        let rates = || {
            let rates = policy.rates.iter().map(|name| carryover.rate(name));
            let leaves = |name: &str| !changes.drops_of_all(name);
            (!policy.rates.is_empty()).then(|| Rates::new(rates.collect(), leaves))
        };
        (!is_for_all).then(|| Self {
            access: policy.access.clone(),
            needs_certificate: policy.needs_certificate,
            rates: rates(),
            max_rate_out: policy.limits.max_rate_out,
        })
    }
}

/// The changes to make to the field lines of every answer.
#[derive(Debug, Default)]
struct FieldChanges {
    /// Names of fields to drop, in any case: those to remove, and those to set.
    dropped: Vec<(String, Reach)>,
    /// Encoded lines to append to every answer.
    appended: Vec<(FieldLines, Reach)>,
    /// The line of an `ETag` among them that is strong, and the same tag as a weak one.
    weakened: Option<(FieldLines, FieldLines)>,
    /// Fields to append to every answer, whose values each request fills.
    filled: Vec<(String, Template, Reach)>,
    /// How many segments of a path the pattern of the route covers.
    covered_segments: usize,
    /// The value to merge into `Vary`.
    vary: Option<String>,
}

/// Which answers a field of the operator's stands on.
#[derive(Clone, Copy, Debug)]
struct Reach {
    /// Those of this scope and of every later one.
    least: Scope,
    /// Whether it stands on no answer that says that a request failed: caches would keep the failure as long as what
    /// the field is meant for.
    spares_errors: bool,
}

impl Reach {
    /// The reach of the field `name` with that value; `None`: it is removed.
    fn of_field(name: &str, value: Option<&str>) -> Self {
        let is_freshness = value.is_some_and(|value| lets_keep(name, value));
        Self {
            least: Scope::of_field(name),
            spares_errors: is_freshness,
        }
    }

    fn covers(self, answer: AnswerKind) -> bool {
        self.least <= answer.scope && !(self.spares_errors && answer.is_error)
    }
}

/// Whether a field lets caches keep an answer without asking: `Cache-Control` with an age above 0, unless it forbids
/// that in another word (RFC 9111 §5.2.2), or `Expires` with a date (§5.3).
fn lets_keep(name: &str, value: &str) -> bool {
    if name.eq_ignore_ascii_case("Expires") {
        return HttpDate::parse(value.as_bytes()).is_some();
    }
    if !name.eq_ignore_ascii_case("Cache-Control") {
        return false;
    }
    let directives = list::elements(value.as_bytes()).map(<[u8]>::to_ascii_lowercase);
    let directives: Vec<Vec<u8>> = directives.collect();
    let has_age = directives.iter().any(|directive| {
        let age = directive.strip_prefix(b"max-age=");
        let age = age.or_else(|| directive.strip_prefix(b"s-maxage="));
        age.is_some_and(|age| !matches!(age, b"0" | b"\"0\""))
    });
    let forbids = |directive: &Vec<u8>| matches!(&**directive, b"no-store" | b"no-cache");
    has_age && !directives.iter().any(forbids)
}

/// What decides which of the operator's fields an answer carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerKind {
    pub(crate) scope: Scope,
    /// Whether its status says that the request failed.
    pub(crate) is_error: bool,
}

/// The answers that a field is for. A field that describes a representation would be wrong on an
/// answer that has none, and on one whose parts are described one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// Every answer: what is said in the server's own words or by an error page, a redirect.
    Any,
    /// An answer about a representation, with or without its content, such as a 304: its validators.
    Representation,
    /// An answer with several parts of a representation: fields of all of it, but its type.
    Parts,
    /// An answer with a representation, or one part of it.
    Content,
}

impl Scope {
    /// The answers that the field `name` is for: those of this scope and of every later one.
    fn of_field(name: &str) -> Self {
        let rule = FieldRule::of(name);
        match rule.role {
            FieldRole::Representation if rule.name == "Vary" => Self::Any,
            FieldRole::Representation if rule.name == "Content-Type" => Self::Content,
            FieldRole::Representation if rule.describes_content => Self::Parts,
            FieldRole::Representation => Self::Representation,
            _ => Self::Any,
        }
    }

    /// The scope of `response` as its handler gave it.
    pub(crate) fn of_response(response: &DuplexResponse<'_, '_>) -> Self {
        let status = response.status;
        if matches!(response.content, DuplexContent::Problem(_)) {
            Self::Any
        } else if status.forbids_content() {
            Self::Representation
        } else if status == Status::PARTIAL_CONTENT && has_parts(&response.fields) {
            Self::Parts
        } else {
            Self::Content
        }
    }
}

/// Whether the lines say that the content is a multipart/byteranges (RFC 9110 §14.6).
fn has_parts(lines: &[u8]) -> bool {
    let fields = FieldList::parse(lines);
    let media_type = fields.find("Content-Type").unwrap_or_default();
    let start = media_type.get(..MULTIPART.len()).unwrap_or_default();
    start.eq_ignore_ascii_case(MULTIPART)
}

const MULTIPART: &[u8] = b"multipart/byteranges";

impl ServingPolicy {
    /// Prepares the policy of a server, or of all of them, with the error pages that `carryover` has.
    pub(super) fn new(policy: &Policy, carryover: &mut Carryover) -> Self {
        Self::of_route(policy, &RoutePattern::everything(), carryover)
    }

    /// As [`new`](Self::new), for a route with that pattern.
    pub(super) fn of_route(
        policy: &Policy,
        pattern: &RoutePattern,
        carryover: &mut Carryover,
    ) -> Self {
        let changes = FieldChanges::new(&policy.headers, pattern);
        let admission = Admission::of(policy, &changes, carryover);
        let is_marked = policy.request_id || carryover.tracing().is_some();
        let page = |(_, path): (_, &Path)| (path.to_owned(), carryover.error_page(path));
        Self {
            limits: policy.limits.clone(),
            series: SeriesId::NONE,
            route: None,
            admission,
            request_id: policy.request_id,
            is_marked,
            proxy_status: false,
            auth: None,
            cors: policy
                .cors
                .as_ref()
                .map(|cors| Box::new(ServingCors::new(cors))),
            representation: representation_changes(&policy.headers, policy.compression()),
            changes: Some(changes)
                .filter(|changes| !changes.is_empty())
                .map(Box::new),
            pages: policy.error_pages.clone(),
            loaded: policy.error_pages.iter().map(page).collect(),
        }
    }

    /// This policy, whose exchanges are counted in `series`, which is that of the route `route`, or of no route.
    pub(super) fn counted_in(self, series: SeriesId, route: Option<&RoutePattern>) -> Self {
        let route = route.map(|route| route.to_string().into());
        Self {
            series,
            route,
            ..self
        }
    }

    /// The rates at which requests are counted, if there are any.
    #[inline(always)]
    pub(crate) fn rates(&self) -> Option<&Rates> {
        self.admission.as_ref()?.rates.as_ref()
    }

    /// How many octets of responses a connection is sent in a second; `None`: as many as it takes.
    #[inline(always)]
    pub(crate) fn max_rate_out(&self) -> Option<NonZeroU64> {
        self.admission.as_ref()?.max_rate_out
    }

    /// Whether it keeps clients out, by their address or for what they have to prove, otherwise than `other` does.
    pub(crate) fn keeps_others_out_than(&self, other: &Self) -> bool {
        let own = self.conditions();
        own != (None, false, None) && own != other.conditions()
    }

    /// What a client has to meet: its address, a certificate, who it proves to be.
    fn conditions(&self) -> (Option<&Access>, bool, Option<&Auth>) {
        let admission = self.admission.as_ref();
        let access = admission.map(|admission| &admission.access);
        (
            access.filter(|access| **access != Access::default()),
            admission.is_some_and(|admission| admission.needs_certificate),
            self.auth.as_ref().and_then(|auth| auth.rule()),
        )
    }

    /// This policy, with what a client has to prove.
    pub(super) fn with_auth(self, auth: Option<Box<ServingAuth>>) -> Self {
        Self { auth, ..self }
    }

    /// This policy, of a route that `verb` answers.
    pub(super) fn with_verb(mut self, verb: &Verb) -> Self {
        self.proxy_status = matches!(verb, Verb::Proxy(proxy) if proxy.proxy_status);
        if let (Verb::Respond(_), Some(changes)) = (verb, &mut self.changes) {
            // A status of the operator's own choice, and what is to be said with it.
            changes.stop_sparing_errors();
        }
        self
    }

    /// Whether an answer may carry the server's own line with this name.
    pub(crate) fn leaves(&self, name: &str) -> bool {
        let mut changes = self.changes.iter();
        !changes.any(|changes| changes.drops_of_all(name))
    }

    /// Has every response say that it depends on the fields of these names (RFC 9110 §12.5.5).
    pub(super) fn varying_by(mut self, names: &[&str]) -> Self {
        if !names.is_empty() {
            let changes = self.changes.get_or_insert_default();
            let own = changes.vary.as_deref().unwrap_or_default().as_bytes();
            let names = names.join(", ");
            let all = list::union(&[own, names.as_bytes()]);
            changes.vary = Some(String::from_utf8_lossy(&all).into_owned());
        }
        self
    }

    /// If `response` leaves its content to the server and the operator has an error page for the
    /// status: the response with that page. Else the response as it is.
    pub(crate) fn with_error_page<'a, 'c>(
        &'a self,
        response: DuplexResponse<'a, 'c>,
    ) -> DuplexResponse<'a, 'c> {
        if !matches!(response.content, DuplexContent::Problem(_)) {
            return response;
        }
        let page = self.page(response.status);
        let Some((page, content)) = page.and_then(|page| Some((page, page.content()?))) else {
            return response;
        };
        Response {
            status: response.status,
            fields: joined(response.fields, &page.fields),
            content: Content::Octets(Octets::Everywhere(content)),
            common: response.common,
        }
    }

    /// Whether the operator changes any field.
    pub(crate) fn changes_fields(&self) -> bool {
        self.changes.is_some()
    }

    /// Whether a field of the operator's says something of each request: how many segments of its path the
    /// route's pattern covers.
    pub(crate) fn fills_fields(&self) -> Option<usize> {
        let changes = self.changes.as_ref()?;
        (!changes.filled.is_empty()).then_some(changes.covered_segments)
    }

    /// Whether a field of the operator's says how the request arrived.
    pub(crate) fn tells_arrival(&self) -> bool {
        let changes = self.changes.iter();
        let mut filled = changes.flat_map(|changes| &changes.filled);
        filled.any(|(_, value, _)| value.has(&Part::Scheme))
    }

    /// Returns `fields` of such an answer with the operator's changes. `values` are those of the
    /// request; `None`: it could not be read, so that fields that say something of it are left out.
    pub(crate) fn change_fields<'a>(
        &self,
        fields: Octets<'a>,
        answer: AnswerKind,
        values: Option<&Values<'_>>,
    ) -> Octets<'a> {
        match &self.changes {
            None => fields,
            Some(changes) => changes.apply(&fields, answer, values),
        }
    }

    fn page(&self, status: Status) -> Option<&ErrorPage> {
        if self.loaded.is_empty() || !status.is_error() {
            return None;
        }
        let wanted = self.pages.find(status)?;
        self.loaded
            .iter()
            .find(|(path, _)| path == wanted)
            .map(|(_, page)| &**page)
    }
}

impl FieldChanges {
    fn new(headers: &HeaderChanges, pattern: &RoutePattern) -> Self {
        // The server's own `Vary` says what it looked at to select the representation: a cache that is
        // not told sends one client the representation for another. So `set` adds to it.
        let is_vary = |name: &str| name.eq_ignore_ascii_case("Vary");
        let set = || headers.set.iter().filter(|(name, _)| !is_vary(name));
        let removed = |name: &String| (name.clone(), Reach::of_field(name, None));
        let replaced = |(name, value): &(String, RequestText)| (name.clone(), reach(name, value));
        let given = || set().chain(&headers.add);
        let line = |(name, value): &(String, RequestText)| {
            let line = FieldLines::new().with(name, value.as_plain()?);
            Some((line, reach(name, value)))
        };
        let filled = |(name, value): &(String, RequestText)| {
            let template = value.as_plain().is_none().then(|| value.resolved(pattern));
            Some((name.clone(), template?, reach(name, value)))
        };
        let vary = headers.set.iter().find(|(name, _)| is_vary(name));
        let is_strong_tag = |(name, value): &&(String, RequestText)| {
            name.eq_ignore_ascii_case("ETag") && as_sent(value).starts_with('"')
        };
        let weakened = |(name, value): &(String, RequestText)| {
            let (line, tag) = (FieldLines::new(), as_sent(value));
            let weak = FieldLines::new().with(name, format!("W/{tag}"));
            (line.with(name, tag), weak)
        };
        Self {
            weakened: given().find(is_strong_tag).map(weakened),
            dropped: set()
                .map(replaced)
                .chain(headers.remove.iter().map(removed))
                .collect(),
            appended: given().filter_map(line).collect(),
            filled: given().filter_map(filled).collect(),
            covered_segments: pattern.covered_segments(),
            vary: vary.map(|(_, value)| as_sent(value).to_owned()),
        }
    }

    /// The field lines `fields` of such an answer, changed.
    fn apply(
        &self,
        fields: &[u8],
        answer: AnswerKind,
        values: Option<&Values<'_>>,
    ) -> Octets<'static> {
        let mut changed = FieldLines::new();
        let mut vary = Vec::new();
        for line in lines_of(fields) {
            let (name, value) = name_and_value(line);
            if self.vary.is_some() && name.eq_ignore_ascii_case(b"Vary") {
                vary.push(value);
            } else if !self.drops(name, answer) {
                changed.extend(line);
            }
        }
        let weakened = self.weakened.as_ref().filter(|_| has_codings(fields));
        let appended = self.appended.iter();
        for (lines, _) in appended.filter(|(_, reach)| reach.covers(answer)) {
            let lines = match weakened {
                Some((strong, weak)) if strong.as_bytes() == lines.as_bytes() => weak,
                _ => lines,
            };
            changed.extend(lines.as_bytes());
        }
        if let Some(values) = values {
            let filled = self.filled.iter();
            for (name, template, _) in filled.filter(|(_, _, reach)| reach.covers(answer)) {
                let value = if name.eq_ignore_ascii_case("Location") {
                    template.location(values)
                } else {
                    let mut value = Vec::new();
                    template.fill(values, Place::Field, &mut value);
                    value
                };
                changed.push(name, value);
            }
        }
        if let Some(own) = &self.vary {
            vary.push(own.as_bytes());
            changed.push("Vary", list::union(&vary));
        }
        changed.into()
    }

    /// Has every field stand on answers that say that a request failed, too.
    fn stop_sparing_errors(&mut self) {
        let dropped = self.dropped.iter_mut().map(|(_, reach)| reach);
        let appended = self.appended.iter_mut().map(|(_, reach)| reach);
        let filled = self.filled.iter_mut().map(|(_, _, reach)| reach);
        for reach in dropped.chain(appended).chain(filled) {
            reach.spares_errors = false;
        }
    }

    fn is_empty(&self) -> bool {
        self.dropped.is_empty()
            && self.appended.is_empty()
            && self.filled.is_empty()
            && self.vary.is_none()
    }

    /// Whether the field `name` is taken off such an answer.
    fn drops(&self, name: &[u8], answer: AnswerKind) -> bool {
        self.dropped.iter().any(|(dropped, reach)| {
            reach.covers(answer) && dropped.as_bytes().eq_ignore_ascii_case(name)
        })
    }

    /// Whether the field `name` is taken off every answer.
    fn drops_of_all(&self, name: &str) -> bool {
        let every = AnswerKind {
            scope: Scope::Any,
            is_error: true,
        };
        self.drops(name.as_bytes(), every)
    }
}

/// Whether `fields` are those of content that has several codings. The operator's `ETag` is sent with each of
/// them, and a strong one would say that they are the same octets (RFC 9110 §8.8.3.3).
fn has_codings(fields: &[u8]) -> bool {
    conditional::has_codings(&FieldList::parse(fields))
}

/// Which answers the field stands on that the operator gives that value.
fn reach(name: &str, value: &RequestText) -> Reach {
    Reach::of_field(name, Some(as_sent(value)))
}

/// A value that has no variables, as clients are sent it: `{{v}}` is sent as `{v}`.
fn as_sent(value: &RequestText) -> &str {
    value.as_plain().unwrap_or(&value.written)
}

/// What of `headers` a handler has to know beforehand.
fn representation_changes(
    headers: &HeaderChanges,
    compression: Option<&Compression>,
) -> RepresentationChanges {
    let change = |name: &str| {
        let set = headers
            .set
            .iter()
            .find(|(set, _)| set.eq_ignore_ascii_case(name));
        let is_removed = headers
            .remove
            .iter()
            .any(|removed| removed.eq_ignore_ascii_case(name));
        match set {
            Some((_, value)) => Change::Set(as_sent(value).to_owned()),
            None if is_removed => Change::Removed,
            None => Change::Kept,
        }
    };
    RepresentationChanges {
        entity_tag: change("ETag"),
        last_modified: match change("Last-Modified") {
            Change::Kept => Change::Kept,
            Change::Removed => Change::Removed,
            // Checking has made sure that it is a date.
            Change::Set(value) => {
                HttpDate::parse(value.as_bytes()).map_or(Change::Removed, Change::Set)
            }
        },
        content_type: change("Content-Type"),
        compression: compression.cloned().map(Box::new),
    }
}

/// Returns `fields`, followed by `more`.
pub(crate) fn joined<'a>(fields: Octets<'a>, more: &'a FieldLines) -> Octets<'a> {
    if fields.is_empty() {
        return Octets::Lent(more.as_bytes());
    }
    if memchr::memmem::find(&fields, b"Vary:").is_some() {
        return joined_lists(
            FieldList::parse(&fields),
            &FieldList::parse(more.as_bytes()),
        );
    }
    let mut joined = FieldLines::new();
    joined.extend(&fields);
    joined.extend(more.as_bytes());
    joined.into()
}

/// `fields`, followed by `more`, with one `Vary` for both.
fn joined_lists(mut fields: FieldList, more: &FieldList) -> Octets<'static> {
    for line in more.iter() {
        if line.is_named("Vary") {
            fields.vary_by(&line.value);
        } else {
            fields.push(line.name.clone(), line.value.clone());
        }
    }
    fields.encode().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Respond;

    #[test]
    fn what_a_response_depends_on_is_one_line() {
        for (fields, more, expected) in [
            ("", "Vary: Accept\r\n", "Vary: Accept\r\n"),
            ("A: 1\r\n", "Vary: Accept\r\n", "A: 1\r\nVary: Accept\r\n"),
            (
                "Vary: Accept, Sec-Fetch-Mode\r\n",
                "B: 2\r\nVary: accept\r\n",
                "Vary: Accept, Sec-Fetch-Mode\r\nB: 2\r\n",
            ),
            (
                "Vary: Origin\r\n",
                "Vary: Accept\r\n",
                "Vary: Origin, Accept\r\n",
            ),
            ("Vary: *\r\n", "Vary: Accept\r\n", "Vary: *\r\n"),
        ] {
            let mut lines = FieldLines::new();
            lines.extend(more.as_bytes());
            let joined = joined(Octets::Lent(fields.as_bytes()), &lines);
            assert_eq!(String::from_utf8_lossy(&joined), expected);
        }
    }

    #[test]
    fn changes_fields_without_regard_to_case() {
        let pair = |name: &str, value: &str| (name.to_owned(), RequestText::plain(value));
        let headers = HeaderChanges {
            set: vec![pair("Cache-Control", "no-store")],
            add: vec![pair("Link", "<a>")],
            remove: vec!["etag".to_owned(), "Server".to_owned()],
        };
        let policy = Policy {
            headers,
            ..Policy::default()
        };
        let policy = ServingPolicy::new(&policy, &mut Carryover::default());
        let fields = Octets::Lent(b"ETag: \"1\"\r\ncache-control: private\r\nLink: <b>\r\n");
        let changed = policy.change_fields(fields, good(Scope::Content), None);
        assert_eq!(
            &*changed,
            b"Link: <b>\r\nCache-Control: no-store\r\nLink: <a>\r\n"
        );
        assert!(!policy.leaves("Server") && policy.leaves("Date"));
    }

    /// An answer of `scope` that is no error.
    fn good(scope: Scope) -> AnswerKind {
        AnswerKind {
            scope,
            is_error: false,
        }
    }

    #[test]
    fn each_field_is_for_the_answers_that_it_can_describe() {
        let pair = |(name, value): (&str, &str)| (name.to_owned(), RequestText::plain(value));
        let set = [
            ("Content-Type", "a/b"),
            ("Content-Language", "en"),
            ("ETag", "\"v1\""),
            ("Vary", "Origin"),
            ("X", "y"),
        ];
        let headers = HeaderChanges {
            set: set.map(pair).into(),
            ..HeaderChanges::default()
        };
        let policy = Policy {
            headers,
            ..Policy::default()
        };
        let policy = ServingPolicy::new(&policy, &mut Carryover::default());
        let own = b"ETag: \"1\"\r\nVary: Accept-Encoding, origin\r\nContent-Type: c/d\r\n";
        for (scope, expected) in [
            (
                Scope::Any,
                "ETag: \"1\";Content-Type: c/d;X: y;Vary: Accept-Encoding, origin;",
            ),
            (
                Scope::Representation,
                "Content-Type: c/d;ETag: W/\"v1\";X: y;Vary: Accept-Encoding, origin;",
            ),
            (
                Scope::Parts,
                "Content-Type: c/d;Content-Language: en;ETag: W/\"v1\";X: y;Vary: Accept-Encoding, origin;",
            ),
            (
                Scope::Content,
                "Content-Type: a/b;Content-Language: en;ETag: W/\"v1\";X: y;Vary: Accept-Encoding, origin;",
            ),
        ] {
            let changed = policy.change_fields(Octets::Lent(own), good(scope), None);
            let changed = String::from_utf8_lossy(&changed).replace("\r\n", ";");
            assert_eq!(changed, expected, "{scope:?}");
        }
        let alone = Octets::Lent(b"ETag: \"1\"\r\n");
        let changed = policy.change_fields(alone, good(Scope::Representation), None);
        assert_eq!(&*changed, b"ETag: \"v1\"\r\nX: y\r\nVary: Origin\r\n");
        let bare = policy.change_fields(Octets::Lent(b""), good(Scope::Any), None);
        assert_eq!(&*bare, b"X: y\r\nVary: Origin\r\n");
    }

    /// An outage was kept by browsers for a year.
    #[test]
    fn what_lets_caches_keep_an_answer_stands_on_no_error() {
        let respond = Verb::Respond(Respond {
            status: Status::GONE,
            content: RequestText::default(),
            content_type: "text/plain".to_owned(),
        });
        for (name, value, is_on_errors) in [
            (
                "Cache-Control",
                "public, max-age=31536000, immutable",
                false,
            ),
            ("cache-control", "S-MaxAge=60", false),
            ("Expires", "Sun, 06 Nov 1994 08:49:37 GMT", false),
            ("Cache-Control", "no-store", true),
            ("Cache-Control", "private, max-age=0", true),
            ("Cache-Control", "public, max-age=0, must-revalidate", true),
            ("Cache-Control", "no-store, max-age=60", true),
            ("Cache-Control", "public, no-cache", true),
            ("Expires", "0", true),
            ("X-Cache-Control", "max-age=60", true),
        ] {
            let policy = Policy {
                headers: HeaderChanges {
                    set: vec![(name.to_owned(), RequestText::plain(value))],
                    ..HeaderChanges::default()
                },
                ..Policy::default()
            };
            let policy = ServingPolicy::new(&policy, &mut Carryover::default());
            let has = |policy: &ServingPolicy, is_error: bool| {
                let scope = Scope::Content;
                let own = Octets::Lent(b"Cache-Control: private\r\n");
                let changed = policy.change_fields(own, AnswerKind { scope, is_error }, None);
                FieldList::parse(&changed).find(name) == Some(value.as_bytes())
            };
            assert!(has(&policy, false), "{name}: {value}");
            assert_eq!(has(&policy, true), is_on_errors, "{name}: {value}");
            // With an answer that the file holds, the operator has written the status, too.
            assert!(has(&policy.with_verb(&respond), true), "{name}: {value}");
        }
    }
}
