//! Reads the configuration that a command names, and prints its errors.

use std::io::Read as _;
use std::path::Path;

use super::output::note;
use crate::config::{self, Config};
use crate::text::count;

/// The name of the standard input in messages.
const STDIN: &str = "<stdin>";

/// Reads and checks a file; `-` is the standard input. Errors are printed.
pub(super) fn load(file: &Path) -> Option<Config> {
    let is_stdin = file == Path::new("-");
    let loaded = if is_stdin {
        let mut text = String::new();
        if let Err(error) = std::io::stdin().lock().read_to_string(&mut text) {
            note(format_args!("vswitch: error: cannot read the standard input: {error}"));
            return None;
        }
        config::parse(STDIN, &text).map_err(config::LoadError::from)
    } else {
        config::load(file)
    };
    loaded
        .inspect_err(|error| {
            note(error);
            if let config::LoadError::Invalid(errors) = error {
                let file = if is_stdin { STDIN.into() } else { file.to_string_lossy() };
                note(format_args!("\n{file}: {}", count(errors.len(), "error")));
            }
        })
        .ok()
}
