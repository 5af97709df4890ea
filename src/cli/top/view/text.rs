//! Text by the width that a terminal gives it.

use ratatui::style::Style;
use ratatui::text::Span;

/// How many cells a text takes.
pub(crate) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// The text, or as much of it as fits with `…` behind it.
pub(super) fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let (mut cut, mut taken) = (String::new(), 1);
    for grapheme in Span::raw(text).styled_graphemes(Style::new()) {
        taken += width(grapheme.symbol);
        if taken > most {
            break;
        }
        cut.push_str(grapheme.symbol);
    }
    if most > 0 {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_the_cells_that_it_takes() {
        for (text, most, expected) in [
            ("/files", 6, "/files"),
            ("/files", 5, "/fil…"),
            ("/さくら", 7, "/さくら"),
            ("/さくら", 6, "/さく…"),
            ("/さくら", 5, "/さ…"),
            // An accent stays with its letter.
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("/files", 1, "…"),
            ("/files", 0, ""),
        ] {
            let shown = cut(text, most);
            assert_eq!(shown, expected);
            assert!(width(&shown) <= most, "{text}");
        }
    }
}
