//! The tables: what each tab lists, as cells of text with what they are sorted by.

use std::cmp::Ordering;

use jiff::tz::TimeZone;

use super::change::{Change, Quantile};
use super::route_name;
use super::snapshot::{Failure, UpstreamServer};
use super::units::{self, UNKNOWN};
use crate::reason;

/// What the screen lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Tab {
    #[default]
    Routes,
    Upstreams,
    Workers,
    Failures,
    Reasons,
}

/// A list, before its rows are chosen and sorted.
pub(super) struct Table {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Row>,
}

/// A column, and what becomes of it in a narrow terminal.
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) align: Align,
    /// The least width, in cells of the terminal.
    pub(super) width: usize,
    /// Columns with a high rank are left out first, of those with the same rank the last; those of rank 0 never are.
    pub(super) rank: u8,
    /// Whether columns of rank 3 and higher are left out for it, too, while a text in it is cut.
    pub(super) is_name: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Text, which is cut if it is long.
    Left,
    /// Numbers, which are never cut.
    Right,
}

pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
}

pub(super) struct Cell {
    pub(super) text: String,
    /// So many octets of the text are cut before the rest of it. If there are none, its end is cut.
    pub(super) lead: usize,
    /// What a filter finds the cell by, besides its text.
    alias: String,
    pub(super) tone: Tone,
    key: Key,
}

/// What a cell says of the server's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
}

/// What a cell is sorted by.
#[derive(Clone, Debug, PartialEq)]
enum Key {
    /// Nothing is known: before all that is.
    Unknown,
    Number(f64),
    /// As the cell shows it.
    Text,
}

impl Tab {
    pub(super) const ALL: [Self; 5] = [
        Self::Routes,
        Self::Upstreams,
        Self::Workers,
        Self::Failures,
        Self::Reasons,
    ];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Routes => "Routes",
            Self::Upstreams => "Upstreams",
            Self::Workers => "Workers",
            Self::Failures => "Failures",
            Self::Reasons => "Reasons",
        }
    }

    /// What an empty table means.
    pub(super) fn when_empty(self) -> &'static str {
        match self {
            Self::Routes => "no request has been answered yet",
            Self::Upstreams => "the configuration has no upstreams",
            Self::Workers => "no worker has told anything yet",
            Self::Failures => "no exchange has failed",
            Self::Reasons => "no exchange has ended yet",
        }
    }

    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Self::Routes => ROUTES,
            Self::Upstreams => UPSTREAMS,
            Self::Workers => WORKERS,
            Self::Failures => FAILURES,
            Self::Reasons => REASONS,
        }
    }

    /// The column that the table is sorted by at first.
    pub(super) fn first_sorted(self) -> usize {
        match self {
            Self::Upstreams | Self::Workers | Self::Failures => 0,
            Self::Routes | Self::Reasons => 1,
        }
    }

    /// Whether the largest is on top if the table is sorted by that column and not reversed: so it is with
    /// numbers and times.
    pub(super) fn is_descending(self, column: usize) -> bool {
        let is_time = self == Self::Failures && column == 0;
        is_time || self.columns()[column].align == Align::Right
    }

    /// The table of what has changed.
    pub(super) fn table(self, change: Change<'_>, zone: &TimeZone) -> Table {
        let rows = match self {
            Self::Routes => routes(change),
            Self::Upstreams => upstreams(change),
            Self::Workers => workers(change),
            Self::Failures => failures(change, zone),
            Self::Reasons => reasons(change),
        };
        Table {
            columns: self.columns(),
            rows,
        }
    }
}

const fn text(title: &'static str, width: usize, rank: u8) -> Column {
    Column {
        title,
        align: Align::Left,
        width,
        rank,
        is_name: false,
    }
}

/// A text without which the rows of a table cannot be told apart.
const fn name(title: &'static str, width: usize, rank: u8) -> Column {
    Column {
        is_name: true,
        ..text(title, width, rank)
    }
}

const fn number(title: &'static str, width: usize, rank: u8) -> Column {
    Column {
        title,
        align: Align::Right,
        width,
        rank,
        is_name: false,
    }
}

const ROUTES: &[Column] = &[
    text("ROUTE", 22, 0),
    number("REQ/S", 7, 0),
    number("P50", 7, 4),
    number("P99", 7, 0),
    number("4XX/S", 6, 3),
    number("5XX/S", 6, 1),
    number("SENT/S", 8, 2),
    number("RECEIVED/S", 11, 6),
    number("REQUESTS", 9, 5),
];

