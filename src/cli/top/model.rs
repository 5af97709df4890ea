//! What the screen shows: the snapshots of the last minute, and what the keys have chosen of them. It knows
//! neither terminal nor clock nor connection.

use std::collections::VecDeque;
use std::rc::Rc;

use jiff::tz::TimeZone;

use super::action::{Action, Scroll};
use super::change::Change;
use super::snapshot::Snapshot;
use super::tables::{Tab, Table};

/// The longest window; snapshots are kept for so long.
const LONGEST: i64 = 60_000;

/// How much earlier than a window says its first snapshot may be missed: the server takes one a second, not to
/// the millisecond.
const TOLERANCE: i64 = 300;

/// The windows over which rates are taken, in milliseconds.
const WINDOWS: [i64; 3] = [1_000, 10_000, LONGEST];

/// The snapshots, and what is chosen.
pub(super) struct Model {
    /// Of one process, oldest first.
    history: VecDeque<Rc<Snapshot>>,
    /// What `history` was when the display was paused.
    frozen: Option<VecDeque<Rc<Snapshot>>>,
    pub(super) link: Link,
    /// In [`WINDOWS`].
    window: usize,
    tab: Tab,
    sorting: [Sorting; Tab::ALL.len()],
    filter: String,
    is_filter_typed: bool,
    is_help_shown: bool,
    /// How many rows are above the first that is shown.
    offset: usize,
    /// How many rows the terminal has for the table.
    page: usize,
    zone: TimeZone,
}

/// Whether the server is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Alive,
    /// For so many seconds, and why.
    Lost {
        seconds: u64,
        why: String,
    },
}

/// How a table is sorted.
#[derive(Clone, Copy)]
struct Sorting {
    column: usize,
    is_reversed: bool,
}

/// The rows of a table that the screen has room for, and what is around them.
pub(super) struct Shown {
    /// Sorted and filtered, all of it.
    pub(super) table: Table,
    /// The first row that is shown.
    pub(super) offset: usize,
    pub(super) sorted_by: usize,
    pub(super) is_descending: bool,
    /// Whether there are rows that the filter has taken out.
    pub(super) has_hidden: bool,
}

impl Model {
    /// A model without snapshots, which tells times as in `zone`.
    pub(super) fn new(tab: Tab, zone: TimeZone) -> Self {
        Self {
            history: VecDeque::new(),
            frozen: None,
            link: Link::Alive,
            window: 1,
            tab,
            sorting: Tab::ALL.map(|tab| Sorting {
                column: tab.first_sorted(),
                is_reversed: false,
            }),
            filter: String::new(),
            is_filter_typed: false,
            is_help_shown: false,
            offset: 0,
            page: 1,
            zone,
        }
    }

    /// Takes a snapshot that has just come. One of another process than the last begins anew.
    pub(super) fn take(&mut self, snapshot: Snapshot) {
        self.link = Link::Alive;
        let last = self.history.back();
        if last.is_some_and(|last| last.is_of_other_process(&snapshot)) {
            self.history.clear();
            // What is frozen is of a process that has gone.
            self.frozen = None;
        }
        let begin = snapshot.time_ms - LONGEST + TOLERANCE;
        self.history.push_back(Rc::new(snapshot));
        // The last of those that are old enough for the longest window is kept.
        while self
            .history
            .get(1)
            .is_some_and(|next| next.time_ms <= begin)
        {
            self.history.pop_front();
        }
    }

