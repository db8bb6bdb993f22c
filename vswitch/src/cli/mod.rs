//! The command line: what the user typed, and one function for each command.
//!
//! [`Cli`] is the one definition of commands and options; `--help` comes from it. [`execute`] carries
//! a command out on the calling thread and returns an [`Exit`]; nothing here ends the process.
//! Results go to the standard output, everything else to the standard error.

pub mod bench;
mod check;
mod run;
pub mod show;
mod table;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

/// How a command ended; the process's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Success,
    /// 1: starting or running failed, or the switch could not be asked.
    Failure,
    /// 2: the configuration or the command line is wrong, and nothing was started.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::Failure => Self::from(1),
            Exit::Usage => Self::from(2),
        }
    }
}

/// A virtual switch on DPDK: tenants' private Ethernets over VXLAN.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit status: 0 success, 1 failure, 2 wrong configuration or usage."
)]
pub struct Cli {
    /// What to log: error, warn, info, debug or trace, also per module (info,vswitch::control=debug).
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info", value_parser = filter)]
    pub log: String,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the switch, and run it until SIGINT or SIGTERM.
    ///
    /// What was applied to a running switch survives: it is kept in the state directory. A start with a FILE that
    /// the switch was given before comes up with the state; a FILE that is new begins another.
    Run(Run),
    /// Say what is wrong with a configuration, or what it would start; starts nothing.
    Check {
        /// The configuration.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Ask a running switch.
    Show(Show),
    /// Measure the data path on devices in memory: no NIC, no root, no hugepages.
    Bench(bench::Bench),
}

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

/// Options of `vswitch show`.
#[derive(Debug, Args)]
pub struct Show {
    /// What to show.
    #[arg(value_enum)]
    pub what: What,
    /// Print the API's JSON as it is, instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Drops: print the reasons that never happened, too (JSON always has them).
    #[arg(long)]
    pub all: bool,
    /// The socket of the switch, `socket` in its configuration.
    #[arg(long, value_name = "PATH", default_value = "/run/vswitch/vswitch.sock")]
    pub socket: PathBuf,
}

/// What a running switch can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Ports with their device, link, role and counters.
    Ports,
    /// Networks with their ports, remote VTEPs and table use.
    Networks,
    /// Known MAC addresses and where they are.
    Fdb,
    /// Local VTEPs and how they reach the remote ones.
    Vteps,
    /// Workers with their queues and load.
    Workers,
    /// Dropped frames by reason, port and network.
    Drops,
}

fn filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Reads the command line and carries it out.
pub fn main(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Exit {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => execute(&cli),
        Err(error) => {
            // Also `--help` and `--version`, which go to the standard output. A reader that has
            // gone away is no failure of ours.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Success }
        }
    }
}

/// Carries out a command.
#[must_use]
pub fn execute(cli: &Cli) -> Exit {
    match &cli.command {
        Command::Run(options) => run::run(options, &cli.log),
        Command::Check { file } => check::check(file),
        Command::Show(options) => show::show(options),
        Command::Bench(options) => bench::bench(options),
    }
}

/// Prints a result; a closed pipe (`| head`) is a reader that has seen enough.
fn print(text: &str) -> Exit {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Exit::Success,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
        Err(error) => {
            complain(format_args!("vswitch: cannot write to the standard output: {error}"))
        }
    }
}

/// Says on the standard error why a command failed.
fn complain(text: impl std::fmt::Display) -> Exit {
    note(text);
    Exit::Failure
}

/// Prints to the standard error. If even that is closed, nobody is left to tell.
fn note(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_stand_before_or_after_what_to_show() {
        for line in ["vswitch show --json drops", "vswitch show drops --json"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            let Command::Show(show) = cli.command else { panic!("{cli:?}") };
            assert!(show.json && show.what == What::Drops, "{line}");
        }
    }

    #[test]
    fn a_log_level_is_checked() {
        assert!(Cli::try_parse_from(["vswitch", "check", "f", "--log", "debug"]).is_ok());
        assert!(Cli::try_parse_from(["vswitch", "check", "f", "--log", "a=b=c"]).is_err());
    }
}
