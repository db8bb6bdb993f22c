//! From `[dpdk]` to cores and memory.

use std::ops::RangeInclusive;

use toml::Spanned;

use super::checks::{items, number};
use super::diagnostic::{Problems, Span, quoted};
use super::raw::{DpdkTable, Integer};
use super::{Dpdk, defaults};

/// The size of the kernel's CPU sets, and more than any build of EAL takes.
const CORES: RangeInclusive<u32> = 0..=1023;

pub(super) fn check(table: Option<&DpdkTable>, problems: &mut Problems) -> Dpdk {
    let empty = DpdkTable::default();
    let table = table.unwrap_or(&empty);
    let main = table.main_core.as_ref();
    let main_core =
        number(main, CORES, "main-core", "it is the number of a CPU, as lscpu shows it", problems)
            .unwrap_or(defaults::MAIN_CORE);
    let worker_cores = match &table.worker_cores {
        Some(typed) => worker_cores(typed, problems),
        None => defaults::WORKER_CORES.to_vec(),
    };
    let typed_at =
        main.map(Spanned::span).or_else(|| table.worker_cores.as_ref().map(Spanned::span));
    if let Some(at) = typed_at
        && worker_cores.contains(&main_core)
    {
        shared_core(at, main_core, problems);
    }
    let memory_mib = number(
        table.memory_mib.as_ref(),
        64..=1_048_576,
        "memory-mib",
        "packet buffers and rings need 64 MiB at least",
        problems,
    );
    let packet_buffers = number(
        table.packet_buffers.as_ref(),
        1024..=16_777_215,
        "packet-buffers",
        "it is the fewest buffers to have, all ports together",
        problems,
    );
    let eal_args = items(table.eal_args.as_ref());
    for arg in eal_args {
        if let Some(key) = key_behind(arg.get_ref()) {
            problems.warning(
                arg.span(),
                format!(
                    "{} may contradict `{key}`, from which the switch makes the same argument",
                    quoted(arg.get_ref())
                ),
                format!("say it with `{key}` if you can"),
            );
        }
    }
    Dpdk {
        worker_cores,
        main_core,
        memory_mib: memory_mib.unwrap_or(defaults::MEMORY_MIB),
        packet_buffers,
        hugepages: table.hugepages.as_ref().map_or(defaults::HUGEPAGES, |typed| *typed.get_ref()),
        eal_args: eal_args.iter().map(|arg| arg.get_ref().clone()).collect(),
    }
}

fn worker_cores(typed: &Spanned<Vec<Spanned<Integer>>>, problems: &mut Problems) -> Vec<u32> {
    let mut cores: Vec<u32> = Vec::new();
    if typed.get_ref().is_empty() {
        problems.error(
            typed.span(),
            "`worker-cores` is empty, and without a worker no frame moves",
            "name one core at least, for example `worker-cores = [1]`",
        );
    }
    for item in typed.get_ref() {
        let why = "it is the number of a CPU, as lscpu shows it";
        let Some(core) = number(Some(item), CORES, "worker-cores", why, problems) else {
            continue;
        };
        if cores.contains(&core) {
            problems.error(
                item.span(),
                format!("core {core} is named twice in `worker-cores`"),
                "name each core once: a core runs one worker",
            );
        } else {
            cores.push(core);
        }
    }
    cores
}

/// Allowed, for machines with few cores: a polling worker leaves the control thread half of the core.
fn shared_core(at: Span, core: u32, problems: &mut Problems) {
    problems.warning(
        at,
        format!(
            "core {core} is a worker's as well: learning and the API wait for their turn on it"
        ),
        "fine for a try on a small machine; otherwise give `main-core` a core that does not poll",
    );
}

/// The key that an EAL argument is made from.
fn key_behind(arg: &str) -> Option<&'static str> {
    let option = arg.split_once('=').map_or(arg, |(option, _)| option);
    match option {
        "-c" | "-l" | "--lcores" => Some("worker-cores"),
        "--main-lcore" => Some("main-core"),
        "-m" | "--socket-mem" | "--numa-mem" => Some("memory-mib"),
        "--no-huge" => Some("hugepages"),
        _ => None,
    }
}