const UPSTREAMS: &[Column] = &[
    // An address of IPv4 with its port. With the state it fills the narrowest terminal.
    name("SERVER", 21, 0),
    // `paused for 9999 s`.
    text("STATE", 17, 0),
    number("REQ/S", 7, 1),
    number("FAILED/S", 9, 1),
    number("IN FLIGHT", 10, 2),
    number("WAITING", 8, 4),
    number("RETRIES/S", 10, 5),
    number("REQUESTS", 9, 3),
    number("FAILURES", 9, 6),
];

const WORKERS: &[Column] = &[
    text("WORKER", 7, 0),
    number("REQ/S", 7, 0),
    number("CONNECTIONS", 12, 1),
    number("LOOP DELAY", 11, 0),
    number("REQUESTS", 10, 2),
];

const FAILURES: &[Column] = &[
    text("TIME", 9, 0),
    text("STATUS", 7, 0),
    text("METHOD", 7, 3),
    text("PATH", 12, 0),
    text("REASON", 24, 1),
    number("TOOK", 8, 2),
    text("ROUTE", 8, 6),
    text("UPSTREAM", 10, 4),
    text("CLIENT", 10, 5),
];

const REASONS: &[Column] = &[
    text("REASON OR END", 16, 0),
    number("PER SECOND", 11, 0),
    number("TOTAL", 8, 0),
    text("MEANING", 20, 1),
];

fn routes(change: Change<'_>) -> Vec<Row> {
    let routes = change.routes();
    let mut servers: Vec<_> = routes.keys().map(|(server, _)| *server).collect();
    servers.dedup();
    let rows = routes.iter().map(|((server, route), sum)| {
        // Which server is worth its width only if there are several.
        let name = match (servers.len(), *route) {
            (..2, "") => (*server).to_owned(),
            (..2, route) => route.to_owned(),
            (_, route) => format!("{server} {route}"),
        };
        let rate = |count| change.rate(count);
        let quantile = |part| match change.seconds() {
            Some(_) => change.quantile(&sum.buckets, part),
            None => Quantile::None,
        };
        Row {
            cells: vec![
                Cell::route(name),
                Cell::rate(rate(sum.requests)),
                Cell::quantile(quantile(0.5)),
                Cell::quantile(quantile(0.99)),
                Cell::rate(rate(sum.client_errors)).toned(Tone::Warning),
                Cell::rate(rate(sum.server_errors)).toned(Tone::Bad),
                Cell::octets(rate(sum.sent)),
                Cell::octets(rate(sum.received)),
                Cell::count(sum.total),
            ],
        }
    });
    rows.collect()
}

fn upstreams(change: Change<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for upstream in &change.to.upstreams {
        let earlier = change.earlier_upstream(upstream);
        let retries = earlier.map(|earlier| upstream.retries.saturating_sub(earlier.retries));
        let retries = retries.and_then(|count| change.rate(count));
        for server in &upstream.servers {
            let earlier = change.earlier_server(upstream, server);
            let rate = |read: fn(&UpstreamServer) -> u64| {
                change.rate(read(server).saturating_sub(read(earlier?)))
            };
            rows.push(Row {
                cells: vec![
                    Cell::server(&upstream.name, &server.address),
                    Cell::text(state(server)).of_tone(tone_of_state(&server.state)),
                    Cell::rate(rate(|server| server.requests)),
                    Cell::rate(rate(|server| server.failures)).toned(Tone::Bad),
                    Cell::count(server.in_flight),
                    Cell::count(upstream.waiting).toned(Tone::Warning),
                    Cell::rate(retries).toned(Tone::Warning),
                    Cell::count(server.requests),
                    Cell::count(server.failures),
                ],
            });
        }
    }
    rows
}

/// The state, as `tidegate status` words it.
fn state(server: &UpstreamServer) -> String {
    let state = &server.state;
    match (server.seconds_left, server.percent) {
        (Some(seconds), _) => format!("{state} for {seconds} s"),
        (_, Some(percent)) => format!("{state}, at {percent} %"),
        _ => state.clone(),
    }
}

