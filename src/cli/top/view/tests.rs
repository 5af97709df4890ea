//! The screen as a terminal of some size shows it.

use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use super::super::action::{Action, Scroll};
use super::super::fixture::{busy, series, snapshot};
use super::super::model::Link;
use super::*;

const COLOURED: Theme = Theme { has_colour: true };
const PLAIN: Theme = Theme { has_colour: false };

fn model() -> Model {
    let mut model = Model::new(Tab::Routes, TimeZone::UTC);
    for second in 0..=20 {
        model.take(busy(second));
    }
    model
}

fn drawn(model: &mut Model, width: u16, height: u16, theme: Theme) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    let drawn = terminal.draw(|frame| draw(frame, model, theme));
    drawn.expect("it takes everything").buffer.clone()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let area = buffer.area;
    let line = |y| {
        let mut line = String::new();
        let mut hidden = 0;
        for x in 0..area.width {
            let symbol = buffer[(x, y)].symbol();
            // A wide character stands for the cells behind it, too.
            if hidden == 0 {
                line.push_str(symbol);
                hidden = text::width(symbol);
            }
            hidden = hidden.saturating_sub(1);
        }
        line.trim_end().to_owned()
    };
    (0..area.height).map(line).collect()
}

fn screen(model: &mut Model, width: u16, height: u16) -> String {
    lines(&drawn(model, width, height, PLAIN)).join("\n")
}

/// The style of the first cell of `text` on the screen.
fn style_of(buffer: &Buffer, text: &str) -> (Color, Modifier) {
    let lines = lines(buffer);
    let place = lines.iter().zip(0..).find_map(|(line, y)| {
        let x = text::width(&line[..line.find(text)?]);
        Some((u16::try_from(x).expect("a column"), y))
    });
    let cell = &buffer[place.unwrap_or_else(|| panic!("no {text:?} in {lines:#?}"))];
    (cell.fg, cell.modifier)
}

#[test]
fn eighty_columns_show_all_that_matters() {
    let expected = "\
tidegate 0.1.0  ready  up 2 h 46 min  generation 3 since 11:59:00  process 4711
121 requests/s  p50 750 µs  p99 995 µs  5xx 2.0/s  over 10 s  sent 121 kB/s
connections: 12 http (3 idle), 0 tunnel, 0 stream  cpu 34 %  memory 9.0 MB
last reload 11:59:00: reloaded: generation 3
 1 Routes  2 Upstreams  3 Workers  4 Failures  5 Reasons
ROUTE                         REQ/S▼      P50      P99   4XX/S   5XX/S    SENT/S
/                                100   750 µs   995 µs       0       0    100 kB
/api                              20   750 µs   995 µs       0     2.0     20 kB
/downloads/さくら/releases…      1.0   750 µs   995 µs       0       0    1.0 kB";
    let shown = screen(&mut model(), 80, 24);
    assert_eq!(
        shown.lines().take(9).collect::<Vec<_>>().join("\n"),
        expected
    );
    let footer = "q quit  ? help  / filter  s sort  r reverse  p pause  +/- window";
    assert_eq!(shown.lines().last(), Some(footer));
    assert_eq!(shown.lines().count(), 24);
}

#[test]
fn more_columns_show_more() {
    let shown = screen(&mut model(), 120, 40);
    assert!(shown.contains("RECEIVED/S"), "{shown}");
    assert!(shown.contains("REQUESTS"), "{shown}");
    assert!(shown.contains("files 40/1024"), "{shown}");
    assert!(
        shown.lines().all(|line| text::width(line) <= 120),
        "{shown}"
    );
}

#[test]
fn every_tab_fits_into_every_size() {
    let mut model = model();
    for tab in Tab::ALL {
        model.act(Action::Show(tab));
        for (width, height) in [(40, 8), (80, 24), (120, 40), (300, 9)] {
            let shown = screen(&mut model, width, height);
            assert!(shown.contains(tab.title()), "{shown}");
            assert!(
                shown.contains('▼') || shown.contains('▲'),
                "{tab:?}\n{shown}"
            );
            let first = model.shown().expect("numbers").table.rows[0].cells[0]
                .text
                .clone();
            let first = text::cut(&first, 9).replace('…', "");
            assert!(shown.contains(&first), "{first}\n{shown}");
        }
    }
}

