//! A table in a frame, with a place to begin at.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use crate::cli::output::plain;

/// Between two columns.
const SPACING: u16 = 2;

/// How wide a column is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    /// A number, set right.
    Number(u16),
    /// As wide as its widest text, at most this.
    Text(u16),
    /// What the others leave.
    Rest,
}

/// The style of what is wrong.
pub(super) fn alarm() -> Style {
    Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)
}

/// A table of a panel.
pub(super) struct Listing {
    pub heads: &'static [(&'static str, Column)],
    pub rows: Vec<(Vec<String>, Style)>,
    /// What stands there if there are none.
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

    /// Draws the rows from one on; says from which, as there are never empty lines below the last.
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

/// What does not fit ends in an ellipsis.
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
    fn what_is_cut_shows_it() {
        let text = || "The frame is short.".to_owned();
        assert_eq!(cut(text(), 19), "The frame is short.");
        assert_eq!(cut(text(), 18), "The frame is shor…");
        assert_eq!(cut(text(), 11), "The frame…", "no space before it");
        assert_eq!((cut(text(), 1), cut(String::new(), 0)), ("…".to_owned(), String::new()));
    }
}
