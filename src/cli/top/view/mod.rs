//! The screen: how the model is drawn. It changes nothing of what is shown, and knows no key.
//!
//! ```text
//! tidegate 0.1.0  process 4711  up 2 h 46 min …     header: four lines
//! …
//! 1 Routes  2 Upstreams …                  PAUSED   tabs
//! ROUTE              REQ/S▼    P50    P99           table
//! /api                   20 750 µs 995 µs
//! q quit  ? help …                rows 1–17 of 40   footer
//! ```

mod columns;
mod header;
mod help;
mod lines;
mod table;
mod text;
mod theme;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::model::Model;
use super::tables::Tab;
use lines::{draw_line, draw_right};
pub(super) use text::{cut_lead, width};
pub(super) use theme::Theme;

/// The least size that shows something of use, in cells.
const LEAST: (u16, u16) = (40, 8);

/// The lines that are not rows of the table: header, tabs, titles, footer.
const OTHER_LINES: u16 = header::LINES + 3;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, model: &mut Model, theme: Theme) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return draw_too_small(frame, area);
    }
    model.set_page(usize::from(area.height - OTHER_LINES));
    if model.is_help_shown() {
        return help::draw(frame, area, theme);
    }
    let row = |y: u16, height: u16| Rect::new(0, y, area.width, height);
    header::draw(frame, row(0, header::LINES), model, theme);
    draw_tabs(frame, row(header::LINES, 1), model, theme);
    let below = row(header::LINES + 1, area.height - header::LINES - 2);
    let shown = model.shown();
    match &shown {
        Some(shown) => table::draw(frame, below, model, shown, theme),
        None => {
            let waiting = "waiting for the first numbers of the server";
            draw_line(frame, below, Line::styled(waiting, theme.faint()));
        }
    }
    table::draw_footer(frame, row(area.height - 1, 1), model, shown.as_ref(), theme);
}

/// Says that there is no room, in as much of a sentence as there is room for.
fn draw_too_small(frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = LEAST;
    let lines = [
        "too small".to_owned(),
        format!("{} × {}", area.width, area.height),
        format!("needs {width} × {height}"),
        "q quits".to_owned(),
    ];
    for (y, text) in (area.y..area.bottom()).zip(lines) {
        let text = text::cut(&text, area.width.into());
        draw_line(frame, Rect::new(area.x, y, area.width, 1), Line::raw(text));
    }
}

fn draw_tabs(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let mut spans = Vec::new();
    for (tab, number) in Tab::ALL.into_iter().zip(1..) {
        let style = if tab == model.tab() {
            theme.selected()
        } else {
            theme.plain()
        };
        let title = if area.width < 70 && tab != model.tab() {
            format!(" {number} ")
        } else {
            format!(" {number} {} ", tab.title())
        };
        spans.push(Span::styled(title, style));
    }
    draw_line(frame, area, Line::from(spans));
    if model.is_paused() {
        let paused = Line::styled(" PAUSED ", theme.selected());
        draw_right(frame, area, paused);
    }
}

#[cfg(test)]
mod tests;
