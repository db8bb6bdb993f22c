//! What is on the screen: a function of the last samples and of what was pressed.
//!
//! Colour is never the only sign. What does not fit is counted, and can be scrolled to.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::crossterm::event::KeyCode;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Sparkline, Table};

use super::Told;
use super::rates::{Flow, Rates, Sample};
use crate::api::dto::{Link, Role};
use crate::cli::failure::plain;

/// How many intervals the sparklines go back at most.
const HISTORY: usize = 300;
/// A worker that is busier may be losing frames.
const BUSY_PERCENT: f64 = 90.0;
/// The width of the bar of a worker's busy share.
const BAR: usize = 20;

/// A part of the screen that can be scrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panel {
    Workers,
    Ports,
    Networks,
    Drops,
}

impl Panel {
    const ALL: [Self; 4] = [Self::Workers, Self::Ports, Self::Networks, Self::Drops];

    fn title(self) -> &'static str {
        match self {
            Self::Workers => "Workers",
            Self::Ports => "Ports",
            Self::Networks => "Networks",
            Self::Drops => "Drops",
        }
    }
}

/// The state of the screen.
pub(super) struct Screen {
    interval: Duration,
    last: Sample,
    rates: Option<Rates>,
    /// Frames received and transmitted a second, the newest last.
    history: VecDeque<(u64, u64)>,
    /// Since when the switch does not answer, and what it says.
    silent: Option<(Instant, String)>,
    is_paused: bool,
    panel: Panel,
    /// The first line of each panel.
    scrolled: [usize; Panel::ALL.len()],
}

impl Screen {
    /// Before there are rates.
    pub fn new(first: Sample, interval: Duration) -> Self {
        Self {
            interval,
            last: first,
            rates: None,
            history: VecDeque::new(),
            silent: None,
            is_paused: false,
            panel: Panel::Ports,
            scrolled: [0; Panel::ALL.len()],
        }
    }

