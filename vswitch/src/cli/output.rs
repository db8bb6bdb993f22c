//! How a command ends, and how it prints: results to the standard output, everything else to the
//! standard error.

use std::io::{self, Write as _};
use std::process::ExitCode;

/// How a command ended: the exit status of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Success,
    /// 1: the switch cannot be started or reached, or it refuses.
    Failure,
    /// 2: the configuration or the command line is wrong; nothing was started or changed.
    Usage,
    /// 3: `plan` found a difference.
    Difference,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::Failure => Self::from(1),
            Exit::Usage => Self::from(2),
            Exit::Difference => Self::from(3),
        }
    }
}

/// Prints a result. A closed pipe (`| head`) counts as success: the reader has seen enough.
pub(super) fn print(text: &str) -> Exit {
    emit(text).unwrap_or(Exit::Success)
}

/// Prints JSON, with a newline at its end.
pub(super) fn print_json(json: &str) -> Exit {
    let end = if json.ends_with('\n') { "" } else { "\n" };
    print(&format!("{json}{end}"))
}

/// Prints a part of a result. `Some`: no more can be printed.
pub(super) fn emit(text: &str) -> Option<Exit> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => None,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Some(Exit::Success),
        Err(error) => {
            Some(complain(format_args!("vswitch: cannot write to the standard output: {error}")))
        }
    }
}

/// Prints to the standard error why a command failed.
pub(super) fn complain(text: impl std::fmt::Display) -> Exit {
    note(text);
    Exit::Failure
}

/// Prints to the standard error. Nobody can be told if even that is closed.
pub(super) fn note(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A text from the switch without control characters, which a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}
