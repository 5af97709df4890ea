//! The same table as text, once: for pipes, scripts and terminals without a screen.

use super::model::Model;
use super::summary::{Part, Summary};
use super::tables::{Align, Row, Table};
use super::view::{cut_lead, width};

/// The widest a text may be, in cells of a terminal: a path may have thousands of octets, and each line would be as
/// long. Routes and addresses that someone has written are shorter.
const MAX_WIDTH: usize = 100;

/// The numbers as a whole, and the table of the model's tab, in lines as long as their texts need, each of them cut
/// at [`MAX_WIDTH`]. Empty before the first snapshot.
pub(super) fn text(model: &Model) -> String {
    let (Some(change), Some(shown)) = (model.change(), model.shown()) else {
        return String::new();
    };
    let summary = Summary::of(change, 1, model.zone());
    let mut lines: Vec<String> = [&summary.server, &summary.requests, &summary.process]
        .map(|parts| line(parts))
        .into();
    lines.push(summary.reload.text);
    lines.push(String::new());
    if shown.table.rows.is_empty() {
        lines.push(model.tab().when_empty().to_owned());
    } else {
        lines.extend(rows(&shown.table));
    }
    lines.join("\n") + "\n"
}

fn line(parts: &[Part]) -> String {
    let parts: Vec<&str> = parts.iter().map(|part| &*part.text).collect();
    parts.join("  ")
}

/// Titles and rows, in columns that are as wide as their widest cell.
fn rows(table: &Table) -> Vec<String> {
    let titles: Vec<&str> = table.columns.iter().map(|column| column.title).collect();
    let cells = |row: &'_ Row| {
        let cells = row.cells.iter();
        cells
            .map(|cell| cut_lead(&cell.text, cell.lead, MAX_WIDTH))
            .collect()
    };
    let mut lines: Vec<Vec<String>> = vec![titles.into_iter().map(str::to_owned).collect()];
    lines.extend(table.rows.iter().map(cells));
    let widest = |column: usize| lines.iter().map(|line| width(&line[column])).max();
    let widths: Vec<usize> = (0..table.columns.len())
        .map(|column| widest(column).unwrap_or(0))
        .collect();
    let written = lines.iter().map(|line| {
        let cells = line.iter().zip(&widths).zip(table.columns);
        let cells = cells.map(|((text, most), column)| {
            let space = " ".repeat(most - width(text));
            match column.align {
                Align::Left => format!("{text}{space}"),
                Align::Right => format!("{space}{text}"),
            }
        });
        let line: Vec<String> = cells.collect();
        line.join("  ").trim_end().to_owned()
    });
    written.collect()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::super::fixture::busy;
    use super::super::tables::Tab;
    use super::*;

    #[test]
    fn a_table_is_written_in_full() {
        let mut model = Model::new(Tab::Routes, TimeZone::UTC);
        assert_eq!(text(&model), "");
        model.take(busy(0));
        model.take(busy(1));
        let expected = "\
tidegate 0.1.0  ready  up 2 h 46 min  generation 3 since 11:59:00  process 4711
121 requests/s  p50 750 µs  p99 995 µs  5xx 2.0/s  over 1 s  sent 121 kB/s
connections: 12 http (3 idle), 0 tunnel, 0 stream  cpu 34 %  memory 9.0 MB  files 40/1024
last reload 11:59:00: reloaded: generation 3

ROUTE                                                                     REQ/S     P50     P99  4XX/S  5XX/S  SENT/S  RECEIVED/S  REQUESTS
/                                                                           100  750 µs  995 µs      0      0  100 kB         0 B       800
/api                                                                         20  750 µs  995 µs      0    2.0   20 kB         0 B       270
/downloads/さくら/releases/2025/with-a-name-that-no-column-holds-in-full    1.0  750 µs  995 µs      0      0  1.0 kB         0 B        51
";
        assert_eq!(text(&model), expected);
    }

    #[test]
    fn a_long_path_is_cut() {
        let mut model = Model::new(Tab::Failures, TimeZone::UTC);
        let mut snapshot = busy(0);
        let failure = snapshot.failures.first_mut().expect("a failure");
        failure.path = format!("/{}", "a".repeat(8000));
        model.take(snapshot);
        let text = text(&model);
        let path = format!("/{}…", "a".repeat(98));
        assert!(text.contains(&path), "{text}");
        assert!(text.lines().all(|line| width(line) < 250), "{text}");
    }

    #[test]
    fn a_table_without_rows_says_what_that_means() {
        let mut model = Model::new(Tab::Failures, TimeZone::UTC);
        model.take(super::super::fixture::snapshot(0));
        assert!(text(&model).ends_with("\n\nno exchange has failed\n"));
    }
}
