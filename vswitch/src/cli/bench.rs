//! `vswitch bench`: the speed of the data path on this machine.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::output::{Exit, complain, note, print};
use crate::bench::{self, BenchError, Options, Scenario};

/// Options of `vswitch bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// What to measure.
    #[arg(long, value_enum)]
    pub scenario: Scenario,
    /// Pairs of MAC addresses that exchange frames [default: 1000]; learn: new MAC addresses
    /// [default: 1000000].
    #[arg(long, value_name = "N")]
    pub macs: Option<u32>,
    /// Networks, each with one port (l2: two ports).
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub networks: u16,
    /// Remote VTEPs; flood: copies that leave [default: 1; flood: 8].
    #[arg(long, value_name = "N")]
    pub vteps: Option<u32>,
    /// Length of a tenant's frame, FCS included.
    #[arg(long, value_name = "BYTES", default_value_t = bench::scenario::MIN_SIZE)]
    pub size: usize,
    /// Workers, each on its own core.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub workers: usize,
    /// How long to measure.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pub seconds: f64,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub json: bool,
}

impl Bench {
    fn options(&self) -> Options {
        let usual = Options::new(self.scenario);
        Options {
            macs: self.macs.unwrap_or(usual.macs),
            networks: self.networks,
            vteps: self.vteps.unwrap_or(usual.vteps),
            size: self.size,
            workers: self.workers,
            seconds: self.seconds,
            ..usual
        }
    }
}

/// Measures and reports.
pub(super) fn bench(options: &Bench) -> Exit {
    let bar = progress_bar();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of 1000")]
    let result = bench::run(&options.options(), &|part| bar.set_position((part * 1000.0) as u64));
    bar.finish_and_clear();
    match result {
        Ok(report) if options.json => match serde_json::to_string_pretty(&report) {
            Ok(json) => print(&(json + "\n")),
            Err(error) => complain(format_args!("vswitch: error: {error}")),
        },
        Ok(report) => print(&report.to_string()),
        Err(error @ BenchError::Usage(_)) => {
            note(format_args!("vswitch: error: {error}"));
            Exit::Usage
        }
        Err(error) => complain(format_args!("vswitch: error: {error}")),
    }
}

/// Shown only on a terminal, on the standard error.
fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(1000);
    if let Ok(style) = ProgressStyle::with_template("measuring {wide_bar} {percent:>3} % {eta:>4}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
