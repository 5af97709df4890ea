//! Which columns a width has room for, and how wide each of them is.

use super::text::width;
use crate::cli::top::tables::{Align, Column, Table};

/// The cells between two columns.
pub(super) const GAP: usize = 2;

/// A column that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) index: usize,
    pub(super) width: usize,
}

/// Columns of this rank and higher give way to a name that would be cut.
const GIVES_WAY: u8 = 3;

/// Chooses columns for so many cells. Numbers get all that they need; texts share what is left.
pub(super) fn fit(table: &Table, cells: usize) -> Vec<Placed> {
    let needs: Vec<usize> = (0..table.columns.len())
        .map(|index| need(table, index))
        .collect();
    let mut placed: Vec<Placed> = table
        .columns
        .iter()
        .zip(&needs)
        .enumerate()
        .map(|(index, (column, need))| Placed {
            index,
            width: match column.align {
                Align::Right => column.width.max(*need),
                Align::Left => column.width.min(*need),
            },
        })
        .collect();
    let rank = |placed: &Placed| table.columns[placed.index].rank;
    while let Some(most) = placed.iter().map(rank).max().filter(|rank| *rank > 0) {
        let for_names = if most >= GIVES_WAY {
            cut_of_names(table, &placed, &needs)
        } else {
            0
        };
        if total(&placed) + for_names <= cells {
            break;
        }
        let last = placed.iter().rposition(|placed| rank(placed) == most);
        placed.remove(last.expect("the rank is of one of them"));
    }
    let mut left = cells.saturating_sub(total(&placed));
    // A cell at a time to each text that needs one.
    while left > 0 {
        let before = left;
        for placed in &mut placed {
            if left > 0 && placed.width < needs[placed.index] {
                placed.width += 1;
                left -= 1;
            }
        }
        if left == before {
            break;
        }
    }
    placed
}

/// The cells that show a column in full, with its title and the mark of a column that is sorted by.
fn need(table: &Table, index: usize) -> usize {
    let title = title_width(&table.columns[index]);
    let cells = table.rows.iter().map(|row| width(&row.cells[index].text));
    cells.max().unwrap_or(0).max(title)
}

/// How many cells the names lack in their least width.
fn cut_of_names(table: &Table, placed: &[Placed], needs: &[usize]) -> usize {
    let names = placed.iter().filter(|it| table.columns[it.index].is_name);
    names.map(|it| needs[it.index] - it.width).sum()
}

fn title_width(column: &Column) -> usize {
    width(column.title) + 1
}

fn total(placed: &[Placed]) -> usize {
    let columns: usize = placed.iter().map(|placed| placed.width).sum();
    columns + GAP * placed.len().saturating_sub(1)
}
