//! The screen: a function of the last samples and of the keys that were pressed.
//!
//! Colour never carries information alone. Rows that do not fit are counted, and can be scrolled
//! to.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::crossterm::event::KeyCode;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};

use super::amount::{amount, flow};
use super::listing::alarm;
use super::panels::{drops, networks, ports, workers};
use super::rates::{Flow, Rates};
use super::sample::Sample;
use crate::cli::output::plain;

/// The most intervals in a sparkline.
const HISTORY: usize = 300;

/// A part of the screen that scrolls.
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
    /// Frames received and transmitted per second, the newest last.
    history: VecDeque<(u64, u64)>,
    /// The time since which the switch does not answer, and the error.
    silent: Option<(Instant, String)>,
    /// The number of intervals since a pause began, which are not shown.
    paused: Option<usize>,
    panel: Panel,
    /// The first row that each panel shows.
    scrolled: [usize; Panel::ALL.len()],
}

impl Screen {
    /// A screen before the first rates.
    pub fn new(first: Sample, interval: Duration) -> Self {
        Self {
            interval,
            last: first,
            rates: None,
            history: VecDeque::new(),
            silent: None,
            paused: None,
            panel: Panel::Ports,
            scrolled: [0; Panel::ALL.len()],
        }
    }

    /// Takes an answer of the switch. During a pause it is kept, but not shown.
    pub fn take(&mut self, answer: Result<Sample, String>) {
        let sample = match answer {
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
        let whole = |flow: Flow| flow.packets.unwrap_or(0.0) as u64;
        self.history.push_back((whole(received), whole(transmitted)));
        match &mut self.paused {
            Some(missed) if self.rates.is_some() => *missed += 1,
            _ => self.rates = Some(rates),
        }
    }

    /// Handles a key.
    pub fn press(&mut self, key: KeyCode) {
        let index_of = |panel| Panel::ALL.iter().position(|other| *other == panel).unwrap_or(0);
        let at = index_of(self.panel);
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
            KeyCode::Char('p' | ' ') => {
                self.paused = if self.paused.is_some() { None } else { Some(0) };
            }
            _ => {}
        }
    }

