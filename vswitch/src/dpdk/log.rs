//! DPDK's log: each line goes to `tracing` (target `dpdk`), and the last ones are kept, so that an
//! error can quote what DPDK said about it.
//!
//! While the switch asks DPDK for something and gets an answer, all is logged as debug: drivers log
//! errors for what they then do without (`net_tap` logs four at every start), and where the answer
//! is no, the error that the switch makes of it has the lines. At any other time errors are news,
//! and stay errors.
//!
//! DPDK calls `receive` on whichever thread logs. Lines are rare (start-up, failures), so a lock
//! is fine; a worker meets it only when a driver logs from its receive or transmit function.

use std::collections::VecDeque;
use std::ffi::c_char;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many lines are kept.
const KEPT: usize = 50;

// Levels of DPDK's log (rte_log.h): the smaller, the worse.
const CRITICAL: u32 = 3;
const ERROR: u32 = 4;
const WARNING: u32 = 5;
const NOTICE: u32 = 6;

struct Line {
    level: u32,
    text: String,
}

struct Log {
    /// The start of a line whose end has not come yet.
    partial: Vec<u8>,
    kept: VecDeque<Line>,
    /// How many lines there ever were; the last of `kept` has this number.
    count: u64,
    /// Lines wait for [`Held::drop`] instead of going to `tracing`.
    held: Option<Vec<Line>>,
    /// An answer will come, so lines go to `tracing` as debug.
    asking: bool,
}

static LOG: Mutex<Log> = Mutex::new(Log {
    partial: Vec::new(),
    kept: VecDeque::new(),
    count: 0,
    held: None,
    asking: false,
});

fn log() -> MutexGuard<'static, Log> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes DPDK's log over, for the rest of the process. Before `rte_eal_init`.
pub(super) fn take_over() -> std::io::Result<()> {
    // SAFETY: `receive` lives as long as the process, and may be called from any thread.
    let errno = unsafe { dpdk_sys::vsw_log_to(Some(receive)) };
    if errno == 0 { Ok(()) } else { Err(std::io::Error::from_raw_os_error(errno)) }
}

/// A place in the log.
#[derive(Clone, Copy)]
pub(super) struct Mark(u64);

impl Mark {
    pub(super) fn now() -> Self {
        Self(log().count)
    }

    /// The warnings and errors since the mark; where there are none, the notices.
    pub(super) fn lines(self) -> Vec<String> {
        let log = log();
        let new = usize::try_from(log.count - self.0).unwrap_or(KEPT).min(log.kept.len());
        let new = || log.kept.iter().skip(log.kept.len() - new);
        let limit = if new().any(|line| line.level <= WARNING) { WARNING } else { NOTICE };
        let mut lines: Vec<String> = Vec::new();
        for line in new().filter(|line| line.level <= limit) {
            if !lines.contains(&line.text) {
                lines.push(line.text.clone());
            }
        }
        lines
    }
}

/// Holds lines back from `tracing` while it lives, because standard output is elsewhere.
pub(super) struct Held(());

impl Held {
    pub(super) fn new() -> Self {
        log().held.get_or_insert_default();
        Self(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let lines = log().held.take().unwrap_or_default();
        lines.iter().for_each(|line| emit(line, true));
    }
}

/// Calls `ask`, whose result tells whether errors meanwhile matter.
pub(super) fn asking<T>(ask: impl FnOnce() -> T) -> T {
    let before = std::mem::replace(&mut log().asking, true);
    let answer = ask();
    log().asking = before;
    answer
}

/// DPDK's log stream writes here: a piece of text, usually one whole line.
unsafe extern "C" fn receive(level: u32, text: *const c_char, len: usize) {
    // SAFETY: the shim passes the buffer of the stream and its length.
    let text = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) };
    let mut lines = Vec::new();
    let mut log = log();
    log.partial.extend_from_slice(text);
    while let Some(end) = log.partial.iter().position(|&byte| byte == b'\n') {
        let line: Vec<u8> = log.partial.drain(..=end).collect();
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if text.is_empty() {
            continue;
        }
        if log.kept.len() == KEPT {
            log.kept.pop_front();
        }
        log.kept.push_back(Line { level, text: text.clone() });
        log.count += 1;
        lines.push(Line { level, text });
    }
    let asking = log.asking;
    if let Some(held) = &mut log.held {
        // DPDK is about to abort, and nobody will release what is held.
        for line in lines.iter().filter(|line| line.level <= CRITICAL) {
            let _ = writeln!(std::io::stderr(), "{}", line.text);
        }
        held.append(&mut lines);
    }
    drop(log);
    lines.iter().for_each(|line| emit(line, asking));
}

fn emit(line: &Line, asking: bool) {
    let text = line.text.as_str();
    match line.level {
        _ if asking => tracing::debug!(target: "dpdk", "{text}"),
        0..=ERROR => tracing::error!(target: "dpdk", "{text}"),
        WARNING | NOTICE => tracing::info!(target: "dpdk", "{text}"),
        _ => tracing::debug!(target: "dpdk", "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_and_the_worst_are_quoted() {
        let say = |level, text: &str| {
            // SAFETY: a valid buffer and its length.
            unsafe { receive(level, text.as_ptr().cast(), text.len()) }
        };
        let mark = Mark::now();
        say(NOTICE, "a notice\n");
        assert_eq!(mark.lines(), ["a notice"]);
        say(ERROR, "an ");
        say(ERROR, "error\nanother\n");
        say(ERROR, "another\n");
        assert_eq!(mark.lines(), ["an error", "another"]);
        let mark = Mark::now();
        for n in 0..200 {
            say(ERROR, &format!("line {n}\n"));
        }
        assert_eq!(mark.lines().len(), KEPT);
        assert_eq!(Mark::now().lines().len(), 0);
    }
}
