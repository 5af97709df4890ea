//! What the operator may want of the screen, whichever key says so.

use super::tables::Tab;

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    Quit,
    Show(Tab),
    NextTab,
    PreviousTab,
    /// Sort by the next column.
    Sort,
    Reverse,
    /// Stop what is shown, or let it go on.
    Pause,
    /// Take rates over a longer time.
    Widen,
    Narrow,
    Scroll(Scroll),
    Help,
    /// Begin to type a filter.
    Filter,
    /// Add a character to the filter.
    Type(char),
    Erase,
    /// End typing.
    KeepFilter,
    /// Show all rows again.
    Clear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scroll {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}
