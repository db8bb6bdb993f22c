//! `vswitch doctor`: what is wrong with this host, and what fixes it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};
use clap::Args;

use super::options::default_socket;
use super::output::{Exit, complain, note, print, print_json};
use super::run::state_directory;
use super::terminal::Look;
use super::text_table::TextTable;
use crate::config::{self, Config};
use crate::control::state::{self, StateStore};
use crate::doctor::finding::{Finding, Severity};
use crate::doctor::host::Host;
use crate::doctor::memory::MemoryNeed;
use crate::doctor::view::{Purpose, StateSeen, View};
use crate::doctor::{self, Report};
use crate::text::count;

/// Options of `vswitch doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The configuration to run on this host; without one, only the host itself is checked.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The state directory of that switch; default: as for `vswitch run`.
    #[arg(long, value_name = "DIR", requires = "file")]
    pub state: Option<PathBuf>,
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Checks everything, and prints the findings.
pub(super) fn doctor(options: &Doctor) -> Exit {
    let config = match options.file.as_deref().map(config::load).transpose() {
        Ok(config) => config,
        Err(error) => {
            note(error);
            return Exit::Usage;
        }
    };
    for warning in config.iter().flat_map(|config| &config.warnings) {
        note(warning);
    }
    let (config, state) = match (config, &options.file) {
        (Some(config), Some(path)) => {
            let directory = state_directory(options.state.as_deref(), path);
            let (config, state) = would_start(config, path, directory);
            (Some(config), Some(state))
        }
        _ => (None, None),
    };
    let socket = config.as_ref().map_or_else(default_socket, |config| config.api.socket.clone());
    let host = Host::here(&socket);
    let view = View {
        host: &host,
        config: config.as_ref(),
        state: state.as_ref(),
        purpose: Purpose::Report,
    };
    let report = doctor::examine(&view);
    let printed = if options.json {
        match serde_json::to_string_pretty(&report) {
            Ok(json) => print_json(&json),
            Err(error) => complain(format_args!("vswitch: error: {error}")),
        }
    } else {
        print(&text(&report, config.as_ref(), Look::of_output()))
    };
    if printed == Exit::Success && report.worst == Severity::Problem {
        Exit::Failure
    } else {
        printed
    }
}

/// The configuration with which `vswitch run` would start from a file, and the state directory.
fn would_start(config: Config, path: &Path, directory: PathBuf) -> (Config, StateSeen) {
    let loaded = match StateStore::look(&directory) {
        Ok(loaded) => loaded,
        Err(error) => return (config, StateSeen::unusable(directory, error)),
    };
    let reports = loaded.reports.clone();
    let start = state::choose(loaded, config, false);
    let seen = StateSeen { reports, ..StateSeen::of_start(directory, &start, path) };
    (start.config, seen)
}

/// A table with all findings, then cause and remedy of those that are not ok, then memory.
fn text(report: &Report, config: Option<&Config>, look: Look) -> String {
    let mut table = TextTable::new(&["CHECK", "RESULT", "FOUND"], &[]).folding(&["FOUND"]);
    for finding in &report.findings {
        let (check, severity) = (finding.check.name(), finding.severity.name());
        table.add(vec![check.to_owned(), severity.to_owned(), finding.found.clone()]);
    }
    let mut text = table.text_or("nothing was looked at", look);
    for finding in report.findings.iter().filter(|finding| !finding.cause.is_empty()) {
        let _ = write!(text, "\n{}", explained(finding, look));
    }
    if let (Some(memory), Some(config)) = (&report.memory, config) {
        let _ = write!(text, "\n{}", of_memory(memory, config, look));
    }
    let counts =
        [(Severity::Problem, "problem"), (Severity::Warning, "warning"), (Severity::Note, "note")];
    let counts = counts.map(|(severity, what)| count(report.count(severity), what));
    let _ = writeln!(text, "\n{}; {} ok", counts.join(", "), report.count(Severity::Ok));
    text
}

fn explained(finding: &Finding, look: Look) -> String {
    let colour = match finding.severity {
        Severity::Problem => AnsiColor::Red,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Note | Severity::Ok => AnsiColor::Blue,
    };
    let title = look.paint(colour.on_default().bold(), finding.severity.name());
    let text_of = finding.to_string();
    let mut lines = text_of.lines();
    let first = format!(
        "{}: {}: {}",
        finding.severity.name(),
        finding.check.name(),
        lines.next().unwrap_or_default()
    );
    let first = wrapped(&first, look.width, "  ");
    let rest = first.strip_prefix(finding.severity.name()).unwrap_or(&first);
    let mut text = format!("{title}{rest}\n");
    for line in lines {
        // Commands stand out and are not wrapped, because users copy them.
        let line = match line.starts_with("  mend:") {
            true => look.paint(Style::new().bold(), line),
            false => wrapped(line, look.width, "         "),
        };
        let _ = writeln!(text, "{line}");
    }
    text
}

