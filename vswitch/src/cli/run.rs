//! `vswitch run`: from a valid configuration to a running switch.

use std::io::IsTerminal;
use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use super::{Exit, Run, complain, note};
use crate::config;
use crate::control::state::{self, StateStore};

/// Runs the switch until it is told to stop. Nothing is started if the configuration is wrong, even if the state would be
/// used in its place: who edits a file wants to know.
pub(super) fn run(options: &Run, log: &str) -> Exit {
    let file = &options.config;
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
    let directory = options.state.clone().unwrap_or_else(|| {
        // It was read a moment ago. Without a path there is still a name.
        state::default_directory(&file.canonicalize().unwrap_or_else(|_| PathBuf::from(file)))
    });
    let (store, loaded) = match StateStore::open(&directory) {
        Ok(opened) => opened,
        Err(error) => return complain(format_args!("vswitch: error: {error}")),
    };
    for report in &loaded.reports {
        note(format_args!("vswitch: warning: {report}"));
    }
    let start = state::choose(loaded, config, options.fresh);
    note(format_args!("vswitch: {}", start.line(&directory, file)));
    match run_switch(start, store, file) {
        Ok(()) => Exit::Success,
        Err(error) => complain(format_args!("vswitch: error: {error}")),
    }
}

#[cfg(feature = "dpdk")]
use crate::control::switch::run as run_switch;

#[cfg(not(feature = "dpdk"))]
fn run_switch(_: state::Start, _: StateStore, _: &std::path::Path) -> Result<(), &'static str> {
    Err("this binary was built without DPDK: rebuild it with the default features")
}
