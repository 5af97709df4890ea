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

/// The text, or as much of it as fits. Of its first `lead` octets the end is cut; if that is not enough, they go, and so
/// does the beginning of what is behind them. A text without a lead is cut at its end.
pub(crate) fn cut_lead(text: &str, lead: usize, most: usize) -> String {
    let (lead, rest) = text.split_at(lead);
    if lead.is_empty() || width(text) <= most {
        return cut(text, most);
    }
    if width(rest) < most {
        return cut(lead, most - width(rest)) + rest;
    }
    let rest = Span::raw(rest);
    let graphemes: Vec<_> = rest.styled_graphemes(Style::new()).collect();
    let mut taken = 1;
    let kept = graphemes.iter().rev().take_while(|grapheme| {
        taken += width(grapheme.symbol);
        taken <= most
    });
    let from = graphemes.len() - kept.count();
    let mark = if most > 0 { "…" } else { "" };
    let kept = graphemes[from..].iter().map(|grapheme| grapheme.symbol);
    std::iter::once(mark).chain(kept).collect()
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

    #[test]
    fn the_lead_of_a_text_is_cut_before_the_rest() {
        for (most, expected) in [
            (20, "shop/127.0.0.1:8000"),
            (19, "shop/127.0.0.1:8000"),
            (18, "sh…/127.0.0.1:8000"),
            (16, "…/127.0.0.1:8000"),
            (15, "…127.0.0.1:8000"),
            (5, "…8000"),
            (1, "…"),
            (0, ""),
        ] {
            let shown = cut_lead("shop/127.0.0.1:8000", 4, most);
            assert_eq!(shown, expected);
        }
        assert_eq!(cut_lead("さくら/さくら", 9, 11), "さ…/さくら");
        assert_eq!(cut_lead("さくら/さくら", 9, 6), "…くら");
        assert_eq!(cut_lead("/files", 0, 5), "/fil…");
    }
}