    /// Draws the screen.
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
        for ((at, table), area) in tables.into_iter().enumerate().zip(self.areas(&rates, body)) {
            let panel = Panel::ALL[at];
            let (from, has_focus) = (self.scrolled[at], panel == self.panel);
            self.scrolled[at] = table.draw(frame, area, from, panel.title(), has_focus);
        }
    }

    /// The areas of the panels: each gets what it needs, as far as there is room, and the focused
    /// one first.
    fn areas(&self, rates: &Rates, body: Rect) -> [Rect; Panel::ALL.len()] {
        let needed =
            [rates.workers.len(), rates.ports.len(), rates.networks.len(), rates.drops.len()];
        // Title, column heads and lower edge.
        let needed =
            needed.map(|rows| u16::try_from(rows.max(1)).unwrap_or(u16::MAX).saturating_add(3));
        let focus = Panel::ALL.iter().position(|panel| *panel == self.panel).unwrap_or(0);
        let mut heights = [0_u16; Panel::ALL.len()];
        let mut left = body.height;
        let least = |needed: u16| needed.min(5);
        let order = [focus].into_iter().chain((0..Panel::ALL.len()).filter(|at| *at != focus));
        for at in order.clone() {
            heights[at] = least(needed[at]).min(left);
            // A frame without rows is useless.
            if heights[at] < 4 {
                heights[at] = 0;
            }
            left -= heights[at];
        }
        for at in order {
            if heights[at] > 0 {
                let more = needed[at].saturating_sub(heights[at]).min(left);
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
        let status = &self.last.status;
        // All values are of one time, which in a pause is not the last.
        let (host, generation, unaccounted) = rates
            .map_or((&status.host, status.generation, status.unaccounted), |rates| {
                (&rates.host, rates.generation, rates.unaccounted)
            });
        first.push(format!("on {}  generation {generation}  ", plain(host)).into());
        first.push(Span::styled(
            format!("unaccounted {unaccounted}  "),
            if unaccounted == 0 { Style::new() } else { alarm() },
        ));
        let dropped = rates.and_then(|rates| rates.dropped);
        first.push(Span::styled(
            format!("dropped {}/s", amount(dropped)),
            if dropped > Some(0.0) { Style::new().fg(Color::Yellow) } else { Style::new() },
        ));
        let (into, out_of) = rates.map_or((Flow::NONE, Flow::NONE), Rates::totals);
        let second = format!("in {}  out {}", flow(into), flow(out_of));
        frame.render_widget(Paragraph::new(vec![Line::from(first), second.into()]), text);
        let shown = self.history.len().saturating_sub(self.paused.unwrap_or(0));
        let shown = || self.history.iter().take(shown);
        let history = [
            (received, " in ", shown().map(|(received, _)| *received).collect::<Vec<_>>()),
            (transmitted, " out ", shown().map(|(_, sent)| *sent).collect()),
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
        let mut spans = Vec::new();
        if self.paused.is_some() {
            let reversed = Style::new().add_modifier(Modifier::REVERSED);
            spans.extend([Span::styled("paused: p goes on", reversed), "  ".into()]);
        }
        if let Some((since, error)) = &self.silent {
            let error = plain(error.lines().next().unwrap_or_default());
            let secs = since.elapsed().as_secs();
            let text = format!("no answer for {secs} s, the rates are the last known: {error}");
            spans.push(Span::styled(text, alarm()));
        }
        if spans.is_empty() {
            let every = humantime::format_duration(self.interval);
            let text = format!("q ends  p pauses  Tab next panel  ↑ ↓ scrolls    every {every}");
            spans.push(text.into());
        }
        let line = Line::from(spans);
        frame.render_widget(Paragraph::new(line), area);
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::sample::tests::sample;
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
        has(&lines, &["generation 3", "unaccounted 0", "dropped 5/s", "on here"]);
        has(&lines, &["in 1.00 k packets/s 800 kbit/s", "out 0 packets/s 0 bit/s"]);
        has(&lines, &["0 on core 1", "█████···············  25 %", "1.00 k", "a/0"]);
        has(&lines, &["│a ", "up", "1.00 k", "800 k", "in blue"]);
        has(&lines, &["│blue", "100", "1.00 k", "1 port, 0 remote VTEPs"]);
        has(&lines, &["runt", "5", "10", "a blue", "runt is explained."]);
        has(&lines, &["long_ago", "0", "7"]);
        assert!(!lines.iter().any(|line| line.contains("never")), "it never happened");
    }

    #[test]
    fn what_does_not_fit_is_counted_and_can_be_scrolled_to() {
        let mut screen = screen();
        let mut many = sample(Instant::now(), 3);
        let one = many.ports.rows[0].clone();
        many.ports.rows = (0..100)
            .map(|n| crate::control::rows::PortRow { name: format!("p{n}"), ..one.clone() })
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
        has(&lines, &["no answer for 0 s", "nobody listens there"]);
        has(&lines, &["runt"]);
        screen.press(KeyCode::Char('p'));
        let lines = drawn(&mut screen, 100, 30);
        has(&lines, &["paused", "no answer for 0 s"]);
        let mut changed = sample(Instant::now(), 9);
        (changed.status.generation, changed.status.unaccounted) = (4, 1);
        screen.take(Ok(changed));
        let lines = drawn(&mut screen, 100, 30);
        has(&lines, &["paused"]);
        has(&lines, &["generation 3", "unaccounted 0"]);
        has(&lines, &["runt", "10"]);
        screen.press(KeyCode::Char('p'));
        screen.take(Ok(sample(Instant::now(), 10)));
        has(&drawn(&mut screen, 100, 30), &["runt", "50"]);
    }
}
