//! What was measured, for programs and for people.
//!
//! The fields of [`Report`] are the JSON of `vswitch bench --json`: names and meanings stay, new
//! ones may come. `docs/bench.md` describes them.

use std::fmt::Write as _;

use serde::Serialize;

use super::cores;
use super::measure::{Outcome, Sample, StormOutcome, WorkerOutcome};
use super::scenario::{Options, Scenario};
use super::stages::{STAGES, StageClock};
use crate::datapath::vector::BURST;
use crate::ids::NetworkId;
use crate::metrics::counters::Ledger;
use crate::metrics::rate::per_second;

/// The result of a benchmark.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What the frames' way was.
    pub scenario: Scenario,
    /// Where.
    pub cpu: Cpu,
    /// Length of tenants' frames, with FCS.
    pub frame_bytes: usize,
    /// Pairs of stations that talked.
    pub mac_pairs: u32,
    /// Networks.
    pub networks: u16,
    /// Remote VTEPs.
    pub vteps: u32,
    /// The most frames in a burst.
    pub burst: usize,
    /// How long it was measured.
    pub seconds: f64,
    /// Million frames received per second, all workers together.
    pub mpps: Spread,
    /// Million frames sent per second at the median of `mpps`: more than received where they are
    /// flooded.
    pub sent_mpps: f64,
    /// Ticks of a worker per frame received, mean of the workers.
    pub cycles_per_packet: Spread,
    /// The device in memory alone: part of the stages rx and tx, and of `cycles_per_packet`.
    pub device_cycles_per_packet: f64,
    /// By stage, mean of the workers.
    pub stages: Vec<StageCost>,
    /// What each reading of the clock cost, which is taken off the stages.
    pub reading_cycles: f64,
    /// The workers.
    pub workers: Vec<WorkerReport>,
    /// Whether the control thread had to share a core with a worker.
    pub is_core_shared: bool,
    /// Where every frame came from and went, from the first turn to the last.
    pub frames: Frames,
    /// The learning storm, in scenario `learn`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storm: Option<Storm>,
}

/// A processor.
#[derive(Clone, Debug, Serialize)]
pub struct Cpu {
    /// What it calls itself.
    pub model: String,
    /// Cores that this process may run on.
    pub cores: usize,
    /// Ticks per second: what "cycles" are counted in.
    pub tick_hz: u64,
}

/// Over samples.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spread {
    /// Half of the samples are less.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

/// What a stage costs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StageCost {
    /// Its name.
    pub stage: &'static str,
    /// Ticks per frame received.
    pub cycles_per_packet: f64,
}

/// One worker.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct WorkerReport {
    /// Its core.
    pub core: usize,
    /// Million frames received per second.
    pub mpps: Spread,
    /// Ticks per frame received.
    pub cycles_per_packet: Spread,
    /// The longest turn of its loop, in microseconds.
    pub longest_turn_micros: f64,
}

/// The ledgers' sum.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Frames {
    /// Received.
    pub received: u64,
    /// Made by flooding.
    pub replicated: u64,
    /// Sent.
    pub transmitted: u64,
    /// Dropped.
    pub dropped: u64,
    /// Neither of these: 0, or there is a bug.
    pub unaccounted: i64,
}

/// A learning storm.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Storm {
    /// New MACs.
    pub macs: u32,
    /// Those of them that the FDB had room for.
    pub fit: u64,
    /// Those of them that were learned.
    pub learned: u64,
    /// When the last one that fits was learned, in seconds after the first came; `null`: not in
    /// time.
    pub seconds: Option<f64>,
    /// Frames of new MACs.
    pub frames: u64,
    /// Known traffic meanwhile, in million frames per second.
    pub known_mpps: Spread,
    /// The same, as a part of what it was before: medians.
    pub known_ratio: f64,
    /// Known traffic alone after the storm, as a part of what it was before: what is missing to 1
    /// is the price of a table that large, not of learning.
    pub known_after_ratio: f64,
    /// The longest turn of a worker's loop, in microseconds.
    pub longest_turn_micros: f64,
    /// The longest that an empty loop on a worker's core stood still in a second, in microseconds:
    /// a turn can be interrupted for as long.
    pub longest_pause_micros: f64,
    /// Events that found their queue full.
    pub events_lost: u64,
}

