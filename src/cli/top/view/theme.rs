//! Colours and other emphasis. Without colours nothing is lost but colour: what is bad is bold, too.

use std::ffi::OsStr;

use ratatui::style::{Color, Modifier, Style};

use crate::cli::top::tables::Tone;

/// How things are emphasized.
#[derive(Clone, Copy)]
pub(crate) struct Theme {
    pub(crate) has_colour: bool,
}

impl Theme {
    /// With colours, unless `no_color`, the variable `NO_COLOR` of the environment, is set to something
    /// (<https://no-color.org>).
    pub(crate) fn of(no_color: Option<&OsStr>) -> Self {
        Self {
            has_colour: no_color.is_none_or(OsStr::is_empty),
        }
    }

    pub(super) fn plain(self) -> Style {
        Style::new()
    }

    pub(super) fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// What is of less importance, or no longer true.
    pub(super) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) fn tone(self, tone: Tone) -> Style {
        let (colour, style) = match tone {
            Tone::Plain => return self.plain(),
            Tone::Good => (Color::Green, Style::new()),
            Tone::Warning => (Color::Yellow, Style::new()),
            Tone::Bad => (Color::Red, self.title()),
        };
        if self.has_colour {
            style.fg(colour)
        } else {
            style
        }
    }
}
