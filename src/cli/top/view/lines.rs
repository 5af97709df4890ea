//! Lines of text at their places.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Draws a line at the left of `area`.
pub(super) fn draw_line(frame: &mut Frame<'_>, area: Rect, line: Line<'_>) {
    frame.render_widget(line, Rect { height: 1, ..area });
}

/// Draws a line at the right of `area`, over what is there.
pub(super) fn draw_right(frame: &mut Frame<'_>, area: Rect, line: Line<'_>) {
    let width = u16::try_from(line.width())
        .unwrap_or(u16::MAX)
        .min(area.width);
    let x = area.right() - width;
    frame.render_widget(line, Rect::new(x, area.y, width, 1));
}
