//! Columns of text: names aligned to the left, numbers to the right.

use std::fmt;

use crate::print::{BOLD, shown};

/// A table with a heading.
#[derive(Debug)]
pub(crate) struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self { heading: heading.map(str::to_owned).to_vec(), rows: Vec::new() }
    }

    /// Adds a row; it should have as many cells as the heading. Cells may hold text from outside.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| shown(&cell).to_string()).to_vec());
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().chain([&self.heading]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    }

    fn is_number(&self, column: usize) -> bool {
        self.rows.iter().all(|row| row.get(column).is_some_and(|cell| cell.parse::<i64>().is_ok()))
    }

    fn line(&self, row: &[String]) -> String {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = self.width(column);
            if self.is_number(column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{BOLD}{}{BOLD:#}", self.line(&self.heading))?;
        self.rows.iter().try_for_each(|row| writeln!(formatter, "{}", self.line(row)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_left_and_numbers_right() {
        let mut table = Table::new(["TOPIC", "WAITING"]);
        table.row(["order-placed".into(), "7".into()]);
        table.row(["c\n\u{1b}[1m".into(), "12".into()]);
        let text = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert_eq!(text, "TOPIC         WAITING\norder-placed        7\nc\\n\\u{1b}[1m       12\n");
    }
}
