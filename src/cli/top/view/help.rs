//! What the keys do.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::lines::draw_line;
use super::text::{cut, width};
use super::theme::Theme;
use crate::cli::top::keys::HELP;

/// Draws a line for each key; a title and what leads back, if there is room.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let keys = HELP.iter().map(|(keys, _)| width(keys)).max().unwrap_or(0);
    let left = usize::from(area.width).saturating_sub(keys + 2);
    let mut lines: Vec<Line<'_>> = HELP
        .iter()
        .map(|(key, what)| {
            let space = " ".repeat(keys - width(key) + 2);
            let key = Span::styled(format!("{key}{space}"), theme.title());
            Line::from(vec![key, Span::raw(cut(what, left))])
        })
        .collect();
    if usize::from(area.height) >= HELP.len() + 4 {
        lines.insert(0, Line::styled("tidegate top: the keys", theme.title()));
        lines.insert(1, Line::default());
        lines.push(Line::default());
        lines.push(Line::styled("any key leads back", theme.faint()));
    }
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        draw_line(frame, Rect::new(area.x, y, area.width, 1), line);
    }
}