    /// Takes what the switch said.
    pub fn take(&mut self, told: Told) {
        let sample = match told {
            Ok(sample) => sample,
            Err(error) => {
                let since = self.silent.take().map_or_else(Instant::now, |(since, _)| since);
                self.silent = Some((since, error));
                return;
            }
        };
        self.silent = None;
        let rates = Rates::between(&self.last, &sample);
        self.last = sample;
        let (received, transmitted) = rates.totals();
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is not negative, and far below 2^53"
        )]
        let whole = |flow: Flow| flow.packets as u64;
        self.history.push_back((whole(received), whole(transmitted)));
        if !self.is_paused || self.rates.is_none() {
            self.rates = Some(rates);
        }
    }

    /// Does what a key asks for.
    pub fn press(&mut self, key: KeyCode) {
        let place = |panel| Panel::ALL.iter().position(|other| *other == panel).unwrap_or(0);
        let at = place(self.panel);
        let scrolled = &mut self.scrolled[at];
        match key {
            KeyCode::Tab | KeyCode::Right => self.panel = Panel::ALL[(at + 1) % Panel::ALL.len()],
            KeyCode::BackTab | KeyCode::Left => {
                self.panel = Panel::ALL[(at + Panel::ALL.len() - 1) % Panel::ALL.len()];
            }
            KeyCode::Down | KeyCode::Char('j') => *scrolled += 1,
            KeyCode::Up | KeyCode::Char('k') => *scrolled = scrolled.saturating_sub(1),
            KeyCode::PageDown => *scrolled += 10,
            KeyCode::PageUp => *scrolled = scrolled.saturating_sub(10),
            KeyCode::Home => *scrolled = 0,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            _ => {}
        }
    }

    /// Draws it.
    pub fn draw(&mut self, frame: &mut Frame<'_>) {
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(2), Constraint::Min(0), Constraint::Length(1)])
                .areas(frame.area());
        self.draw_head(frame, head);
        self.draw_foot(frame, foot);
        let Some(rates) = self.rates.clone() else {
            frame.render_widget(Paragraph::new("The first rates come with the next answer."), body);
            return;
        };
        let tables = [workers(&rates), ports(&rates), networks(&rates), drops(&rates)];
        for ((place, table), area) in tables.into_iter().enumerate().zip(self.areas(&rates, body)) {
            let panel = Panel::ALL[place];
            self.scrolled[place] =
                table.draw(frame, area, self.scrolled[place], panel, panel == self.panel);
        }
    }

    /// A panel's room is what it needs, as far as there is any; the one with the focus comes first.
    fn areas(&self, rates: &Rates, body: Rect) -> [Rect; Panel::ALL.len()] {
        let wanted =
            [rates.workers.len(), rates.ports.len(), rates.networks.len(), rates.drops.len()];
        // Title, heads, and the frame's lower edge.
        let wanted =
            wanted.map(|rows| u16::try_from(rows.max(1)).unwrap_or(u16::MAX).saturating_add(3));
        let focus = Panel::ALL.iter().position(|panel| *panel == self.panel).unwrap_or(0);
        let mut heights = [0_u16; Panel::ALL.len()];
        let mut left = body.height;
        let least = |wanted: u16| wanted.min(5);
        let order = [focus].into_iter().chain((0..Panel::ALL.len()).filter(|at| *at != focus));
        for at in order.clone() {
            heights[at] = least(wanted[at]).min(left);
            // A frame with nothing in it says nothing.
            if heights[at] < 4 {
                heights[at] = 0;
            }
            left -= heights[at];
        }
        for at in order {
            if heights[at] > 0 {
                let more = wanted[at].saturating_sub(heights[at]).min(left);
                heights[at] += more;
                left -= more;
            }
        }
        Layout::vertical(heights.map(Constraint::Length)).areas(body)
    }

    fn draw_head(&self, frame: &mut Frame<'_>, area: Rect) {
        let [text, received, transmitted] =
            Layout::horizontal([Constraint::Min(60), Constraint::Max(30), Constraint::Max(30)])
                .areas(area);
        let rates = self.rates.as_ref();
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let mut first = vec![Span::styled("vswitch ", bold)];
        if let Some(generation) = self.last.generation {
            first.push(format!("generation {generation}  ").into());
        }
        let unaccounted = rates.map_or(0, |rates| rates.unaccounted);
        first.push(Span::styled(
            format!("unaccounted {unaccounted}  "),
            if unaccounted == 0 { Style::new() } else { bad() },
        ));
        let dropped = rates.map_or(0.0, Rates::dropped);
        first.push(Span::styled(
            format!("dropped {}/s", amount(dropped)),
            if dropped > 0.0 { Style::new().fg(Color::Yellow) } else { Style::new() },
        ));
        let (into, out_of) = rates.map(Rates::totals).unwrap_or_default();
        let second = format!("in {}  out {}", flow(into), flow(out_of));
        frame.render_widget(Paragraph::new(vec![Line::from(first), second.into()]), text);
        let history = [
            (
                received,
                " in ",
                self.history.iter().map(|(received, _)| *received).collect::<Vec<_>>(),
            ),
            (transmitted, " out ", self.history.iter().map(|(_, sent)| *sent).collect()),
        ];
        for (area, name, values) in history {
            let [name_area, area] =
                Layout::horizontal([Constraint::Length(5), Constraint::Min(0)]).areas(area);
            frame.render_widget(Paragraph::new(name), name_area);
            let newest = values.len().saturating_sub(area.width.into());
            frame.render_widget(Sparkline::default().data(&values[newest..]), area);
        }
    }

    fn draw_foot(&self, frame: &mut Frame<'_>, area: Rect) {
        let line = match &self.silent {
            Some((since, error)) => {
                let error = error.lines().next().unwrap_or_default();
                let text =
                    format!("no answer for {} s: {}", since.elapsed().as_secs(), plain(error));
                Line::styled(text, bad())
            }
            None if self.is_paused => {
                Line::styled("paused: p goes on", Style::new().add_modifier(Modifier::REVERSED))
            }
            None => Line::from(format!(
                "q ends  p pauses  Tab next panel  ↑ ↓ scrolls    every {}",
                humantime::format_duration(self.interval)
            )),
        };
        frame.render_widget(Paragraph::new(line), area);
    }
}

