//! The lines above the table: which server it is, and how it does as a whole.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::lines::draw_line;
use super::text::{cut, width};
use super::theme::Theme;
use crate::cli::top::model::{Link, Model};
use crate::cli::top::summary::{Part, Summary};
use crate::cli::top::tables::Tone;

/// How many lines it has.
pub(super) const LINES: u16 = 4;

/// Draws the header into `area`.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let cells = usize::from(area.width);
    let is_old = model.link != Link::Alive;
    let style = |tone| {
        if is_old {
            theme.faint()
        } else {
            theme.tone(tone)
        }
    };
    let mut lines = Vec::new();
    if let Some(change) = model.change() {
        let summary = Summary::of(change, model.window(), model.zone());
        lines = vec![
            parts_that_fit(&summary.server, cells, style),
            parts_that_fit(&summary.requests, cells, style),
            parts_that_fit(&summary.process, cells, style),
            one_part(&summary.reload, cells, style),
        ];
    }
    if let Link::Lost { seconds, why } = &model.link {
        lines.truncate(usize::from(LINES) - 1);
        let text = format!("connection lost {seconds} s ago, trying again: {why}");
        lines.push(Line::styled(cut(&text, cells), theme.tone(Tone::Bad)));
    }
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        draw_line(frame, Rect::new(area.x, y, area.width, 1), line);
    }
}

/// As many parts, from the first on, as fit into a line.
fn parts_that_fit(parts: &[Part], cells: usize, style: impl Fn(Tone) -> Style) -> Line<'static> {
    let mut spans = Vec::new();
    let mut taken = 0;
    for part in parts {
        let gap = if taken == 0 { 0 } else { 2 };
        taken += gap + width(&part.text);
        if taken > cells {
            break;
        }
        spans.push(Span::raw(" ".repeat(gap)));
        spans.push(Span::styled(part.text.clone(), style(part.tone)));
    }
    Line::from(spans)
}

/// One part, which is cut if it is long.
fn one_part(part: &Part, cells: usize, style: impl Fn(Tone) -> Style) -> Line<'static> {
    Line::styled(cut(&part.text, cells), style(part.tone))
}