fn tone_of_state(state: &str) -> Tone {
    match state {
        "up" => Tone::Good,
        "unhealthy" => Tone::Bad,
        _ => Tone::Warning,
    }
}

fn workers(change: Change<'_>) -> Vec<Row> {
    let rows = change.to.workers.iter().map(|worker| {
        let mut before = change.from.iter().flat_map(|from| &from.workers);
        let earlier = before.find(|earlier| earlier.id == worker.id);
        let requests = earlier.map(|earlier| worker.requests.saturating_sub(earlier.requests));
        let delay = match worker.delay_us {
            Some(delay) => Cell::number(delay as f64, units::duration(delay as f64)),
            // A loop that does not answer is the latest of all.
            None => Cell::number(f64::INFINITY, "no answer".to_owned()).of_tone(Tone::Bad),
        };
        Row {
            cells: vec![
                Cell::number(worker.id as f64, worker.id.to_string()),
                Cell::rate(requests.and_then(|count| change.rate(count))),
                Cell::count(worker.connections),
                delay,
                Cell::count(worker.requests),
            ],
        }
    });
    rows.collect()
}

fn failures(change: Change<'_>, zone: &TimeZone) -> Vec<Row> {
    let now = change.to.time_ms;
    let row = |failure: &Failure| {
        let status = match failure.status {
            Some(status @ 500..) => {
                Cell::number(status as f64, status.to_string()).of_tone(Tone::Bad)
            }
            Some(status) => Cell::number(status as f64, status.to_string()),
            None => Cell::unknown(),
        };
        let took = match failure.duration_us {
            Some(took) => Cell::number(took as f64, units::taken(took)),
            None => Cell::unknown(),
        };
        let time = units::clock(failure.time_ms, now, zone);
        Row {
            cells: vec![
                Cell::number(failure.time_ms as f64, time),
                status,
                Cell::text(failure.method.clone()),
                Cell::text(failure.path.clone()),
                Cell::text(failure.reason.clone()),
                took,
                Cell::route(failure.route.clone()),
                Cell::text(failure.upstream.clone()),
                Cell::text(failure.client.clone()),
            ],
        }
    };
    change.to.failures.iter().map(row).collect()
}

fn reasons(change: Change<'_>) -> Vec<Row> {
    let to = change.to;
    let from = change.from;
    let reasons = to.reasons.iter().map(|(id, total)| {
        let earlier = from.map(|from| from.reasons.get(id).copied().unwrap_or(0));
        let meaning = reason::meaning_of(id).unwrap_or_default();
        (id, *total, earlier, meaning)
    });
    let ends = to.ends.iter().map(|(end, total)| {
        let earlier = from.map(|from| from.ends.get(end).copied().unwrap_or(0));
        (
            end,
            *total,
            earlier,
            "All exchanges that ended so, whatever the reason.",
        )
    });
    let rows = reasons.chain(ends).filter(|(_, total, ..)| *total > 0);
    let rows = rows.map(|(name, total, earlier, meaning)| {
        let since = earlier.map(|earlier| total.saturating_sub(earlier));
        Row {
            cells: vec![
                Cell::text(name.clone()),
                Cell::rate(since.and_then(|count| change.rate(count))),
                Cell::count(total),
                Cell::text(meaning.to_owned()),
            ],
        }
    });
    rows.collect()
}

impl Cell {
    fn text(text: String) -> Self {
        Self {
            text,
            lead: 0,
            alias: String::new(),
            tone: Tone::Plain,
            key: Key::Text,
        }
    }

    /// A route, by the name that the configuration file may have; a filter finds it by its key, too.
    fn route(key: String) -> Self {
        Self {
            alias: key.clone(),
            ..Self::text(route_name::readable(&key))
        }
    }

    /// A server of an upstream, which its address tells apart from the others.
    fn server(upstream: &str, address: &str) -> Self {
        // An upstream that a route names by its URL alone has no other name.
        if upstream == address || upstream.ends_with(&format!("//{address}")) {
            return Self {
                lead: upstream.len() - address.len(),
                ..Self::text(upstream.to_owned())
            };
        }
        Self {
            lead: upstream.len(),
            ..Self::text(format!("{upstream}/{address}"))
        }
    }

    fn number(number: f64, text: String) -> Self {
        Self {
            key: Key::Number(number),
            ..Self::text(text)
        }
    }