fn bad() -> Style {
    Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)
}

/// 1234567.0 is "1.23 M": three digits and a unit.
fn amount(value: f64) -> String {
    let (value, unit) = match value {
        v if v >= 999.5e6 => (v / 1e9, " G"),
        v if v >= 999.5e3 => (v / 1e6, " M"),
        v if v >= 999.5 => (v / 1e3, " k"),
        v => (v, ""),
    };
    match value {
        v if unit.is_empty() && (v >= 9.5 || v.fract() == 0.0) => format!("{v:.0}"),
        v if v >= 99.95 => format!("{v:.0}{unit}"),
        v if v >= 9.995 => format!("{v:.1}{unit}"),
        v => format!("{v:.2}{unit}"),
    }
}

fn flow(flow: Flow) -> String {
    format!("{} packets/s {}bit/s", amount(flow.packets), with_space(&amount(flow.bits)))
}

/// "1.23 M" and "5 ", to be followed by a unit.
fn with_space(amount: &str) -> String {
    if amount.contains(' ') { amount.to_owned() } else { format!("{amount} ") }
}

/// How wide a column is.
#[derive(Clone, Copy, Debug)]
enum Column {
    /// A number, set right.
    Number(u16),
    /// As wide as its widest text, at most this.
    Text(u16),
    /// What the others leave.
    Rest,
}

/// A table of a panel.
struct Listing {
    heads: &'static [(&'static str, Column)],
    rows: Vec<(Vec<String>, Style)>,
    /// What stands there if there are none.
    nothing: &'static str,
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
    fn draw(
        self,
        frame: &mut Frame<'_>,
        area: Rect,
        from: usize,
        panel: Panel,
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
            format!(" {} {}–{last} of {count} ", panel.title(), from + 1)
        } else {
            format!(" {} ", panel.title())
        };
        let mark = if has_focus { Modifier::BOLD } else { Modifier::empty() };
        let title = Span::styled(title, Style::new().add_modifier(mark));
        let edge = Style::new().fg(if has_focus { Color::Cyan } else { Color::DarkGray });
        let block = Block::new().borders(Borders::ALL).border_style(edge).title(title);
        if count == 0 {
            frame.render_widget(Paragraph::new(self.nothing).block(block), area);
            return 0;
        }
        let widths: Vec<_> = (0..self.heads.len()).map(|at| self.width(at)).collect();
        let is_number = |at: usize| matches!(self.heads[at].1, Column::Number(_));
        let cell = |at: usize, text: String| {
            let line = Line::from(plain(&text));
            Cell::from(if is_number(at) { line.right_aligned() } else { line })
        };
        let row = |(cells, style): (Vec<String>, Style)| {
            Row::new(cells.into_iter().enumerate().map(|(at, text)| cell(at, text))).style(style)
        };
        let heads = self.heads.iter().enumerate();
        let heads = heads.map(|(at, (head, _))| cell(at, (*head).to_owned()));
        let heads = Row::new(heads).style(Style::new().add_modifier(Modifier::DIM));
        let rows = self.rows.into_iter().skip(from).take(room).map(row);
        let table = Table::new(rows, widths).header(heads).column_spacing(2).block(block);
        frame.render_widget(table, area);
        from
    }
}

fn workers(rates: &Rates) -> Listing {
    let row = |worker: &super::rates::WorkerRates| {
        let is_full = worker.busy_percent >= BUSY_PERCENT;
        let cells = vec![
            format!("{} on core {}", worker.worker, worker.core),
            bar(worker.busy_percent),
            amount(worker.received),
            amount(worker.transmitted),
            amount(worker.dropped),
            amount(worker.turns),
            worker.queues.join(" "),
        ];
        (cells, if is_full { Style::new().fg(Color::Yellow) } else { Style::new() })
    };
    Listing {
        heads: &[
            ("WORKER", Column::Text(20)),
            ("BUSY", Column::Text(26)),
            ("IN/S", Column::Number(8)),
            ("OUT/S", Column::Number(8)),
            ("DROPPED/S", Column::Number(9)),
            ("TURNS/S", Column::Number(8)),
            ("QUEUES", Column::Rest),
        ],
        rows: rates.workers.iter().map(row).collect(),
        nothing: "none",
    }
}

