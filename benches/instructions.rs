//! The regression gate: instructions per packet of the pipeline in memory, scenario by scenario,
//! against committed figures. It needs no quiet machine: the figures are the same in every run.
//!
//! ```sh
//! cargo run --release -p vswitch-benches               # compare; fails beyond 5 % either way
//! cargo run --release -p vswitch-benches -- --accept   # make the present ones the baseline
//! ```
//!
//! This program runs itself under valgrind, once for each scenario. Callgrind collects only within
//! the turns of the worker's loop ([`vswitch::bench::instructions`]), so neither the set-up nor the
//! warm-up counts, and one run says all. That needs valgrind and nothing else: no runner to
//! install, no library in the binary. Frames, their order and the FDB's seed are fixed. The seeds
//! of the hash maps in a generation come from addresses: the same in every run, as valgrind places
//! everything itself and the environment is emptied, and elsewhere different by a few thousandths
//! at the most.
//!
//! Less is an error too, or the next change could give it away again unseen. What a compiler makes
//! of the code changes from one to the next, so the baseline names its own.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use serde::Deserialize;
use vswitch::bench::{Options, Scenario, instructions};

/// How much more or less than the baseline is allowed.
const TOLERANCE: f64 = 0.05;
/// Counted turns: each has a burst or two.
const TURNS: usize = 256;
const HEADER: &str = "\
# Instructions per packet received, of one worker's loop on devices in memory, under valgrind.
# Compared and written by benches/instructions.rs: see there.
";

/// What is counted, by name, and whether it is the devices in memory alone: what the other figures
/// have in them that is not the switch's.
fn scenarios() -> Vec<(&'static str, Options, bool)> {
    let sized = |scenario| Options { fdb_capacity: Some(1 << 14), ..Options::new(scenario) };
    let spread = |scenario| Options { networks: 100, vteps: 100, ..sized(scenario) };
    vec![
        ("l2", sized(Scenario::L2), false),
        ("encap", sized(Scenario::Encap), false),
        ("encap-spread", spread(Scenario::Encap), false),
        ("decap", sized(Scenario::Decap), false),
        ("decap-spread", spread(Scenario::Decap), false),
        ("mixed", sized(Scenario::Mixed), false),
        ("flood", sized(Scenario::Flood), false),
        ("flood-1500", Options { size: 1500, ..sized(Scenario::Flood) }, false),
        ("learn", Options { macs: 20_000, ..sized(Scenario::Learn) }, false),
        ("unknown-vni", sized(Scenario::UnknownVni), false),
        ("devices-l2", sized(Scenario::L2), true),
        ("devices-decap", sized(Scenario::Decap), true),
    ]
}

/// The committed figures.
#[derive(Debug, Default, Deserialize)]
struct Baseline {
    compiler: String,
    #[serde(rename = "instructions-per-packet")]
    instructions_per_packet: BTreeMap<String, f64>,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["--count", name] => count(name),
        [] => gate(false),
        ["--accept"] => gate(true),
        _ => Err(format!("unknown arguments {arguments:?}: there is only --accept")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The inner run: says how many frames were counted.
fn count(name: &str) -> Result<(), String> {
    let found = scenarios().into_iter().find(|(other, ..)| *other == name);
    let (_, options, devices_only) = found.ok_or_else(|| format!("no scenario {name}"))?;
    options.check()?;
    let frames =
        instructions::run(&options, devices_only, TURNS).map_err(|error| error.to_string())?;
    println!("{frames}");
    Ok(())
}

fn gate(accept: bool) -> Result<(), String> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.toml"));
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let baseline: Baseline = match text.is_empty() {
        true => Baseline::default(),
        false => toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?,
    };
    let compiler = compiler()?;
    let mut counted = BTreeMap::new();
    let mut wrong = Vec::new();
    println!("{:<16}{:>12}{:>12}{:>9}", "instructions", "per packet", "baseline", "change");
    for (name, ..) in scenarios() {
        let now = per_packet(name)?;
        counted.insert(name.to_owned(), now);
        let Some(before) = baseline.instructions_per_packet.get(name).copied() else {
            println!("{name:<16}{now:>12.1}{:>12}", "none");
            wrong.push(format!("{name} has no baseline"));
            continue;
        };
        let change = now / before - 1.0;
        println!("{name:<16}{now:>12.1}{before:>12.1}{:>8.1} %", change * 100.0);
        if change.abs() > TOLERANCE {
            let verb = if change > 0.0 { "grew" } else { "fell" };
            wrong.push(format!("{name} {verb} from {before:.1} to {now:.1}"));
        }
    }
    if accept {
        std::fs::write(&path, file(&compiler, &counted))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        println!("written: {}", path.display());
        return Ok(());
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let mut message = format!("instructions per packet: {}", wrong.join("; "));
    if compiler != baseline.compiler {
        let _ = write!(message, "\n  the baseline is of {}, this is {compiler}", baseline.compiler);
    }
    message.push_str(
        "\n  if that is meant, accept it and commit benches/instructions.toml:\n  \
         cargo run --release -p vswitch-benches -- --accept",
    );
    Err(message)
}

fn file(compiler: &str, counted: &BTreeMap<String, f64>) -> String {
    let mut text = format!("{HEADER}compiler = {compiler:?}\n\n[instructions-per-packet]\n");
    for (name, figure) in counted {
        let _ = writeln!(text, "{name} = {figure:.1}");
    }
    text
}

fn compiler() -> Result<String, String> {
    let output = Command::new("rustc").arg("--version").output();
    let output = output.map_err(|error| format!("rustc: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs one scenario under callgrind.
fn per_packet(name: &str) -> Result<f64, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--toggle-collect=*loop_turn*", "--toggle-collect=*pass_on*"])
        .arg(this)
        .args(["--count", name])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .map_err(|error| format!("valgrind: {error}\n  scripts/setup installs it"))?;
    let (said, frames) =
        (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    // "==123== Collected : 4567890"
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let collected = collected.and_then(|(_, number)| number.trim().parse::<f64>().ok());
    match (collected, frames.trim().parse::<f64>()) {
        (Some(collected), Ok(frames)) if collected > 0.0 && frames > 0.0 => Ok(collected / frames),
        _ => Err(format!("{name}: valgrind counted nothing ({}):\n{said}", output.status)),
    }
}