    /// What the window spans; `None` before the first snapshot.
    pub(super) fn change(&self) -> Option<Change<'_>> {
        let history = self.frozen.as_ref().unwrap_or(&self.history);
        let to: &Snapshot = history.back()?;
        let begin = to.time_ms - WINDOWS[self.window] + TOLERANCE;
        let before_last = history.iter().rev().skip(1);
        let mut long_enough = before_last.filter(|snapshot| snapshot.time_ms <= begin);
        let from = long_enough.next().or_else(|| history.front());
        let from = from
            .map(|from| &**from)
            .filter(|from| from.time_ms < to.time_ms);
        Some(Change { from, to })
    }

    /// The length of the window, in seconds.
    pub(super) fn window(&self) -> i64 {
        WINDOWS[self.window] / 1000
    }

    pub(super) fn tab(&self) -> Tab {
        self.tab
    }

    pub(super) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    pub(super) fn is_filter_typed(&self) -> bool {
        self.is_filter_typed
    }

    pub(super) fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    pub(super) fn is_help_shown(&self) -> bool {
        self.is_help_shown
    }

    /// The table of the tab; `None` before the first snapshot.
    pub(super) fn shown(&self) -> Option<Shown> {
        let mut table = self.tab.table(self.change()?, &self.zone);
        let all = table.rows.len();
        table.filter(&self.filter);
        let Sorting {
            column,
            is_reversed,
        } = self.sorting[self.tab as usize];
        let is_descending = self.tab.is_descending(column) != is_reversed;
        table.sort(column, is_descending);
        Some(Shown {
            offset: self.offset.min(table.rows.len().saturating_sub(self.page)),
            sorted_by: column,
            is_descending,
            has_hidden: table.rows.len() < all,
            table,
        })
    }

    /// Takes note of how many rows of a table the terminal has room for.
    pub(super) fn set_page(&mut self, rows: usize) {
        self.page = rows.max(1);
    }

    /// How many rows of a table the terminal has room for.
    pub(super) fn page(&self) -> usize {
        self.page
    }

    /// Does what a key asks for. Returns whether the program goes on.
    pub(super) fn act(&mut self, action: Action) -> bool {
        match action {
            Action::Quit => return false,
            Action::Nothing => {}
            Action::Show(tab) => self.show(tab),
            Action::NextTab => self.show(self.neighbour(1)),
            Action::PreviousTab => self.show(self.neighbour(Tab::ALL.len() - 1)),
            Action::Sort => {
                let columns = self.tab.columns().len();
                let sorting = &mut self.sorting[self.tab as usize];
                *sorting = Sorting {
                    column: (sorting.column + 1) % columns,
                    is_reversed: false,
                };
            }
            Action::Reverse => {
                let sorting = &mut self.sorting[self.tab as usize];
                sorting.is_reversed = !sorting.is_reversed;
            }
            Action::Pause => {
                let history = self.frozen.is_none().then(|| self.history.clone());
                self.frozen = history;
            }
            Action::Widen => self.window = (self.window + 1).min(WINDOWS.len() - 1),
            Action::Narrow => self.window = self.window.saturating_sub(1),
            Action::Scroll(scroll) => self.scroll(scroll),
            Action::Help => self.is_help_shown = !self.is_help_shown,
            Action::Filter => self.is_filter_typed = true,
            Action::Type(character) => {
                self.filter.push(character);
                self.offset = 0;
            }
            Action::Erase => drop(self.filter.pop()),
            Action::KeepFilter => self.is_filter_typed = false,
            Action::Clear => {
                self.is_filter_typed = false;
                self.filter.clear();
            }
        }
        true
    }

    fn show(&mut self, tab: Tab) {
        self.tab = tab;
        self.offset = 0;
    }

    fn neighbour(&self, distance: usize) -> Tab {
        Tab::ALL[(self.tab as usize + distance) % Tab::ALL.len()]
    }

    fn scroll(&mut self, scroll: Scroll) {
        // Rows may have gone since the last key.
        let Some(shown) = self.shown() else { return };
        let (rows, page) = (shown.table.rows.len(), self.page);
        let offset = match scroll {
            Scroll::Up => shown.offset.saturating_sub(1),
            Scroll::Down => shown.offset + 1,
            Scroll::PageUp => shown.offset.saturating_sub(page),
            Scroll::PageDown => shown.offset + page,
            Scroll::Home => 0,
            Scroll::End => rows,
        };
        self.offset = offset.min(rows.saturating_sub(page));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{busy, series, snapshot};
    use super::*;

    /// A model that has seen the seconds from 0 to `last`.
    fn model(last: u64) -> Model {
        let mut model = Model::new(Tab::Routes, TimeZone::UTC);
        for second in 0..=last {
            model.take(busy(second));
        }
        model
    }

    fn seconds(model: &Model) -> Option<f64> {
        model.change().expect("a snapshot").seconds()
    }

    fn names(model: &Model) -> Vec<String> {
        let shown = model.shown().expect("a snapshot");
        let rows = shown.table.rows.iter().skip(shown.offset);
        rows.map(|row| row.cells[0].text.clone()).collect()
    }

    #[test]
    fn a_window_spans_its_seconds_or_as_many_as_there_are() {
        let mut young = model(3);
        assert_eq!(seconds(&young), Some(3.0));
        young.act(Action::Narrow);
        assert_eq!(seconds(&young), Some(1.0));
        let mut old = model(200);
        for expected in [10.0, 60.0, 60.0] {
            assert_eq!(seconds(&old), Some(expected));
            old.act(Action::Widen);
        }
        assert!(old.history.len() <= 62, "{}", old.history.len());
        assert_eq!(seconds(&model(0)), None);
    }

    /// The server takes a snapshot a second, and its clock has milliseconds.
    #[test]
    fn a_window_bears_that_seconds_are_not_exact() {
        let mut model = Model::new(Tab::Routes, TimeZone::UTC);
        for second in 0..100 {
            model.take(snapshot(second * 1_003 - 7 * (second % 2)));
        }
        for (action, least, most) in [
            (Action::Nothing, 9.9, 10.1),
            (Action::Widen, 59.5, 60.5),
            (Action::Narrow, 9.9, 10.1),
            (Action::Narrow, 0.9, 1.1),
        ] {
            model.act(action);
            let seconds = seconds(&model).expect("known");
            assert!((least..most).contains(&seconds), "{seconds}");
        }
    }

    #[test]
    fn another_process_begins_anew() {
        let mut model = model(5);
        model.act(Action::Pause);
        let mut other = busy(6);
        other.process_id = 4712;
        model.take(other);
        assert_eq!(seconds(&model), None);
        assert!(!model.is_paused());
    }

    #[test]
    fn a_pause_keeps_what_is_shown_and_takes_in_what_comes() {
        let mut model = model(5);
        model.act(Action::Pause);
        model.take(busy(6));
        let shown = |model: &Model| model.change().expect("a snapshot").to.time_ms;
        assert_eq!(shown(&model), busy(5).time_ms);
        model.act(Action::Pause);
        assert_eq!(shown(&model), busy(6).time_ms);
    }

    #[test]
    fn keys_choose_the_column_and_the_order() {
        let mut model = model(5);
        assert_eq!(names(&model)[0], "/");
        model.act(Action::Reverse);
        assert!(names(&model)[0].starts_with("/downloads"));
        for _ in 1..Tab::Routes.columns().len() {
            model.act(Action::Sort);
        }
        // Behind the last column comes the first, a text: from A to Z.
        assert_eq!(model.shown().expect("a snapshot").sorted_by, 0);
        assert_eq!(names(&model)[0], "/");
        assert_eq!(names(&model)[1], "/api");
    }

    #[test]
    fn each_tab_keeps_its_order() {
        let mut model = model(5);
        model.act(Action::Sort);
        model.act(Action::NextTab);
        assert_eq!(model.tab(), Tab::Upstreams);
        assert_eq!(model.shown().expect("a snapshot").sorted_by, 0);
        model.act(Action::PreviousTab);
        assert_eq!(model.shown().expect("a snapshot").sorted_by, 2);
        model.act(Action::PreviousTab);
        assert_eq!(model.tab(), Tab::Reasons);
    }

    #[test]
    fn a_filter_is_typed_kept_and_cleared() {
        let mut model = model(5);
        for action in [
            Action::Filter,
            Action::Type('p'),
            Action::Type('x'),
            Action::Erase,
        ] {
            model.act(action);
        }
        assert!(model.is_filter_typed());
        model.act(Action::Type('i'));
        model.act(Action::KeepFilter);
        assert_eq!(names(&model), ["/api"]);
        assert!(model.shown().expect("a snapshot").has_hidden);
        model.act(Action::Clear);
        assert_eq!(names(&model).len(), 3);
    }

    #[test]
    fn scrolling_ends_at_both_ends() {
        let mut model = Model::new(Tab::Routes, TimeZone::UTC);
        let mut many = snapshot(0);
        many.series = (0..25)
            .map(|n| series(&format!("/{n:02}"), 2, 100 - n))
            .collect();
        model.take(many);
        model.set_page(10);
        for (scroll, first) in [
            (Scroll::Up, "/00"),
            (Scroll::Down, "/01"),
            (Scroll::PageDown, "/11"),
            (Scroll::PageDown, "/15"),
            (Scroll::Down, "/15"),
            (Scroll::PageUp, "/05"),
            (Scroll::End, "/15"),
            (Scroll::Home, "/00"),
        ] {
            model.act(Action::Scroll(scroll));
            assert_eq!(names(&model)[0], first, "{scroll:?}");
        }
        // Rows that have gone leave no empty page.
        model.act(Action::Scroll(Scroll::End));
        let mut few = snapshot(1_000);
        few.series = vec![series("/few", 2, 1)];
        model.take(few);
        assert_eq!(names(&model), ["/few"]);
    }
}