/// "██████····  58 %"
fn bar(percent: f64) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "0 to 100, and a width"
    )]
    let full = ((percent / 100.0 * BAR as f64).round() as usize).min(BAR);
    format!("{}{} {percent:>3.0} %", "█".repeat(full), "·".repeat(BAR - full))
}

fn ports(rates: &Rates) -> Listing {
    let row = |port: &super::rates::PortRates| {
        let (link, style) = match port.link {
            Link::Up => ("up", Style::new()),
            Link::Down => ("DOWN", bad()),
            Link::Unknown => ("?", Style::new()),
        };
        let role = match port.role {
            Role::Uplink => "uplink of",
            Role::Tenant => "in",
            Role::Unused => "unused",
        };
        let cells = vec![
            port.name.clone(),
            link.to_owned(),
            amount(port.receive.packets),
            amount(port.receive.bits),
            amount(port.transmit.packets),
            amount(port.transmit.bits),
            amount(port.drops),
            format!("{role} {}", port.belongs_to.as_deref().unwrap_or_default()),
        ];
        (cells, style)
    };
    Listing {
        heads: &[
            ("PORT", Column::Text(24)),
            ("LINK", Column::Text(4)),
            ("IN/S", Column::Number(8)),
            ("BIT/S", Column::Number(8)),
            ("OUT/S", Column::Number(8)),
            ("BIT/S", Column::Number(8)),
            ("DROPS/S", Column::Number(8)),
            ("ROLE", Column::Rest),
        ],
        rows: rates.ports.iter().map(row).collect(),
        nothing: "none",
    }
}

fn networks(rates: &Rates) -> Listing {
    let row = |network: &super::rates::NetworkRates| {
        let cells = vec![
            network.name.clone(),
            network.vni.to_string(),
            amount(network.from_ports.packets),
            amount(network.from_ports.bits),
            amount(network.to_ports.packets),
            amount(network.to_ports.bits),
            amount(network.drops),
            network.fdb_entries.to_string(),
            amount(network.moves),
            format!("{} ports, {} remote VTEPs", network.ports, network.remote_vteps),
        ];
        (cells, Style::new())
    };
    Listing {
        heads: &[
            ("NETWORK", Column::Text(24)),
            ("VNI", Column::Number(8)),
            ("FROM/S", Column::Number(8)),
            ("BIT/S", Column::Number(8)),
            ("TO/S", Column::Number(8)),
            ("BIT/S", Column::Number(8)),
            ("DROPS/S", Column::Number(8)),
            ("MACS", Column::Number(7)),
            ("MOVES/S", Column::Number(7)),
            ("WHO", Column::Rest),
        ],
        rows: rates.networks.iter().map(row).collect(),
        nothing: "none",
    }
}