    fn unknown() -> Self {
        Self {
            key: Key::Unknown,
            ..Self::text(UNKNOWN.to_owned())
        }
    }

    fn count(count: u64) -> Self {
        Self::number(count as f64, units::count(count))
    }

    fn rate(rate: Option<f64>) -> Self {
        rate.map_or_else(Self::unknown, |rate| Self::number(rate, units::rate(rate)))
    }

    /// Octets in a second.
    fn octets(rate: Option<f64>) -> Self {
        rate.map_or_else(Self::unknown, |rate| Self::number(rate, units::bytes(rate)))
    }

    fn quantile(quantile: Quantile) -> Self {
        let text = units::quantile(quantile);
        match quantile {
            Quantile::None => Self::unknown(),
            Quantile::At(microseconds) => Self::number(microseconds, text),
            Quantile::Beyond(_) => Self::number(f64::INFINITY, text),
        }
    }

    fn of_tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    /// Gives a number that is not zero that tone.
    fn toned(self, tone: Tone) -> Self {
        match self.key {
            Key::Number(number) if number > 0.0 => self.of_tone(tone),
            _ => self,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (&self.key, &other.key) {
            (Key::Number(one), Key::Number(two)) => one.total_cmp(two),
            (Key::Text, Key::Text) => self.text.cmp(&other.text),
            (Key::Unknown, Key::Unknown) => Ordering::Equal,
            (Key::Unknown, _) => Ordering::Less,
            (_, Key::Unknown) => Ordering::Greater,
            (Key::Number(_), Key::Text) => Ordering::Less,
            (Key::Text, Key::Number(_)) => Ordering::Greater,
        }
    }
}

impl Table {
    /// Keeps the rows in which a cell holds `filter`, whatever the case of its letters.
    pub(super) fn filter(&mut self, filter: &str) {
        let filter = filter.to_lowercase();
        let holds = |cell: &Cell| {
            let mut texts = [&cell.text, &cell.alias].into_iter();
            texts.any(|text| text.to_lowercase().contains(&filter))
        };
        let texts = |row: &Row| {
            let cells = row.cells.iter().zip(self.columns);
            let mut texts = cells.filter(|(_, column)| column.align == Align::Left);
            texts.any(|(cell, _)| holds(cell))
        };
        if !filter.is_empty() {
            self.rows.retain(texts);
        }
    }

