//! A benchmark of the data path: the very stages and the very loop of a worker, on devices in
//! memory. No NIC, no DPDK, no root, no hugepages.
//!
//! | file | what it is |
//! |---|---|
//! | [`scenario`] | what can be measured, and its dimensions |
//! | [`traffic`] | who talks to whom: the frames, in their order |
//! | [`world`] | configuration, generation, and an FDB that knows the stations |
//! | [`arena`] | packet buffers laid out like DPDK's |
//! | [`device`] | queues that never run dry and are never full |
//! | [`clock`], [`cores`], [`stages`] | time, cores, and time by stage |
//! | [`measure`] | workers, control thread, samples |
//! | [`report`] | the result, for programs and for people |
//! | [`instructions`] | turns to be counted by valgrind: `benches/instructions.rs` |
//!
//! Called by `vswitch bench`. What it leaves out is what a driver and a NIC cost: for that there is
//! `benches/side-by-side`.

pub mod arena;
pub mod clock;
pub mod cores;
pub mod device;
pub mod instructions;
pub mod measure;
pub mod report;
pub mod scenario;
pub mod stages;
pub mod traffic;
pub mod world;

#[cfg(test)]
mod tests;

pub use report::Report;
pub use scenario::{Options, Scenario};
pub use world::World;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The command line asks for what does not exist.
    #[error("{0}")]
    Usage(String),
    /// See [`world::WorldError`].
    #[error("the benchmark's own configuration is wrong: {0}")]
    World(#[from] world::WorldError),
    /// A system call failed.
    #[error("cannot put a thread on its core: {0}")]
    Cores(#[from] nix::errno::Errno),
    /// Frames went elsewhere than the scenario says. The figures would be about something else.
    #[error("{0}\n  this is a bug in the switch or in the benchmark: please report it")]
    Wrong(String),
}

/// Measures. `progress` is told from time to time which part of the time is over.
///
/// # Errors
/// See [`BenchError`].
pub fn run(options: &Options, progress: &dyn Fn(f64)) -> Result<Report, BenchError> {
    options.check().map_err(BenchError::Usage)?;
    let cores = cores::allowed()?;
    if options.workers > cores.len() {
        return Err(BenchError::Usage(format!(
            "--workers {}: each needs a core of its own, and this process may run on {} (see \
             `nproc` and `taskset -p $$`)",
            options.workers,
            match cores.len() {
                1 => "one".to_owned(),
                count => count.to_string(),
            }
        )));
    }
    let world = World::new(options)?;
    let outcome = measure::measure(options, world, &cores, progress)?;
    let report = Report::new(options, &outcome, cores.len());
    verify(options, &report)?;
    Ok(report)
}

/// Whether frames went where the scenario says.
fn verify(options: &Options, report: &Report) -> Result<(), BenchError> {
    let report::Frames { received, replicated, transmitted, dropped, unaccounted } = report.frames;
    let copies = match options.scenario {
        Scenario::Flood => received * u64::from(options.vteps - 1),
        _ => 0,
    };
    let (sent, lost) = match options.scenario {
        Scenario::UnknownVni => (0, received),
        _ => (received + copies, 0),
    };
    if unaccounted != 0 {
        return Err(BenchError::Wrong(format!("unaccounted for: {unaccounted} frames")));
    }
    if received == 0 || (replicated, transmitted, dropped) != (copies, sent, lost) {
        return Err(BenchError::Wrong(format!(
            "of {received} frames {transmitted} were sent, {dropped} dropped, and {replicated} copies \
             made; it should have been {sent}, {lost} and {copies}"
        )));
    }
    if let Some(storm) = &report.storm
        && storm.seconds.is_none()
    {
        return Err(BenchError::Wrong(format!(
            "{} of {} new MACs that fit were learned in time",
            storm.learned, storm.fit
        )));
    }
    Ok(())
}