fn drops(rates: &Rates) -> Listing {
    let row = |drop: &super::rates::DropRates| {
        let cells = vec![
            drop.reason.clone(),
            amount(drop.rate),
            drop.packets.to_string(),
            format!("{} {}", drop.port, drop.network).trim().to_owned(),
            drop.help.clone(),
        ];
        let style = if drop.rate > 0.0 { Style::new().fg(Color::Yellow) } else { Style::new() };
        (cells, style)
    };
    Listing {
        heads: &[
            ("REASON", Column::Text(24)),
            ("NOW/S", Column::Number(8)),
            ("ALL", Column::Number(12)),
            ("PORT, NETWORK", Column::Text(30)),
            ("MEANING", Column::Rest),
        ],
        rows: rates.drops.iter().map(row).collect(),
        nothing: "none since the start",
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::rates::tests::sample;
    use super::*;

    fn drawn(screen: &mut Screen, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(line).collect()
    }

    fn screen() -> Screen {
        let started = Instant::now();
        let mut screen = Screen::new(sample(started, 1), Duration::from_secs(1));
        screen.take(Ok(sample(started, 2)));
        screen
    }

    #[track_caller]
    fn has(lines: &[String], words: &[&str]) {
        let found = lines.iter().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "no line with {words:?} in\n{}", lines.join("\n"));
    }

    #[test]
    fn everything_is_on_a_large_terminal() {
        let lines = drawn(&mut screen(), 140, 40);
        has(&lines, &["generation 3", "unaccounted 0", "dropped 5/s"]);
        has(&lines, &["in 1.00 k packets/s 800 kbit/s", "out 0 packets/s 0 bit/s"]);
        has(&lines, &["0 on core 1", "█████···············  25 %", "1.00 k", "a/0"]);
        has(&lines, &["│a ", "up", "1.00 k", "800 k", "in blue"]);
        has(&lines, &["│blue", "100", "1.00 k", "1 ports, 0 remote VTEPs"]);
        has(&lines, &["runt", "5", "10", "a blue", "runt is explained."]);
        has(&lines, &["long_ago", "0", "7"]);
        assert!(!lines.iter().any(|line| line.contains("never")), "it never happened");
    }

    #[test]
    fn what_does_not_fit_is_counted_and_can_be_scrolled_to() {
        let mut screen = screen();
        let mut many = sample(Instant::now(), 3);
        let one = many.ports[0].clone();
        many.ports = (0..100)
            .map(|n| crate::api::dto::PortRow { name: format!("p{n}"), ..one.clone() })
            .collect();
        screen.take(Ok(many));
        let lines = drawn(&mut screen, 100, 24);
        has(&lines, &["Ports 1–", "of 100"]);
        has(&lines, &["│p0 "]);
        screen.press(KeyCode::PageDown);
        has(&drawn(&mut screen, 100, 24), &["│p10 "]);
        for _ in 0..20 {
            screen.press(KeyCode::PageDown);
        }
        has(&drawn(&mut screen, 100, 24), &["–100 of 100"]);
        has(&drawn(&mut screen, 100, 24), &["│p99 "]);
        screen.press(KeyCode::PageUp);
        assert!(
            !drawn(&mut screen, 100, 24).iter().any(|line| line.contains("p99")),
            "it goes up at once"
        );
        screen.press(KeyCode::Home);
        has(&drawn(&mut screen, 100, 24), &["│p0 "]);
    }

    #[test]
    fn a_panel_with_the_focus_is_there_on_the_smallest_terminal() {
        let mut screen = screen();
        for (key, what) in [
            (KeyCode::Tab, "blue"),
            (KeyCode::Tab, "runt"),
            (KeyCode::Tab, "on core"),
            (KeyCode::BackTab, "runt"),
        ] {
            screen.press(key);
            has(&drawn(&mut screen, 80, 8), &[what]);
        }
        for (width, height) in [(1, 1), (20, 3), (80, 4), (10, 100)] {
            drawn(&mut screen, width, height);
        }
    }

    #[test]
    fn silence_and_a_pause_are_said() {
        let mut screen = screen();
        screen.take(Err("nobody listens there\nhelp: start it".to_owned()));
        let lines = drawn(&mut screen, 100, 30);
        has(&lines, &["no answer for 0 s: nobody listens there"]);
        has(&lines, &["runt"]);
        screen.press(KeyCode::Char('p'));
        screen.take(Ok(sample(Instant::now(), 9)));
        let lines = drawn(&mut screen, 100, 30);
        has(&lines, &["paused"]);
        has(&lines, &["runt", "10"]);
        screen.press(KeyCode::Char('p'));
        screen.take(Ok(sample(Instant::now(), 10)));
        has(&drawn(&mut screen, 100, 30), &["runt", "50"]);
    }

    #[test]
    fn amounts_have_three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.5, "0.50"),
            (7.0, "7"),
            (12.4, "12"),
            (999.4, "999"),
            (999.6, "1.00 k"),
            (12_345.0, "12.3 k"),
            (999_400.0, "999 k"),
            (1_234_567.0, "1.23 M"),
            (18_340_000.0, "18.3 M"),
            (9.87e9, "9.87 G"),
            (123e9, "123 G"),
        ] {
            assert_eq!(amount(value), text, "{value}");
        }
    }
}
