//! Tables of text for a terminal.
//!
//! Two spaces separate the columns; no lines are drawn. Numbers are set right. Output that is not a
//! terminal gets the table as it is. On a terminal that is too narrow, lists are folded; if the
//! table is still too wide, each row becomes a block with one line for each value. No value is
//! ever cut.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table};

use super::terminal::Look;

/// A table.
pub(super) struct TextTable {
    header: Vec<String>,
    numbers: std::ops::Range<usize>,
    folding: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Spaces between two columns.
const GAP: usize = 2;

impl TextTable {
    /// A table with columns of text, followed by columns of numbers.
    pub fn new(texts: &[&str], numbers: &[&str]) -> Self {
        let header = texts.iter().chain(numbers).map(|&title| title.to_owned()).collect();
        let numbers = texts.len()..texts.len() + numbers.len();
        Self { header, numbers, folding: Vec::new(), rows: Vec::new() }
    }

    /// Adds a column of text behind the numbers.
    pub fn with_last_text(mut self, title: &str) -> Self {
        self.header.push(title.to_owned());
        self
    }

    /// Allows cells of these columns to be folded after commas and spaces.
    pub fn folding(mut self, titles: &[&str]) -> Self {
        self.folding = titles.iter().map(|&title| title.to_owned()).collect();
        self
    }

    pub fn add(&mut self, row: Vec<String>) {
        // A terminal would obey control characters from the socket, and a row is one line.
        let plain = |cell: String| cell.replace(char::is_control, "\u{fffd}");
        self.rows.push(row.into_iter().map(plain).collect());
    }

    /// The table as text, or `empty` if it has no rows.
    pub fn text_or(mut self, empty: &str, look: Look) -> String {
        if self.rows.is_empty() {
            return format!("{empty}\n");
        }
        let widths: Vec<_> = self.laid_out(look).column_max_content_widths();
        let widths: Vec<_> = widths.into_iter().map(usize::from).collect();
        if let Some(width) = look.width.map(usize::from)
            && total(&widths) > width
        {
            match self.folded_widths(&widths, width) {
                Some(folded) => self.fold(&folded),
                None => return self.blocks(look),
            }
        }
        self.laid_out(look).trim_fmt() + "\n"
    }

    fn laid_out(&self, look: Look) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.force_no_tty();
        if look.colour {
            table.enforce_styling();
        }
        let titles =
            self.header.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold));
        table.set_header(titles);
        for row in &self.rows {
            let cells = self.header.iter().zip(row).map(|(title, text)| {
                let cell = Cell::new(text);
                colour(title, text).map_or(cell.clone(), |colour| cell.fg(colour))
            });
            table.add_row(cells);
        }
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if self.numbers.contains(&i) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }

    /// Column widths that fit, with folded cells. `None`: the table is too wide.
    fn folded_widths(&self, natural: &[usize], width: usize) -> Option<Vec<usize>> {
        let narrowest = |i: usize| {
            let cells = self.rows.iter().map(|row| row[i].as_str());
            let pieces =
                cells.flat_map(|cell| pieces(cell).map(|piece| piece.trim_end().chars().count()));
            pieces.chain([self.header[i].chars().count()]).max().unwrap_or(0)
        };
        let folds: Vec<_> = self.header.iter().map(|title| self.folding.contains(title)).collect();
        let mut widths: Vec<_> =
            (0..natural.len()).map(|i| if folds[i] { narrowest(i) } else { natural[i] }).collect();
        let mut left = width.checked_sub(total(&widths))?;
        for (i, _) in folds.iter().enumerate().filter(|(_, folds)| **folds) {
            let more = left.min(natural[i].saturating_sub(widths[i]));
            widths[i] += more;
            left -= more;
        }
        Some(widths)
    }

    fn fold(&mut self, widths: &[usize]) {
        for row in &mut self.rows {
            for ((cell, title), &width) in row.iter_mut().zip(&self.header).zip(widths) {
                if self.folding.contains(title) {
                    *cell = folded(cell, width);
                }
            }
        }
    }

    /// One block for each row, with one line for each value.
    fn blocks(&self, look: Look) -> String {
        let longest = self.header.iter().map(String::len).max().unwrap_or(0);
        let block = |row: &Vec<String>| -> String {
            let lines = self.header.iter().zip(row);
            lines
                .map(|(title, text)| {
                    let space = " ".repeat(longest - title.len() + GAP);
                    let title = look.paint(anstyle::Style::new().bold(), title);
                    format!("{title}{space}{text}\n")
                })
                .collect()
        };
        self.rows.iter().map(block).collect::<Vec<_>>().join("\n")
    }
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// The pieces of a text, which end after commas and spaces.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive([',', ' '])
}

/// Folds a text between its pieces.
fn folded(text: &str, width: usize) -> String {
    let (mut all, mut used) = (String::new(), 0);
    for piece in pieces(text) {
        let long = piece.chars().count();
        if used > 0 && used + piece.trim_end().chars().count() > width {
            all.truncate(all.trim_end().len());
            all.push('\n');
            used = 0;
        }
        all.push_str(piece);
        used += long;
    }
    all
}

/// The colour of a cell that deserves attention.
fn colour(title: &str, text: &str) -> Option<Color> {
    match (title, text) {
        ("LINK", "up") | ("STATE", "resolved") | ("RESULT", "ok") => Some(Color::Green),
        ("LINK", "down") | ("STATE", "unresolved") | ("RESULT", "problem") => Some(Color::Red),
        ("RESULT", "warning") => Some(Color::Yellow),
        ("UNACCOUNTED", number) if number != "0" => Some(Color::Red),
        ("DROPS" | "DROPPED" | "REFUSED" | "EVENTS LOST", number) if number != "0" => {
            Some(Color::Yellow)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_folded_between_its_pieces_only() {
        assert_eq!(folded("a,bb,c", 4), "a,\nbb,c");
        assert_eq!(folded("not for us", 7), "not for\nus");
        assert_eq!(folded("unbreakable", 4), "unbreakable");
    }
}
