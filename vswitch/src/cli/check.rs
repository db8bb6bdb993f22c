//! `vswitch check`: what is wrong with a configuration, or what it would start.

use std::fmt::Write as _;
use std::path::Path;

use super::config_file::load;
use super::output::{Exit, print};
use crate::config::Config;
use crate::text::count;

/// Checks a file. Warnings belong to the result, so they go to the standard output.
pub(super) fn check(file: &Path) -> Exit {
    match load(file) {
        Some(config) => print(&report(file, &config)),
        None => Exit::Usage,
    }
}

/// The warnings, then a line such as `vswitch.toml: ok: 1 worker, 2 ports, 1 VTEP, 1 network`.
fn report(file: &Path, config: &Config) -> String {
    let mut text = String::new();
    for warning in &config.warnings {
        let _ = writeln!(text, "{warning}\n");
    }
    let counts = [
        count(config.dpdk.worker_cores.len(), "worker"),
        count(config.ports.len(), "port"),
        count(config.vteps.len(), "VTEP"),
        count(config.networks.len(), "network"),
    ];
    let _ = write!(text, "{}: ok: {}", file.display(), counts.join(", "));
    if !config.warnings.is_empty() {
        let _ = write!(text, "; {}", count(config.warnings.len(), "warning"));
    }
    text.push('\n');
    text
}
