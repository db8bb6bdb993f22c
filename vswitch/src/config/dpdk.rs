//! Checks `[dpdk]`.

use super::checks::{number, within};
use super::diagnostic::{Problems, quoted};
use super::document::DpdkDocument;
use super::location::Location;
use super::model::Dpdk;

/// The largest number in the kernel's CPU sets, and more than any build of EAL takes.
const MAX_CORE: i64 = 1023;
const WHY_CORE: &str = "it is the number of a CPU, as lscpu shows it";

pub(super) fn check(table: &DpdkDocument, at: &Location, problems: &mut Problems) -> Dpdk {
    let main_at = at.key("main-core");
    let main_core = number(table.main_core, &main_at, WHY_CORE, problems).unwrap_or_default();
    let workers_at = at.key("worker-cores");
    let worker_cores = worker_cores(&table.worker_cores, &workers_at, problems);
    if worker_cores.contains(&main_core) {
        let given = if problems.is_given(&main_at) { &main_at } else { &workers_at };
        shared_core(given, main_core, problems);
    }
    let memory_mib = number(
        table.memory_mib,
        &at.key("memory-mib"),
        "packet buffers and rings need 64 MiB at least",
        problems,
    );
    let packet_buffers = table.packet_buffers.and_then(|buffers| {
        let why = "it is the fewest buffers to have, all ports together";
        number(buffers, &at.key("packet-buffers"), why, problems)
    });
    for (index, arg) in table.eal_args.iter().enumerate() {
        if let Some(key) = key_behind(arg) {
            problems.warning(
                &at.key("eal-args").item(index),
                format!(
                    "{} may contradict `{key}`, from which the switch makes the same argument",
                    quoted(arg)
                ),
                format!("say it with `{key}` if you can"),
            );
        }
    }
    Dpdk {
        worker_cores,
        main_core,
        memory_mib: memory_mib.unwrap_or_default(),
        packet_buffers,
        hugepages: table.hugepages,
        eal_args: table.eal_args.clone(),
    }
}

fn worker_cores(table: &[i64], at: &Location, problems: &mut Problems) -> Vec<u32> {
    let mut cores: Vec<u32> = Vec::new();
    if table.is_empty() {
        problems.error(
            at,
            "`worker-cores` is empty, and without a worker no frame moves",
            "name one core at least, for example `worker-cores = [1]`",
        );
    }
    for (index, core) in table.iter().enumerate() {
        let at = at.item(index);
        let Some(core) = within(*core, 0..=MAX_CORE, &at, WHY_CORE, problems) else { continue };
        if cores.contains(&core) {
            problems.error(
                &at,
                format!("core {core} is named twice in `worker-cores`"),
                "name each core once: a core runs one worker",
            );
        } else {
            cores.push(core);
        }
    }
    cores
}

/// Allowed, for machines with few cores: a polling worker leaves half of the core to the control
/// thread.
fn shared_core(at: &Location, core: u32, problems: &mut Problems) {
    problems.warning(
        at,
        format!(
            "core {core} is a worker's as well: learning and the API wait for their turn on it"
        ),
        "fine for a try on a small machine; otherwise give `main-core` a core that does not poll",
    );
}

/// The key from which the switch makes this EAL argument.
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
