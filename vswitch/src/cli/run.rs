//! `vswitch run`: from a configuration file to a running switch.
//!
//! In this order: `run` reads the configuration; `start` opens the state, chooses between the
//! state and the file, and checks the host; `run_switch` binds the API's sockets, and runs the
//! control loop with the API beside it.

use std::error::Error;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use tracing::warn;
use tracing_subscriber::EnvFilter;

use super::output::{Exit, complain, note};
#[cfg(feature = "dpdk")]
use crate::api::{
    connections::Limits,
    server::{self, Listeners},
};
use crate::config::{self, Config};
#[cfg(feature = "dpdk")]
use crate::control::event_loop::{self, StopSignals};
use crate::control::state::{self, StateStore};
use crate::doctor;
#[cfg(feature = "dpdk")]
use crate::doctor::dpdk_errors::explain;
use crate::doctor::finding::{Findings, Severity};
use crate::doctor::host::Host;
use crate::doctor::view::{Purpose, StateSeen, View};

/// Options of `vswitch run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Where the state is kept; default: a directory below /var/lib/vswitch, named after FILE.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Start with FILE, whatever the state says. The state is kept aside.
    #[arg(long)]
    pub fresh: bool,
}

const WITHOUT_DPDK: &str =
    "this binary was built without DPDK: rebuild it with the default features";

/// Runs the switch until it is told to stop. A wrong configuration starts nothing, even where the
/// state would be used in its place: the user who edits the file wants to know.
pub(super) fn run(options: &Run, log: &str) -> Exit {
    let config = match config::load(&options.config) {
        Ok(config) => config,
        Err(error) => {
            note(error);
            return Exit::Usage;
        }
    };
    if cfg!(not(feature = "dpdk")) {
        return complain(format_args!("vswitch: error: {WITHOUT_DPDK}"));
    }
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(log))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    config.warnings.iter().for_each(note);
    match start(options, config) {
        Ok(()) => Exit::Success,
        Err(error) => complain(format_args!("vswitch: error: {error}")),
    }
}

/// Opens the state, chooses what to start with, checks the host, and runs the switch.
fn start(options: &Run, config: Config) -> Result<(), Box<dyn Error>> {
    let file = &options.config;
    let directory = state_directory(options.state.as_deref(), file);
    let (store, loaded) = match StateStore::open(&directory) {
        Ok(opened) => opened,
        Err(error) => {
            // Another switch may be running, or this is one problem of several. The checks tell.
            let message = error.to_string();
            check_host(&config, &StateSeen::unusable(directory, error))?;
            return Err(message.into());
        }
    };
    for report in &loaded.reports {
        note(format_args!("vswitch: warning: {report}"));
    }
    let start = state::choose(loaded, config, options.fresh);
    note(format_args!("vswitch: {}", start.line(&directory, file)));
    let seen = StateSeen::of_start(directory, &start, file);
    check_host(&start.config, &seen)?;
    run_switch(start, store)
}

/// The directory of `--state`, or that of the configuration file.
pub(super) fn state_directory(options: Option<&Path>, file: &Path) -> PathBuf {
    // The file was read a moment ago, so this only fails if it was removed since.
    let usual = || state::default_directory(&file.canonicalize().unwrap_or_else(|_| file.into()));
    options.map_or_else(usual, Path::to_owned)
}

/// Checks the host before anything is started. Warnings are logged even if the start fails: they
/// may name the cause (no IOMMU, so no vfio-pci).
fn check_host(config: &Config, state: &StateSeen) -> Result<(), Findings> {
    let host = Host::here(&config.api.socket);
    let (config, state) = (Some(config), Some(state));
    let report = doctor::examine(&View { host: &host, config, state, purpose: Purpose::Start });
    for finding in report.findings.iter().filter(|f| f.severity == Severity::Warning) {
        let (check, cause, help) = (finding.check.name(), &finding.cause, &finding.advice);
        match finding.mend.join("; ") {
            mend if mend.is_empty() => warn!(check, %cause, %help, "{}", finding.found),
            mend => warn!(check, %cause, %mend, "{}", finding.found),
        }
    }
    report.startable()
}

/// Binds the API's sockets, and runs the control loop. The API serves once that has started.
#[cfg(feature = "dpdk")]
fn run_switch(start: state::Start, store: StateStore) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(server::BLOCKING_THREADS)
        .build()
        .map_err(|error| format!("cannot start the control thread's runtime: {error}"))?;
    let config = start.config.clone();
    runtime.block_on(async {
        // First, so that a signal during the start is not lost, and nothing is left behind.
        let signals = StopSignals::catch()?;
        let (listeners, _socket) = Listeners::bind(&config.api).await?;
        let serve = |requests| server::serve(listeners, requests, Limits::default());
        let ended = event_loop::run(start, store, explain, signals, serve).await;
        ended.map_err(|error| explain(&error, &config).into())
    })
}

#[cfg(not(feature = "dpdk"))]
fn run_switch(_: state::Start, _: StateStore) -> Result<(), Box<dyn Error>> {
    Err(WITHOUT_DPDK.into())
}
