//! What a key means.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::action::{Action, Scroll};
use super::model::Model;
use super::tables::Tab;

/// The keys, as the help shows them.
pub(super) const HELP: &[(&str, &str)] = &[
    (
        "1 … 5, Tab",
        "routes, upstreams, workers, failures, reasons",
    ),
    ("s  r", "sort by the next column; reverse the order"),
    (
        "/",
        "show rows that hold a text; Enter keeps it, Esc clears it",
    ),
    ("+  -", "take rates over 1 s, 10 s or 60 s"),
    ("p", "pause what is shown, or let it go on"),
    (
        "↑ ↓ PgUp PgDn",
        "scroll; Home and End lead to the first and last row",
    ),
    ("?", "this help"),
    ("q, Ctrl-C", "quit"),
];

/// What that key means in the state that the model is in.
pub(super) fn action(key: KeyEvent, model: &Model) -> Action {
    if key.kind == KeyEventKind::Release {
        return Action::Nothing;
    }
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if is_control => Action::Quit,
        _ if is_control || key.modifiers.contains(KeyModifiers::ALT) => Action::Nothing,
        code if model.is_filter_typed() => typed(code),
        code if model.is_help_shown() => match code {
            KeyCode::Char('q') => Action::Quit,
            _ => Action::Help,
        },
        code => command(code),
    }
}

fn typed(code: KeyCode) -> Action {
    match code {
        KeyCode::Char(character) if !character.is_control() => Action::Type(character),
        KeyCode::Backspace => Action::Erase,
        KeyCode::Enter => Action::KeepFilter,
        KeyCode::Esc => Action::Clear,
        code => scroll(code),
    }
}

fn command(code: KeyCode) -> Action {
    match code {
        KeyCode::Char('q') => Action::Quit,
        KeyCode::Char('?' | 'h') => Action::Help,
        KeyCode::Char('s') => Action::Sort,
        KeyCode::Char('r') => Action::Reverse,
        KeyCode::Char('p' | ' ') => Action::Pause,
        KeyCode::Char('+' | '=') => Action::Widen,
        KeyCode::Char('-') => Action::Narrow,
        KeyCode::Char('/') => Action::Filter,
        KeyCode::Esc => Action::Clear,
        KeyCode::Tab | KeyCode::Right => Action::NextTab,
        KeyCode::BackTab | KeyCode::Left => Action::PreviousTab,
        KeyCode::Char(digit @ '1'..='5') => {
            let tab = Tab::ALL.iter().zip('1'..).find(|(_, of)| *of == digit);
            tab.map_or(Action::Nothing, |(tab, _)| Action::Show(*tab))
        }
        code => scroll(code),
    }
}

fn scroll(code: KeyCode) -> Action {
    Action::Scroll(match code {
        KeyCode::Up => Scroll::Up,
        KeyCode::Down => Scroll::Down,
        KeyCode::PageUp => Scroll::PageUp,
        KeyCode::PageDown => Scroll::PageDown,
        KeyCode::Home => Scroll::Home,
        KeyCode::End => Scroll::End,
        _ => return Action::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn plain(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    #[test]
    fn keys_are_commands_until_a_filter_is_typed() {
        let mut model = Model::new(Tab::Routes, TimeZone::UTC);
        let letter = plain(KeyCode::Char('q'));
        assert_eq!(action(letter, &model), Action::Quit);
        model.act(action(plain(KeyCode::Char('/')), &model));
        for (code, expected) in [
            (KeyCode::Char('q'), Action::Type('q')),
            (KeyCode::Char('2'), Action::Type('2')),
            (KeyCode::Char('\u{1b}'), Action::Nothing),
            (KeyCode::Backspace, Action::Erase),
            (KeyCode::Down, Action::Scroll(Scroll::Down)),
            (KeyCode::Enter, Action::KeepFilter),
            (KeyCode::Esc, Action::Clear),
        ] {
            assert_eq!(action(plain(code), &model), expected, "{code:?}");
        }
        model.act(Action::KeepFilter);
        assert_eq!(action(letter, &model), Action::Quit);
    }

    #[test]
    fn ctrl_c_quits_whatever_is_shown() {
        let mut model = Model::new(Tab::Routes, TimeZone::UTC);
        let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for before in [
            Action::Nothing,
            Action::Filter,
            Action::KeepFilter,
            Action::Help,
        ] {
            model.act(before);
            assert_eq!(action(key, &model), Action::Quit, "{before:?}");
        }
    }

    #[test]
    fn digits_lead_to_the_tabs() {
        let model = Model::new(Tab::Routes, TimeZone::UTC);
        for (digit, tab) in ('1'..).zip(Tab::ALL) {
            let key = plain(KeyCode::Char(digit));
            assert_eq!(action(key, &model), Action::Show(tab));
        }
        assert_eq!(action(plain(KeyCode::Char('6')), &model), Action::Nothing);
    }

    #[test]
    fn any_key_leaves_the_help_and_does_nothing_else() {
        let mut model = Model::new(Tab::Routes, TimeZone::UTC);
        model.act(action(plain(KeyCode::Char('?')), &model));
        assert!(model.is_help_shown());
        model.act(action(plain(KeyCode::Char('p')), &model));
        assert!(!model.is_help_shown() && !model.is_paused());
    }
}