#[test]
fn a_terminal_that_is_too_small_is_told_so() {
    for (width, height) in [(39, 24), (80, 7), (20, 3)] {
        let shown = screen(&mut model(), width, height);
        let says = format!("too small\n{width} × {height}\nneeds 40 × 8");
        assert!(shown.starts_with(&says), "{shown}");
    }
    screen(&mut model(), 1, 1);
}

#[test]
fn colours_say_what_is_bad() {
    let mut model = model();
    let buffer = drawn(&mut model, 80, 24, COLOURED);
    assert_eq!(style_of(&buffer, "ready").0, Color::Green);
    assert_eq!(style_of(&buffer, "5xx").0, Color::Red);
    model.act(Action::Show(Tab::Upstreams));
    let buffer = drawn(&mut model, 80, 24, COLOURED);
    assert_eq!(style_of(&buffer, "paused").0, Color::Yellow);
}

#[test]
fn without_colours_there_are_none() {
    let mut model = model();
    model.link = Link::Lost {
        seconds: 1,
        why: "it went".to_owned(),
    };
    for tab in Tab::ALL {
        model.act(Action::Show(tab));
        let buffer = drawn(&mut model, 80, 24, PLAIN);
        let colours = buffer.content.iter().map(|cell| (cell.fg, cell.bg));
        let mut others = colours.filter(|colours| *colours != (Color::Reset, Color::Reset));
        assert_eq!(others.next(), None, "{tab:?}");
    }
    let title = tab_style(&drawn(&mut model, 80, 24, PLAIN), "5 Reasons");
    assert!(title.contains(Modifier::REVERSED));
}

fn tab_style(buffer: &Buffer, title: &str) -> Modifier {
    style_of(buffer, title).1
}

#[test]
fn a_lost_connection_is_told_over_numbers_that_fade() {
    let mut model = model();
    model.link = Link::Lost {
        seconds: 7,
        why: "no server runs from config.toml".to_owned(),
    };
    let buffer = drawn(&mut model, 80, 24, COLOURED);
    let shown = lines(&buffer);
    assert_eq!(
        shown[3],
        "connection lost 7 s ago, trying again: no server runs from config.toml"
    );
    for faded in ["tidegate", "/api", "121 requests/s"] {
        let (colour, modifier) = style_of(&buffer, faded);
        assert_eq!((colour, modifier), (Color::Reset, Modifier::DIM), "{faded}");
    }
    // Another process begins anew.
    let mut other = busy(21);
    other.process_id = 4712;
    model.take(other);
    let shown = screen(&mut model, 80, 24);
    assert!(
        !shown.contains("lost") && shown.contains("process 4712"),
        "{shown}"
    );
    assert!(shown.contains("– requests/s"), "{shown}");
}

#[test]
fn before_the_first_numbers_the_screen_says_so() {
    let mut model = Model::new(Tab::Routes, TimeZone::UTC);
    let shown = screen(&mut model, 80, 24);
    assert!(shown.contains("waiting for the first numbers"), "{shown}");
    model.take(snapshot(0));
    let shown = screen(&mut model, 80, 24);
    assert!(
        shown.contains("no request has been answered yet"),
        "{shown}"
    );
    assert!(shown.contains("no reload yet"), "{shown}");
}

#[test]
fn filter_pause_and_help_are_shown() {
    let mut model = model();
    model.act(Action::Filter);
    model.act(Action::Type('z'));
    let shown = screen(&mut model, 80, 24);
    assert!(shown.contains("/z▏ Enter keeps it"), "{shown}");
    assert!(shown.contains("no row holds “z”; Esc shows all"), "{shown}");
    model.act(Action::KeepFilter);
    let shown = screen(&mut model, 80, 24);
    assert!(shown.contains("rows that hold “z”"), "{shown}");
    model.act(Action::Clear);
    model.act(Action::Pause);
    assert!(screen(&mut model, 80, 24).contains("PAUSED"));
    model.act(Action::Help);
    for height in [8, 24] {
        let shown = screen(&mut model, 80, height);
        assert!(shown.contains("q, Ctrl-C      quit"), "{shown}");
        assert!(shown.contains("scroll; Home and End"), "{shown}");
    }
}