impl Report {
    pub(super) fn new(options: &Options, outcome: &Outcome, cores: usize) -> Self {
        let hz = outcome.clock.hz();
        let mpps = |sample: &Sample| mpps(sample, hz);
        let ticks = |sample: &Sample| sample.ticks as f64 / sample.frames as f64;
        let reading_cycles = StageClock::reading_ticks();
        let workers = &outcome.workers;
        let worker = |outcome: &WorkerOutcome| WorkerReport {
            core: outcome.core,
            mpps: spread(outcome.total.iter().map(mpps)),
            cycles_per_packet: spread(outcome.total.iter().map(ticks)),
            longest_turn_micros: outcome.longest_turn as f64 / hz * 1e6,
        };
        let over_workers = |of: &dyn Fn(&Sample) -> f64, divisor: usize| {
            let slots = workers.first().map_or(0, |worker| worker.total.len());
            let of_slot = |slot: usize| workers.iter().map(|w| of(&w.total[slot])).sum::<f64>();
            spread((0..slots).map(|slot| of_slot(slot) / divisor as f64))
        };
        let mean = |of: &dyn Fn(&WorkerOutcome) -> f64| {
            workers.iter().map(of).sum::<f64>() / workers.len() as f64
        };
        let stages = STAGES.map(|(stage, name)| StageCost {
            stage: name,
            cycles_per_packet: mean(&|worker| {
                worker.stages.in_stage(stage, reading_cycles) / worker.observed.frames as f64
            }),
        });
        let total = over_workers(&mpps, 1);
        let frames = Frames::new(outcome.views.iter().map(|view| view.ledger()));
        Self {
            scenario: options.scenario,
            cpu: Cpu {
                model: cores::model(),
                cores,
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "hertz"
                )]
                tick_hz: hz as u64,
            },
            frame_bytes: options.size,
            mac_pairs: options.pairs(),
            networks: options.networks,
            vteps: options.vteps,
            burst: BURST,
            seconds: options.seconds,
            mpps: total,
            sent_mpps: total.median * frames.transmitted as f64 / frames.received as f64,
            cycles_per_packet: over_workers(&ticks, workers.len()),
            device_cycles_per_packet: mean(&|worker| ticks(&worker.device)),
            stages: stages.to_vec(),
            reading_cycles,
            workers: workers.iter().map(worker).collect(),
            is_core_shared: outcome.is_core_shared,
            frames,
            storm: (options.scenario == Scenario::Learn).then(|| storm(options, outcome, &total)),
        }
    }
}

impl Frames {
    fn new(ledgers: impl Iterator<Item = Ledger>) -> Self {
        let nothing =
            Self { received: 0, replicated: 0, transmitted: 0, dropped: 0, unaccounted: 0 };
        ledgers.fold(nothing, |sum, ledger| Self {
            received: sum.received + ledger.received,
            replicated: sum.replicated + ledger.replicated,
            transmitted: sum.transmitted + ledger.transmitted,
            dropped: sum.dropped + ledger.dropped,
            unaccounted: sum.unaccounted + ledger.unaccounted(),
        })
    }
}

/// Million frames per second.
fn mpps(sample: &Sample, hz: f64) -> f64 {
    per_second(sample.frames, sample.ticks as f64 / hz) / 1e6
}

fn storm(options: &Options, outcome: &Outcome, before: &Spread) -> Storm {
    let hz = outcome.clock.hz();
    let storms: Vec<_> = outcome.workers.iter().filter_map(|w| w.storm.as_ref()).collect();
    let slots = storms.iter().map(|storm| storm.known.len()).min().unwrap_or(0);
    let mpps = |sample: &Sample| mpps(sample, hz);
    let known = |slot: usize| storms.iter().map(|storm| mpps(&storm.known[slot])).sum::<f64>();
    let known_mpps = spread((0..slots).map(known));
    let known_before = 2 * u64::from(options.pairs());
    let room = (outcome.learner.capacity() as u64).saturating_sub(known_before);
    let entries = outcome.learner.network(NetworkId(0)).entries;
    let micros = |of: fn(&StormOutcome) -> u64| {
        storms.iter().map(|storm| of(storm)).max().unwrap_or(0) as f64 / hz * 1e6
    };
    Storm {
        macs: options.macs,
        fit: room.min(u64::from(options.macs)),
        learned: entries.saturating_sub(known_before),
        seconds: outcome.learned_after.map(|ticks| ticks as f64 / hz),
        frames: storms.iter().map(|storm| storm.new_frames).sum(),
        known_mpps,
        known_ratio: known_mpps.median / before.median,
        known_after_ratio: storms.iter().map(|storm| mpps(&storm.known_after)).sum::<f64>()
            / before.median,
        longest_turn_micros: micros(|storm| storm.longest_turn),
        longest_pause_micros: micros(|storm| storm.longest_pause),
        events_lost: outcome.views.iter().map(|view| view.turns().learn_events_lost).sum(),
    }
}

