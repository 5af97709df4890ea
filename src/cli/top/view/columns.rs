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
    while total(&placed) > cells {
        let rank = |placed: &Placed| table.columns[placed.index].rank;
        let Some(most) = placed.iter().map(rank).max().filter(|rank| *rank > 0) else {
            break;
        };
        placed.retain(|placed| rank(placed) != most);
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

fn title_width(column: &Column) -> usize {
    width(column.title) + 1
}

fn total(placed: &[Placed]) -> usize {
    let columns: usize = placed.iter().map(|placed| placed.width).sum();
    columns + GAP * placed.len().saturating_sub(1)
}