    /// Sorts the rows by a column. Rows that are equal there keep their order.
    pub(super) fn sort(&mut self, column: usize, is_descending: bool) {
        self.rows.sort_by(|one, two| {
            let order = one.cells[column].compare(&two.cells[column]);
            if is_descending {
                order.reverse()
            } else {
                order
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{busy, snapshot};
    use super::super::snapshot::Snapshot;
    use super::*;

    fn table(tab: Tab, from: Option<&Snapshot>, to: &Snapshot) -> Vec<Vec<String>> {
        texts(&tab.table(Change { from, to }, &TimeZone::UTC))
    }

    fn texts(table: &Table) -> Vec<Vec<String>> {
        let row = |row: &Row| row.cells.iter().map(|cell| cell.text.clone()).collect();
        table.rows.iter().map(row).collect()
    }

    #[test]
    fn each_row_has_a_cell_for_each_column() {
        let (from, to) = (busy(0), busy(10));
        for tab in Tab::ALL {
            for from in [None, Some(&from)] {
                let rows = table(tab, from, &to);
                assert!(!rows.is_empty(), "{tab:?}");
                let columns = tab.columns().len();
                assert!(rows.iter().all(|row| row.len() == columns), "{tab:?}");
                assert!(tab.first_sorted() < columns);
            }
        }
    }

    #[test]
    fn a_route_shows_its_rates() {
        let rows = table(Tab::Routes, Some(&busy(0)), &busy(10));
        let api = rows.iter().find(|row| row[0] == "/api").expect("a row");
        let expected = [
            "/api", "20", "750 µs", "995 µs", "0", "2.0", "20 kB", "0 B", "450",
        ];
        assert_eq!(api, &expected);
    }

    #[test]
    fn before_the_second_snapshot_rates_are_unknown() {
        let rows = table(Tab::Routes, None, &busy(0));
        assert_eq!(rows[0][..4], ["/", "–", "–", "–"]);
        assert_eq!(rows[0][8], "700");
    }

    #[test]
    fn the_server_stands_before_the_route_if_there_are_several() {
        let mut two = busy(1);
        two.series[0].server = "shop.example".to_owned();
        let rows = table(Tab::Routes, None, &two);
        let names: Vec<_> = rows.iter().map(|row| &*row[0]).collect();
        assert!(names.contains(&"shop.example /"), "{names:?}");
        assert!(names.contains(&"localhost /api"), "{names:?}");
    }

    #[test]
    fn a_loop_that_does_not_answer_and_a_paused_server_stand_out() {
        let to = busy(1);
        let change = Change {
            from: None,
            to: &to,
        };
        let workers = Tab::Workers.table(change, &TimeZone::UTC);
        assert_eq!(workers.rows[1].cells[3].text, "no answer");
        assert_eq!(workers.rows[1].cells[3].tone, Tone::Bad);
        let upstreams = Tab::Upstreams.table(change, &TimeZone::UTC);
        assert_eq!(upstreams.rows[1].cells[1].text, "paused for 3 s");
        let tones = upstreams.rows.iter().map(|row| row.cells[1].tone);
        assert_eq!(tones.collect::<Vec<_>>(), [Tone::Good, Tone::Warning]);
    }

    /// It read `http://127.0.0.1:8000/127.0.0.1:8000`.
    #[test]
    fn an_upstream_that_is_a_url_alone_has_no_second_name() {
        let cell = Cell::server("http://127.0.0.1:8000", "127.0.0.1:8000");
        assert_eq!((&*cell.text, cell.lead), ("http://127.0.0.1:8000", 7));
        let cell = Cell::server("shop", "127.0.0.1:8000");
        assert_eq!((&*cell.text, cell.lead), ("shop/127.0.0.1:8000", 4));
    }

    /// It was shown as `0 µs`, as if the server had needed no time.
    #[test]
    fn an_exchange_of_one_turn_took_less_than_a_millisecond() {
        let mut to = busy(1);
        to.failures[0].duration_us = Some(0);
        let rows = table(Tab::Failures, None, &to);
        assert_eq!((&*rows[0][5], &*rows[1][5]), ("<1 ms", "900 µs"));
    }

    #[test]
    fn reasons_that_never_were_are_left_out() {
        let mut to = busy(1);
        to.reasons.insert("rate_limited".to_owned(), 0);
        let rows = table(Tab::Reasons, None, &to);
        assert!(!rows.iter().any(|row| row[0] == "rate_limited"));
        let known = rows.iter().find(|row| row[0] == "no_route");
        assert!(!known.expect("a row")[3].is_empty(), "its meaning");
        assert!(table(Tab::Reasons, None, &snapshot(0)).is_empty());
    }

    /// A filter with its name in the file found nothing: the row read `/gr%C3%BC%C3%9Fe`.
    #[test]
    fn a_route_is_found_by_its_name_in_the_file_and_by_its_key() {
        let mut to = busy(1);
        to.series[0].route = "/gr%C3%BC%C3%9Fe".to_owned();
        to.failures[0].route = to.series[0].route.clone();
        let change = Change {
            from: None,
            to: &to,
        };
        for (tab, column) in [(Tab::Routes, 0), (Tab::Failures, 6)] {
            for filter in ["GRÜ", "gr%c3%bc"] {
                let mut table = tab.table(change, &TimeZone::UTC);
                table.filter(filter);
                let rows = texts(&table);
                assert_eq!(rows.len(), 1, "{tab:?} {filter}");
                assert_eq!(rows[0][column], "/grüße");
            }
        }
    }

    #[test]
    fn rows_are_chosen_and_sorted() {
        let (from, to) = (busy(0), busy(10));
        let change = Change {
            from: Some(&from),
            to: &to,
        };
        let mut table = Tab::Routes.table(change, &TimeZone::UTC);
        let first = |table: &Table| table.rows[0].cells[0].text.clone();
        table.sort(1, true);
        assert_eq!(first(&table), "/");
        table.sort(5, true);
        assert_eq!(first(&table), "/api");
        table.sort(1, false);
        assert!(first(&table).starts_with("/downloads"));
        table.filter("API");
        assert_eq!(texts(&table).len(), 1);
        // Only texts are looked at, not numbers.
        table.filter("995");
        assert!(table.rows.is_empty());
    }
}
