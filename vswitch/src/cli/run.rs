//! `vswitch run`: from a valid configuration to a running switch.

#[cfg(feature = "dpdk")]
use std::error::Error;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use tracing::warn;
use tracing_subscriber::EnvFilter;

use super::{Exit, Run, complain, note};
#[cfg(feature = "dpdk")]
use crate::api::{
    connections::Limits,
    server::{self, Listeners},
};
use crate::config::{self, Config};
use crate::control::state::{self, StateStore};
#[cfg(feature = "dpdk")]
use crate::control::switch::{self, StopSignals};
#[cfg(feature = "dpdk")]
use crate::doctor::dpdk_errors::explain;
use crate::doctor::edit::File;
use crate::doctor::files::Kept;
use crate::doctor::host::Host;
use crate::doctor::{self, Findings, Purpose, Severity, View};

/// Before anything is looked at or made: what is found of the host would be in vain.
const WITHOUT_DPDK: &str =
    "this binary was built without DPDK: rebuild it with the default features";

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
    if cfg!(not(feature = "dpdk")) {
        return complain(format_args!("vswitch: error: {WITHOUT_DPDK}"));
    }
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(log))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    for warning in &config.warnings {
        note(warning);
    }
    let directory = state_directory(options.state.as_deref(), file);
    let (store, loaded) = match StateStore::open(&directory) {
        Ok(opened) => opened,
        Err(error) => {
            // One problem of several, perhaps, or because another switch is running: the checks tell.
            let said = error.to_string();
            let kept = Kept { directory, start: Err(error), reports: Vec::new() };
            return match check_host(&config, File::read(file).as_ref(), &kept) {
                Ok(()) => complain(format_args!("vswitch: error: {said}")),
                Err(findings) => complain(format_args!("vswitch: error: {findings}")),
            };
        }
    };
    for report in &loaded.reports {
        note(format_args!("vswitch: warning: {report}"));
    }
    let start = state::choose(loaded, config, options.fresh);
    let line = start.line(&directory, file);
    note(format_args!("vswitch: {line}"));
    let editable = File::of_start(&start, file, &directory);
    let kept = Kept { directory, start: Ok(line), reports: Vec::new() };
    if let Err(findings) = check_host(&start.config, editable.as_ref(), &kept) {
        return complain(format_args!("vswitch: error: {findings}"));
    }
    match run_switch(start, store) {
        Ok(()) => Exit::Success,
        Err(error) => complain(format_args!("vswitch: error: {error}")),
    }
}

/// The directory of `--state`, or that of the configuration file.
pub(super) fn state_directory(typed: Option<&Path>, file: &Path) -> PathBuf {
    // The file was read a moment ago. Without a path there is still a name.
    let usual = || state::default_directory(&file.canonicalize().unwrap_or_else(|_| file.into()));
    typed.map_or_else(usual, Path::to_owned)
}

/// Looks at everything before anything is started. What does not keep the switch from starting is logged, beside what
/// does as well: it may be the cause (no IOMMU, so no vfio-pci).
fn check_host(config: &Config, file: Option<&File>, state: &Kept) -> Result<(), Findings> {
    let host = Host::here(&config.api.socket);
    let (config, state) = (Some(config), Some(state));
    let report =
        doctor::examine(&View { host: &host, config, file, state, purpose: Purpose::Start });
    for finding in report.findings.iter().filter(|f| f.severity == Severity::Warning) {
        let (check, cause, help) = (finding.check.name(), &finding.cause, &finding.advice);
        match finding.mend.join("; ") {
            mend if mend.is_empty() => warn!(check, %cause, %help, "{}", finding.found),
            mend => warn!(check, %cause, %mend, "{}", finding.found),
        }
    }
    report.startable()
}

/// Puts together what runs: the sockets, the control loop and, when that has started, the API.
#[cfg(feature = "dpdk")]
fn run_switch(start: state::Start, store: StateStore) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(server::BLOCKING_THREADS)
        .build()
        .map_err(|error| format!("cannot start the control thread's runtime: {error}"))?;
    let config = start.config.clone();
    runtime.block_on(async {
        // First of all, so that a signal during the start is not lost and nothing is left behind.
        let signals = StopSignals::catch()?;
        let (listeners, _socket) = Listeners::bind(&config.api).await?;
        let serve = |requests| server::serve(listeners, requests, Limits::default());
        let ended = switch::run(start, store, explain, signals, serve).await;
        ended.map_err(|error| explain(&error, &config).into())
    })
}

#[cfg(not(feature = "dpdk"))]
fn run_switch(_: state::Start, _: StateStore) -> Result<(), &'static str> {
    Err(WITHOUT_DPDK)
}
