//! Output that only a terminal gets: colour, its own width, questions, progress.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A request that takes less time shows no progress.
const DELAY: Duration = Duration::from_millis(400);
/// The time between two changes of the progress line.
const TICK: Duration = Duration::from_millis(200);

/// The layout of text output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The columns of the terminal. `None`: the output is no terminal, and nothing is fitted.
    pub width: Option<u16>,
    /// Use colours.
    pub colour: bool,
}

impl Look {
    /// The layout for the standard output.
    #[must_use]
    pub fn of_output() -> Self {
        let out = io::stdout();
        if !out.is_terminal() {
            return Self::default();
        }
        let width = terminal_size::terminal_size_of(&out).map(|(width, _)| width.0);
        Self { width: width.filter(|&width| width > 0), colour: wants_colour() }
    }

    /// A text in a style, if colours are used.
    #[must_use]
    pub fn paint(self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// A plan with each step in the colour of its action.
    #[must_use]
    pub fn paint_plan(self, plan: &str) -> String {
        let line = |line: &str| {
            let colour = match line.get(..2) {
                Some("+ ") => AnsiColor::Green,
                Some("~ ") => AnsiColor::Yellow,
                Some("- ") => AnsiColor::Red,
                _ if line.starts_with("    interrupts ") => AnsiColor::Yellow,
                _ if line.starts_with("    needs a restart") => AnsiColor::Red,
                _ => return line.to_owned(),
            };
            self.paint(colour.on_default(), line)
        };
        plan.split('\n').map(line).collect::<Vec<_>>().join("\n")
    }
}

/// <https://no-color.org>
fn wants_colour() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_none() && set("TERM").is_some_and(|term| term != "dumb")
}

/// Whether a user can be asked.
#[must_use]
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on the standard error. Only `y` and `yes` agree.
pub fn agrees(question: &str) -> bool {
    let mut err = io::stderr().lock();
    let asked = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
    let mut line = String::new();
    asked.and_then(|()| io::stdin().lock().read_line(&mut line)).is_ok() && is_yes(&line)
}

fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Shows on the standard error that a request takes long, if that is a terminal. Ends when dropped.
pub struct Progress {
    bar: ProgressBar,
    /// Ends the wait for the time to show the line.
    waiting: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Begins.
    #[must_use]
    pub fn begin(what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if !io::stderr().is_terminal() {
            return Self { bar, waiting: None };
        }
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        let (end, ends) = mpsc::channel();
        let shown = bar.clone();
        let waiting = std::thread::spawn(move || {
            if ends.recv_timeout(DELAY) == Err(RecvTimeoutError::Timeout) {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(TICK);
            }
        });
        Self { bar, waiting: Some((end, waiting)) }
    }

    /// Changes the message.
    pub fn say(&self, what: String) {
        self.bar.set_message(what);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((end, waiting)) = self.waiting.take() {
            drop(end);
            // The thread does not panic.
            let _ = waiting.join();
        }
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        assert!(["y\n", "Y", " yes \n", "YES"].into_iter().all(is_yes));
        assert!(!["", "\n", "n", "ye", "no yes"].into_iter().any(is_yes));
    }

    #[test]
    fn without_colours_a_plan_stays_as_it_is() {
        let plan = "+ port a\n    loss-free\n- port b\n\n2 steps: x";
        assert_eq!(Look::default().paint_plan(plan), plan);
        let coloured = Look { width: None, colour: true }.paint_plan(plan);
        assert_eq!(coloured.matches("\u{1b}[0m").count(), 2, "{coloured:?}");
        assert!(coloured.starts_with("\u{1b}[32m+ port a\u{1b}[0m\n    loss-free"), "{coloured:?}");
    }
}
