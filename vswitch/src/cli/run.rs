//! `vswitch run`: from a valid configuration to a running switch.

use std::io::IsTerminal;
use std::path::Path;

use tracing_subscriber::EnvFilter;

use super::{Exit, complain, note};
use crate::config;

/// Runs the switch until it is told to stop. Nothing is started if the configuration is wrong.
pub(super) fn run(file: &Path, log: &str) -> Exit {
    let config = match config::load(file) {
        Ok(config) => config,
        Err(error) => {
            note(error);
            return Exit::Usage;
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(log))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    for warning in &config.warnings {
        note(warning);
    }
    match start(config) {
        Ok(()) => Exit::Success,
        Err(error) => complain(format_args!("vswitch: error: {error}")),
    }
}

#[cfg(feature = "dpdk")]
use crate::control::switch::run as start;

#[cfg(not(feature = "dpdk"))]
fn start(_: config::Config) -> Result<(), &'static str> {
    Err("this binary was built without DPDK: rebuild it with the default features")
}
