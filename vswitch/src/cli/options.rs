//! Options that several commands share.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::config;
use crate::text::shell_quoted;

/// Names the socket where `--socket` does not.
pub(super) const SOCKET_VARIABLE: &str = "VSWITCH_SOCKET";

/// The longest time that an option takes.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Which running switch to ask, and in which form to print its answer.
#[derive(Clone, Debug, Args)]
pub struct Target {
    /// The socket of the switch, `socket` in its configuration.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = SOCKET_VARIABLE,
        default_value = config::SOCKET
    )]
    pub socket: PathBuf,
    /// Print the API's JSON as it is, instead of text.
    #[arg(long, global = true)]
    pub json: bool,
}

impl Target {
    /// The option that names the same switch in another command; empty if it needs none.
    pub(super) fn option(&self) -> String {
        if self.socket == default_socket() {
            String::new()
        } else {
            format!(" --socket {}", shell_quoted(self.socket.to_string_lossy()))
        }
    }
}

/// The socket without `--socket`.
pub(super) fn default_socket() -> PathBuf {
    std::env::var_os(SOCKET_VARIABLE).map_or_else(|| config::SOCKET.into(), PathBuf::from)
}

/// A time of whole seconds, up to a day.
pub(super) fn whole_seconds(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text)
        .map_err(|_| "write a number with its unit, such as 60s, 5m or 1h".to_owned())?;
    if time < Duration::from_secs(1) || time > A_DAY || time.subsec_nanos() != 0 {
        return Err("whole seconds are needed, from 1s to 24h".to_owned());
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_socket_is_not_named_again() {
        // Nothing sets the variable for the unit tests.
        let target = |path: &str| Target { socket: path.into(), json: false };
        assert_eq!(target(config::SOCKET).option(), "");
        assert_eq!(target("/tmp/s").option(), " --socket /tmp/s");
    }

    #[test]
    fn a_time_is_whole_seconds_up_to_a_day() {
        for (text, secs) in [("60s", 60), ("5m", 300), ("1h 30m", 5400), ("24h", 86400)] {
            assert_eq!(whole_seconds(text), Ok(Duration::from_secs(secs)), "{text}");
        }
        for (text, words) in [
            ("60", "such as 60s"),
            ("soon", "such as 60s"),
            ("0s", "1s to 24h"),
            ("25h", "1s to 24h"),
            ("1500ms", "whole seconds"),
        ] {
            let error = whole_seconds(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
