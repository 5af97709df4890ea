//! The table of the tab, and the line below it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::columns::{GAP, Placed, fit};
use super::lines::{draw_line, draw_right};
use super::text::{cut, cut_lead, width};
use super::theme::Theme;
use crate::cli::top::model::{Link, Model, Shown};
use crate::cli::top::tables::{Align, Row, Tone};

/// The keys that the footer reminds of, as far as there is room.
const HINTS: &[&str] = &[
    "q quit",
    "? help",
    "/ filter",
    "s sort",
    "r reverse",
    "p pause",
    "+/- window",
];

/// Draws titles and rows into all lines of `area`.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, shown: &Shown, theme: Theme) {
    let placed = fit(&shown.table, area.width.into());
    draw_line(frame, area, titles(shown, &placed, theme));
    let is_old = model.link != Link::Alive;
    let rows = shown.table.rows.iter().skip(shown.offset);
    for (y, row) in (area.y + 1..area.bottom()).zip(rows) {
        let mut line = line(row, shown, &placed, theme);
        if is_old {
            line = Line::styled(line.to_string(), theme.faint());
        }
        draw_line(frame, Rect::new(area.x, y, area.width, 1), line);
    }
    if shown.table.rows.is_empty() {
        let why = if shown.has_hidden {
            format!("no row holds “{}”; Esc shows all", model.filter())
        } else {
            model.tab().when_empty().to_owned()
        };
        let below = Rect::new(area.x, area.y + 1, area.width, 1);
        let why = cut(&why, area.width.into());
        draw_line(frame, below, Line::styled(why, theme.faint()));
    }
}

fn titles(shown: &Shown, placed: &[Placed], theme: Theme) -> Line<'static> {
    let titles = placed.iter().map(|placed| {
        let column = &shown.table.columns[placed.index];
        let mark = match (placed.index == shown.sorted_by, shown.is_descending) {
            (false, _) => "",
            (true, true) => "▼",
            (true, false) => "▲",
        };
        let title = cut(&format!("{}{mark}", column.title), placed.width);
        (pad(title, placed.width, column.align), theme.title())
    });
    joined(titles)
}

fn line(row: &Row, shown: &Shown, placed: &[Placed], theme: Theme) -> Line<'static> {
    let cells = placed.iter().map(|placed| {
        let cell = &row.cells[placed.index];
        let align = shown.table.columns[placed.index].align;
        let text = cut_lead(&cell.text, cell.lead, placed.width);
        (pad(text, placed.width, align), theme.tone(cell.tone))
    });
    joined(cells)
}

/// Cells with the gap between them.
fn joined(cells: impl Iterator<Item = (String, Style)>) -> Line<'static> {
    let mut spans = Vec::new();
    for (text, style) in cells {
        if !spans.is_empty() {
            spans.push(Span::raw(" ".repeat(GAP)));
        }
        spans.push(Span::styled(text, style));
    }
    Line::from(spans)
}

/// The text, which fits, in exactly so many cells.
fn pad(text: String, cells: usize, align: Align) -> String {
    let space = " ".repeat(cells - width(&text));
    match align {
        Align::Left => text + &space,
        Align::Right => space + &text,
    }
}

/// Draws the filter or what the keys do, and which rows are shown.
pub(super) fn draw_footer(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    shown: Option<&Shown>,
    theme: Theme,
) {
    let rows = shown.map(|shown| rows_shown(shown, model.page()));
    let rows = rows.unwrap_or_default();
    let left = usize::from(area.width).saturating_sub(width(&rows) + GAP);
    let (text, style) = if model.is_filter_typed() {
        let text = format!("/{}▏ Enter keeps it, Esc clears it", model.filter());
        (text, theme.plain())
    } else if model.filter().is_empty() {
        (hints(left), theme.faint())
    } else {
        let text = format!("rows that hold “{}”; Esc shows all", model.filter());
        (text, theme.tone(Tone::Warning))
    };
    draw_line(frame, area, Line::styled(cut(&text, left), style));
    draw_right(frame, area, Line::styled(rows, theme.faint()));
}

/// As many hints as fit into so many cells.
fn hints(cells: usize) -> String {
    let mut text = String::new();
    for hint in HINTS {
        let gap = if text.is_empty() { "" } else { "  " };
        if width(&text) + width(gap) + width(hint) > cells {
            break;
        }
        text += gap;
        text += hint;
    }
    text
}

/// `rows 1–17 of 40`; nothing if all are shown.
fn rows_shown(shown: &Shown, page: usize) -> String {
    let all = shown.table.rows.len();
    if all <= page {
        return String::new();
    }
    let last = (shown.offset + page).min(all);
    format!("rows {}–{last} of {all}", shown.offset + 1)
}