/// The rows read `checkout-production/12…  paused for …`, beside columns that matter less.
#[test]
fn servers_of_an_upstream_are_told_apart_in_eighty_columns() {
    let mut busy = busy(1);
    let upstream = &mut busy.upstreams[0];
    upstream.name = "checkout-production".to_owned();
    upstream.servers[1].seconds_left = Some(30);
    let mut model = Model::new(Tab::Upstreams, TimeZone::UTC);
    model.take(busy);
    let shown = screen(&mut model, 80, 24);
    let rows: Vec<&str> = shown.lines().skip(5).take(3).collect();
    assert!(!rows[0].contains("REQUESTS"), "{shown}");
    let first = |row: &str| row.split("  ").next().map(str::to_owned);
    let servers = [first(rows[1]), first(rows[2])].map(Option::unwrap_or_default);
    let expected = [
        "checkout-produc…/127.0.0.1:8000",
        "checkout-produc…/127.0.0.1:8001",
    ];
    assert_eq!(servers, expected, "{shown}");
    assert!(rows[2].contains("paused for 30 s"), "{shown}");
    // As soon as the name fits, there are more columns.
    for width in [40, 50, 60, 80, 100, 120, 140] {
        let shown = screen(&mut model, width, 24);
        assert!(shown.contains("/127.0.0.1:8001"), "{shown}");
        assert!(shown.contains("paused for 30 s"), "{shown}");
        let is_whole = shown.contains("checkout-production/127.0.0.1:8001");
        assert!(is_whole || !shown.contains("REQUESTS"), "{shown}");
        assert_eq!(shown.contains("REQUESTS"), width >= 100, "{shown}");
        assert_eq!(shown.contains("REQ/S"), width >= 50, "{shown}");
    }
}

#[test]
fn rows_that_do_not_fit_are_scrolled_to() {
    let mut model = Model::new(Tab::Routes, TimeZone::UTC);
    let mut many = snapshot(0);
    let route = |n| series(&format!("/route{n:02}"), 2, 100);
    many.series = (1..=40).map(route).collect();
    model.take(many);
    let shown = screen(&mut model, 80, 24);
    assert!(
        shown.contains("/route17") && !shown.contains("/route18"),
        "{shown}"
    );
    assert!(shown.ends_with("rows 1–17 of 40"), "{shown}");
    model.act(Action::Scroll(Scroll::End));
    let shown = screen(&mut model, 80, 24);
    assert!(
        shown.contains("/route24") && !shown.contains("/route23"),
        "{shown}"
    );
    assert!(shown.ends_with("rows 24–40 of 40"), "{shown}");
    // A taller terminal shows more, up to the end.
    let shown = screen(&mut model, 80, 30);
    assert!(shown.ends_with("rows 18–40 of 40"), "{shown}");
}

#[test]
fn no_control_character_reaches_the_terminal() {
    let data = r#"{"time_ms":1,"phase":"re\u001bady","version":"\u0007","bounds_us":[1],
        "series":[{"server":"s","route":"/\u001b[2J\u009b\r\n","count":1}],
        "reloads":[{"outcome":"applied","message":"a\nb\u202e"}]}"#;
    let hostile = super::super::snapshot::Snapshot::parse(data).expect("JSON");
    let mut model = Model::new(Tab::Routes, TimeZone::UTC);
    model.take(hostile);
    let buffer = drawn(&mut model, 80, 24, COLOURED);
    let harmful = |c: char| c.is_control() || c == '\u{202e}';
    assert!(
        !buffer
            .content
            .iter()
            .any(|cell| cell.symbol().contains(harmful))
    );
    let shown = lines(&buffer).join("\n");
    assert!(shown.contains("/\u{fffd}[2J"), "{shown}");
    assert!(shown.contains("a\u{fffd}b\u{fffd}"), "{shown}");
}

/// The columns of a sample in the documents are forgotten when those of the program change.
#[test]
fn the_sample_in_the_documents_is_such_a_screen() {
    let page = include_str!("../../../../docs/live.md");
    let mut model = model();
    let mut short = busy(21);
    short.series.pop();
    model.take(short);
    let shown = screen(&mut model, 80, 24);
    let lines: Vec<&str> = shown.lines().collect();
    for line in [lines[4], lines[23]] {
        assert!(page.contains(&format!("\n{line}\n")), "{line}");
    }
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let titles = page.lines().find(|line| line.starts_with("ROUTE "));
    assert_eq!(words(titles.expect("a line of titles")), words(lines[5]));
}
