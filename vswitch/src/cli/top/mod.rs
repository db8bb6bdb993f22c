//! `vswitch top`: the rates of workers, ports, networks and drops, live.
//!
//! A thread asks the switch once in each interval; the calling thread draws, and reads the
//! keyboard. With `--json` there is no screen, but one line of rates for each interval.
//!
//! | file | what it owns |
//! |---|---|
//! | `sample` | the counters of the switch at one time |
//! | `rates` | rates per second, from two samples |
//! | `view` | the screen with its head, panels and foot, and the keys |
//! | `panels` | the contents of the panels |
//! | `listing` | a table in a frame |
//! | `amount` | numbers with three digits and a unit |

mod amount;
mod listing;
mod panels;
mod rates;
mod sample;
mod view;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use self::rates::Rates;
use self::sample::Sample;
use self::view::Screen;
use super::client::{Client, ClientError};
use super::options::Target;
use super::output::{Exit, emit, note};

/// The longest time between a key and its effect.
const KEYS_EVERY: Duration = Duration::from_millis(50);

/// Options of `vswitch top`.
#[derive(Debug, Args)]
pub struct Top {
    /// How often to ask the switch.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// The switch. With --json: no screen, but the rates of each interval as a line of JSON.
    #[command(flatten)]
    pub target: Target,
}

fn interval(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let allowed = Duration::from_millis(100)..=Duration::from_secs(60);
    let outside = || "an interval is from 100ms to 60s".to_owned();
    allowed.contains(&time).then_some(time).ok_or_else(outside)
}

/// Shows the rates until the user ends it, or the output is closed.
pub(super) fn top(options: &Top, client: &Client) -> Result<Exit, ClientError> {
    if options.target.json {
        return lines(options.interval, client);
    }
    if !(io::stdout().is_terminal() && io::stdin().is_terminal()) {
        note(
            "vswitch: error: `vswitch top` needs a terminal\nhelp: `vswitch top --json` prints lines, and \
             `vswitch show` what there is now",
        );
        return Ok(Exit::Usage);
    }
    // Errors of the socket are printed before the screen is taken.
    let first = Sample::take(client)?;
    let (socket, interval) = (options.target.socket.clone(), options.interval);
    let (sender, answers) = mpsc::channel();
    // Not joined, because it may wait for a switch that does not answer. It ends when the receiver
    // is gone.
    thread::spawn(move || keep_asking(socket, interval, &sender));
    let mut terminal = match ratatui::try_init() {
        Ok(terminal) => terminal,
        Err(error) => {
            note(format_args!("vswitch: error: cannot take the terminal: {error}"));
            return Ok(Exit::Failure);
        }
    };
    let ended = watch(&mut terminal, Screen::new(first, interval), &answers);
    ratatui::restore();
    Ok(match ended {
        Ok(()) => Exit::Success,
        Err(error) => {
            note(format_args!("vswitch: error: the terminal: {error}"));
            Exit::Failure
        }
    })
}

fn lines(interval: Duration, client: &Client) -> Result<Exit, ClientError> {
    let mut before = Sample::take(client)?;
    loop {
        thread::sleep(interval);
        let sample = Sample::take(client)?;
        let rates = Rates::between(&before, &sample);
        let line =
            serde_json::to_string(&rates).map_err(|e| ClientError::NotUnderstood(e.to_string()))?;
        if let Some(end) = emit(&format!("{line}\n")) {
            return Ok(end);
        }
        before = sample;
    }
}

/// A sample, or why the switch did not answer.
type Answer = Result<Sample, String>;

/// Sends a sample in each interval until nobody receives them.
fn keep_asking(socket: PathBuf, interval: Duration, answers: &Sender<Answer>) {
    let client = match Client::new(&socket) {
        Ok(client) => client,
        Err(error) => {
            let _ = answers.send(Err(error.to_string()));
            return;
        }
    };
    let mut next = Instant::now() + interval;
    loop {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        next = Instant::now() + interval;
        let answer = Sample::take(&client).map_err(|error| error.to_string());
        if answers.send(answer).is_err() {
            return;
        }
    }
}

fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    mut screen: Screen,
    answers: &Receiver<Answer>,
) -> io::Result<()> {
    loop {
        terminal.draw(|frame| screen.draw(frame))?;
        loop {
            match answers.recv_timeout(Duration::ZERO) {
                Ok(answer) => {
                    screen.take(answer);
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(KEYS_EVERY),
            }
            if event::poll(KEYS_EVERY)? {
                match event::read()? {
                    Event::Key(key) if key.kind == KeyEventKind::Press => {
                        if is_end(key) {
                            return Ok(());
                        }
                        screen.press(key.code);
                        break;
                    }
                    Event::Resize(..) => break,
                    _ => {}
                }
            }
        }
    }
}

fn is_end(key: KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_bounds() {
        assert_eq!(interval("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(interval("100ms"), Ok(Duration::from_millis(100)));
        for wrong in ["99ms", "61s", "0s", "soon", "-1s"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn q_escape_and_control_c_end_it() {
        let key = |code, modifiers| is_end(KeyEvent::new(code, modifiers));
        assert!(key(KeyCode::Char('q'), KeyModifiers::NONE));
        assert!(key(KeyCode::Esc, KeyModifiers::NONE));
        assert!(key(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!key(KeyCode::Char('c'), KeyModifiers::NONE));
    }
}
