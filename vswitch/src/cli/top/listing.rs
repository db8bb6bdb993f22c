//! A table in a frame that can be scrolled.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use crate::cli::output::plain;

/// Between two columns.
const SPACING: u16 = 2;

/// The kind and width of a column.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    /// A number, right-aligned.
    Number(u16),
    /// As wide as its widest text, up to this.
    Text(u16),
    /// The width that the others leave.
    Rest,
}

/// The style of problems.
pub(super) fn alarm() -> Style {
    Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)
}

/// A table of a panel.
pub(super) struct Listing {
    pub heads: &'static [(&'static str, Column)],
    pub rows: Vec<(Vec<String>, Style)>,
    /// The text in place of rows if there are none.
    pub nothing: &'static str,
}

impl Listing {
    fn width(&self, at: usize) -> Constraint {
        let (head, column) = self.heads[at];
        match column {
            Column::Number(width) => Constraint::Length(width),
            Column::Rest => Constraint::Fill(1),
            Column::Text(most) => {
                let texts = self.rows.iter().map(|(cells, _)| cells[at].chars().count());
                let widest = texts.chain([head.len()]).max().unwrap_or(0);
                Constraint::Length(u16::try_from(widest).map_or(most, |width| width.min(most)))
            }
        }
    }

    /// Draws the rows, beginning with row `from`. Returns the row that it began with, which may be
    /// an earlier one, as the last page is always full.
    pub fn draw(
        self,
        frame: &mut Frame<'_>,
        area: Rect,
        from: usize,
        name: &str,
        has_focus: bool,
    ) -> usize {
        if area.height < 4 {
            return from;
        }
        let room = usize::from(area.height - 3);
        let count = self.rows.len();
        let from = from.min(count.saturating_sub(room));
        let title = if count > room {
            let last = (from + room).min(count);
            format!(" {name} {}–{last} of {count} ", from + 1)
        } else {
            format!(" {name} ")
        };
        let mark = if has_focus { Modifier::BOLD } else { Modifier::empty() };
        let title = Span::styled(title, Style::new().add_modifier(mark));
        let edge = Style::new().fg(if has_focus { Color::Cyan } else { Color::DarkGray });
        let block = Block::new().borders(Borders::ALL).border_style(edge).title(title);
        if count == 0 {
            frame.render_widget(Paragraph::new(self.nothing).block(block), area);
            return 0;
        }
        let widths = (0..self.heads.len()).map(|at| self.width(at));
        let columns = Layout::horizontal(widths).spacing(SPACING).split(block.inner(area));
        let widths: Vec<u16> = columns.iter().map(|column| column.width).collect();
        let is_number = |at: usize| matches!(self.heads[at].1, Column::Number(_));
        let cell = |at: usize, text: String| {
            let line = Line::from(cut(plain(&text), widths[at].into()));
            Cell::from(if is_number(at) { line.right_aligned() } else { line })
        };
        let row = |(cells, style): (Vec<String>, Style)| {
            Row::new(cells.into_iter().enumerate().map(|(at, text)| cell(at, text))).style(style)
        };
        let heads = self.heads.iter().enumerate();
        let heads = heads.map(|(at, (head, _))| cell(at, (*head).to_owned()));
        let heads = Row::new(heads).style(Style::new().add_modifier(Modifier::DIM));
        let rows = self.rows.into_iter().skip(from).take(room).map(row);
        let table = Table::new(rows, widths.iter().copied())
            .header(heads)
            .column_spacing(SPACING)
            .block(block);
        frame.render_widget(table, area);
        from
    }
}

/// Cuts a text that does not fit, and ends it with an ellipsis.
fn cut(text: String, width: usize) -> String {
    if text.chars().count() <= width {
        return text;
    }
    let head: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", head.trim_end())
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_cut_text_ends_with_an_ellipsis() {
        let text = || "The frame is short.".to_owned();
        assert_eq!(cut(text(), 19), "The frame is short.");
        assert_eq!(cut(text(), 18), "The frame is shor…");
        assert_eq!(cut(text(), 11), "The frame…", "no space before it");
        assert_eq!((cut(text(), 1), cut(String::new(), 0)), ("…".to_owned(), String::new()));
    }
}