fn spread(samples: impl Iterator<Item = f64>) -> Spread {
    let mut samples: Vec<_> = samples.filter(|sample| sample.is_finite()).collect();
    samples.sort_by(f64::total_cmp);
    let (Some(min), Some(max)) = (samples.first(), samples.last()) else {
        return Spread::default();
    };
    Spread { median: samples[samples.len() / 2], min: *min, max: *max }
}

/// A name and numbers in a table.
fn row(text: &mut String, name: &str, values: Spread) {
    let Spread { median, min, max } = values;
    let _ = writeln!(text, "{name:<32}{median:>9.2}{min:>9.2}{max:>9.2}");
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { scenario, cpu, frame_bytes, mac_pairs, networks, vteps, burst, .. } = self;
        let name = scenario.name();
        let mut text = String::new();
        let ghz = cpu.tick_hz as f64 / 1e9;
        let unit = if cfg!(target_arch = "x86_64") { "cycles of the TSC" } else { "nanoseconds" };
        let _ = writeln!(
            text,
            "{name}: frames of {frame_bytes} bytes, MAC pairs {mac_pairs}, networks \
             {networks}, remote VTEPs {vteps}, workers {}, bursts of {burst}",
            self.workers.len(),
        );
        let _ = writeln!(text, "on {}, cycles are {unit} ({ghz:.3} GHz)\n", cpu.model);
        let _ = writeln!(text, "{:<32}{:>9}{:>9}{:>9}", "", "median", "min", "max");
        row(&mut text, "Mpps received", self.mpps);
        row(&mut text, "cycles per packet received", self.cycles_per_packet);
        if self.workers.len() > 1 {
            for worker in &self.workers {
                row(&mut text, &format!("Mpps, core {}", worker.core), worker.mpps);
            }
        }
        if self.frames.replicated != 0 {
            let _ = writeln!(text, "{:<32}{:>9.2}", "Mpps sent", self.sent_mpps);
        }
        let _ = writeln!(text, "\n{:<32}{:>9}", "stage", "cycles per packet");
        for StageCost { stage, cycles_per_packet } in &self.stages {
            let _ = writeln!(text, "{stage:<32}{cycles_per_packet:>9.2}");
        }
        let sum: f64 = self.stages.iter().map(|stage| stage.cycles_per_packet).sum();
        let _ = writeln!(text, "{:<32}{sum:>9.2}", "sum");
        let device = self.device_cycles_per_packet;
        let _ = writeln!(text, "{:<32}{device:>9.2}", "of it the devices in memory");
        let _ = writeln!(
            text,
            "(observed apart from the total; {:.1} cycles for each reading are taken off)",
            self.reading_cycles
        );
        if let Some(storm) = &self.storm {
            describe(&mut text, storm);
        }
        let longest = self.workers.iter().map(|w| w.longest_turn_micros).fold(0.0, f64::max);
        let Frames { received, replicated, transmitted, dropped, unaccounted } = self.frames;
        let _ = writeln!(text, "\nlongest turn {longest:.0} µs");
        let _ = writeln!(
            text,
            "received {received}, replicated {replicated}, transmitted {transmitted}, dropped \
             {dropped}, unaccounted {unaccounted}"
        );
        if self.is_core_shared {
            let _ = writeln!(
                text,
                "note: the control thread shared a core with a worker, as there is no other"
            );
        }
        f.write_str(&text)
    }
}

fn describe(text: &mut String, storm: &Storm) {
    let _ = writeln!(
        text,
        "\nstorm: {} new MACs, {} of them fit, {} learned",
        storm.macs, storm.fit, storm.learned
    );
    match storm.seconds {
        Some(seconds) => {
            let _ = writeln!(text, "{:<32}{seconds:>9.2}", "seconds until all that fit");
        }
        None => {
            let _ = writeln!(text, "not all that fit in time");
        }
    }
    row(text, "Mpps known traffic", storm.known_mpps);
    let _ = writeln!(text, "{:<32}{:>9.2}", "as a part of that before", storm.known_ratio);
    let _ = writeln!(text, "{:<32}{:>9.2}", "the same after the storm", storm.known_after_ratio);
    let _ = writeln!(text, "{:<32}{:>9.0}", "longest turn, µs", storm.longest_turn_micros);
    let pause = storm.longest_pause_micros;
    let _ = writeln!(text, "{:<32}{pause:>9.0}", "longest pause, empty loop, µs");
    let _ = writeln!(text, "{:<32}{:>9}", "events lost", storm.events_lost);
}