/// Wraps a line between words, and indents all lines but the first.
fn wrapped(line: &str, width: Option<u16>, indent: &str) -> String {
    let width = width.map_or(usize::MAX, usize::from);
    let (mut text, mut used) = (String::new(), 0);
    for word in line.split_inclusive(' ') {
        if used > 0 && used + word.trim_end().chars().count() > width {
            text.truncate(text.trim_end().len());
            text.push('\n');
            text.push_str(indent);
            used = indent.len();
        }
        text.push_str(word);
        used += word.chars().count();
    }
    text
}

/// The computed need of memory.
fn of_memory(memory: &MemoryNeed, config: &Config, look: Look) -> String {
    let mut table = TextTable::new(&["MEMORY", "FOR"], &["MIB"]).folding(&["FOR"]);
    let mut add = |what: &str, reason: String, mib: u64| {
        table.add(vec![what.to_owned(), reason, mib.to_string()]);
    };
    let buffers = format!(
        "{} of {} bytes: {} in rings, {} in workers, {} in queues, {} for flooding",
        memory.packet_buffers,
        memory.buffer_bytes,
        memory.for_rings,
        memory.for_workers,
        memory.for_queues,
        memory.for_flooding
    );
    add("packet buffers", buffers, memory.pool_mib);
    add("DPDK", "EAL and drivers".into(), memory.dpdk_other_mib);
    add(
        "needed of memory-mib",
        format!("memory-mib is {}", memory.memory_mib),
        memory.least_memory_mib,
    );
    for node in &memory.by_node {
        let reason = format!("hugepages of memory-mib; {} MiB are free", node.free_mib);
        add(&format!("NUMA node {}", node.node), reason, node.need_mib);
    }
    let capacity = format!("FDB with {} MACs, outside of DPDK", config.fdb_capacity);
    add("ordinary", capacity, memory.fdb_mib);
    add("ordinary", "learn events".into(), memory.events_mib);
    add("ordinary", "counters, at most".into(), memory.counters_mib);
    table.text_or("", look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Check;

    #[test]
    fn the_text_has_every_finding_and_explains_what_is_wrong() {
        let findings = vec![
            Finding::ok(Check::Tun, "there"),
            Finding::problem(Check::Hugepages, "none", "gone").mend("sysctl x=1").advice("or not"),
        ];
        let report = Report { worst: Severity::Problem, memory: None, findings };
        assert_eq!(
            text(&report, None, Look::default()),
            "CHECK      RESULT   FOUND\n\
             tun        ok       there\n\
             hugepages  problem  none\n\
             \n\
             problem: hugepages: none\n  cause: gone\n  mend:  sysctl x=1\n  help:  or not\n\
             \n\
             1 problem, 0 warnings, 0 notes; 1 ok\n"
        );
    }

    #[test]
    fn a_narrow_terminal_gets_whole_words_and_whole_commands() {
        let command = "sysctl -w vm.nr_hugepages=256 and what is longer than the terminal";
        let finding = Finding::problem(
            Check::Hugepages,
            "there are none at all here",
            "they are gone by now",
        )
        .mend(command);
        let text = explained(&finding, Look { width: Some(24), colour: false });
        let expected = "problem: hugepages:\n  there are none at all\n  here\n  cause: they \
                        are gone\n         by now\n";
        assert_eq!(text, format!("{expected}  mend:  {command}\n"));
    }

    #[test]
    fn memory_is_a_table_of_sums() {
        let config = config::parse(
            "t",
            "[dpdk]\nhugepages = false\n[[port]]\nname = \"a\"\ndevice = \"net_null0\"\n",
        )
        .unwrap();
        let view = View {
            host: &Host::at("/nowhere"),
            config: Some(&config),
            state: None,
            purpose: Purpose::Report,
        };
        let memory = doctor::examine(&view).memory.unwrap();
        let text = of_memory(&memory, &config, Look::default());
        assert!(text.contains("packet buffers        8191 of 2048 bytes: 2048 in rings"), "{text}");
        let narrow = of_memory(&memory, &config, Look { width: Some(100), colour: false });
        assert!(narrow.starts_with("MEMORY "), "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 100), "{narrow}");
        assert_eq!(memory.least_memory_mib, memory.pool_mib + memory.dpdk_other_mib);
    }
}
