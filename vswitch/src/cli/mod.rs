//! The command line: all commands and their options, and one function for each command.
//!
//! [`Cli`] is the only definition of commands and options: `--help`, manual pages and completions
//! are generated from it. [`execute`] runs a command on the calling thread and returns an [`Exit`];
//! nothing in here ends the process.
//!
//! | file | what it owns |
//! |---|---|
//! | [`run`](mod@run), `check`, [`doctor`](mod@doctor), [`bench`](mod@bench) | commands that need no running switch |
//! | [`configuration`] | `plan`, `apply`, `confirm`, `roll-back` |
//! | [`edit`] | `network`, `port`, `vtep`, `mac`: single changes |
//! | [`show`] | the state of the switch as tables |
//! | [`explain`] | why a frame goes where it goes |
//! | `events`, [`top`] | events and rates, live |
//! | [`capture`] | frames as they pass |
//! | [`pages`] | completions and manual pages |
//! | [`client`] | requests to a running switch, and their failures |
//! | [`options`], [`output`] | what all commands share: options, exit status, printing |
//! | `config_file` | the configuration that a command reads |
//! | [`terminal`], `text_table` | colour, width, questions, progress; tables |

pub mod bench;
pub mod capture;
mod check;
pub mod client;
mod config_file;
pub mod configuration;
pub mod doctor;
pub mod edit;
mod events;
pub mod explain;
pub mod options;
pub mod output;
pub mod pages;
pub mod run;
pub mod show;
pub mod terminal;
mod text_table;
pub mod top;

use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use client::{Client, ClientError};
use options::Target;
use output::{Exit, note};

/// Part of the help and of the manual page of `vswitch`.
const EXIT_STATUS: &str = "Exit status: 0 success; 1 failure: the switch cannot be started or \
                           reached, or it refuses; 2 wrong configuration or usage: nothing was \
                           started or changed; 3 `plan` found a difference.";

/// Part of the help and of the manual page of `vswitch capture`.
const CAPTURE_EXAMPLES: &str = "Examples:
  vswitch capture --network blue arp or icmp
  vswitch capture --port tenant-a --stage received -w FILE
  vswitch capture --reason unknown_vni | tshark -r -";

/// A virtual switch on DPDK: tenants' private Ethernets over VXLAN.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = EXIT_STATUS
)]
pub struct Cli {
    /// What to log: error, warn, info, debug or trace, also by module
    /// (info,vswitch::control=debug).
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
    /// The state directory keeps what was applied to a running switch. If FILE is the file that the
    /// switch was started with before, the switch comes up with the state; a changed FILE replaces
    /// the state.
    Run(run::Run),
    /// Say what is wrong with a configuration, or what it would start. Starts nothing.
    Check {
        /// The configuration.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Say what is wrong with this host, why, and what fixes it. Starts and changes nothing.
    ///
    /// Works while a switch runs, too: what that switch uses does not count as missing. Exit status
    /// 1: something keeps a switch from starting.
    Doctor(doctor::Doctor),
    /// Show the state of a running switch.
    Show(show::Show),
    /// Show how the running switch differs from a configuration, and what each step would do to
    /// traffic.
    ///
    /// Changes nothing. Exit status 0: no difference; 3: a difference.
    Plan(configuration::PlanOptions),
    /// Change the running switch to a configuration, completely or not at all.
    ///
    /// On a terminal it shows the plan, and asks before it interrupts traffic or removes anything.
    /// Elsewhere it does not ask.
    Apply(configuration::ApplyOptions),
    /// Keep what was applied with --confirm-within.
    Confirm(configuration::ConfirmOptions),
    /// Return at once to the configuration before `apply --confirm-within`.
    RollBack(Target),
    /// Create, delete and show networks, and change their members.
    Network(edit::options::Network),
    /// Add and remove ports.
    Port(edit::options::Port),
    /// Add and remove VTEPs of this host.
    Vtep(edit::options::Vtep),
    /// Add and remove static MACs, and flush learned ones.
    Mac(edit::options::Mac),
    /// Say what the running switch would do with a frame, and why.
    ///
    /// It shows every decision, and what would leave, or why nothing would. It sends nothing,
    /// learns nothing and counts nothing. The frame is given in hexadecimal, by a capture file, or
    /// by its addresses. Exit status 0: the frame was explained, dropped or not.
    Explain(explain::Explain),
    /// Follow events of MACs, ports and configurations. Ends with Ctrl-C.
    Events(Target),
    /// Watch the rates of workers, ports, networks and drops live.
    ///
    /// q ends it, p pauses, Tab goes to the next panel, the arrows scroll.
    Top(top::Top),
    /// Capture frames to a file or a pipe, or print them as text. Ends with Ctrl-C.
    ///
    /// The file is pcapng. Each packet has a comment with port, network, verdict and generation.
    #[command(after_help = CAPTURE_EXAMPLES)]
    Capture(capture::Capture),
    /// Measure the data path on devices in memory. Needs no NIC, no root and no hugepages.
    Bench(bench::Bench),
    /// Print the completion script of a shell.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: pages::KnownShell,
    },
    /// Write the manual pages.
    Man(pages::Man),
}

fn filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Parses the command line, and runs the command.
pub fn main(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Exit {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => execute(&cli),
        Err(error) => {
            // `--help` and `--version` are such errors, for the standard output. A closed pipe is
            // no failure.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Success }
        }
    }
}

/// Runs a command.
#[must_use]
pub fn execute(cli: &Cli) -> Exit {
    match &cli.command {
        Command::Run(options) => run::run(options, &cli.log),
        Command::Check { file } => check::check(file),
        Command::Doctor(options) => doctor::doctor(options),
        Command::Show(options) => asked(&options.target, |client| show::show(options, client)),
        Command::Plan(options) => {
            asked(&options.target, |client| configuration::plan(options, client))
        }
        Command::Apply(options) => {
            asked(&options.target, |client| configuration::apply(options, client))
        }
        Command::Confirm(options) => {
            asked(&options.target, |client| configuration::confirm(options, client))
        }
        Command::RollBack(target) => {
            asked(target, |client| configuration::roll_back(target, client))
        }
        Command::Network(options) => {
            asked(&options.target, |client| edit::network(options, client))
        }
        Command::Port(options) => asked(&options.target, |client| edit::port(options, client)),
        Command::Vtep(options) => asked(&options.target, |client| edit::vtep(options, client)),
        Command::Mac(options) => asked(&options.target, |client| edit::mac(options, client)),
        Command::Explain(options) => {
            asked(&options.target, |client| explain::explain(options, client))
        }
        Command::Events(target) => asked(target, |client| events::events(target, client)),
        Command::Top(options) => asked(&options.target, |client| top::top(options, client)),
        Command::Capture(options) => {
            asked(&options.target, |client| capture::capture(options, client))
        }
        Command::Bench(options) => bench::bench(options),
        Command::Completions { shell } => pages::completions(*shell, Cli::command()),
        Command::Man(options) => pages::man(options, Cli::command()),
    }
}

/// Runs a command on a running switch, and prints why it failed.
fn asked(target: &Target, ask: impl FnOnce(&Client) -> Result<Exit, ClientError>) -> Exit {
    match Client::new(&target.socket).and_then(|client| ask(&client)) {
        Ok(exit) => exit,
        Err(error) => {
            let who = match error {
                ClientError::Problem { .. } => "vswitch".into(),
                _ => target.socket.to_string_lossy(),
            };
            note(format_args!("{who}: error: {error}"));
            error.exit()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::show::What;
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
            assert!(show.target.json && show.what == What::Drops, "{line}");
        }
    }

    #[test]
    fn a_log_level_is_checked() {
        assert!(Cli::try_parse_from(["vswitch", "check", "f", "--log", "debug"]).is_ok());
        assert!(Cli::try_parse_from(["vswitch", "check", "f", "--log", "a=b=c"]).is_err());
    }

    fn read(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn every_command_is_read() {
        for line in [
            "vswitch plan f --json",
            "vswitch apply - --confirm-within 60s --yes --generation 7 --socket s",
            "vswitch confirm --generation 8",
            "vswitch roll-back --json",
            "vswitch events --json --socket s",
            "vswitch explain --port a --hex 00",
            "vswitch explain --port a --pcap f --index 7 --was runt --was-port b --json",
            "vswitch explain --port a --src m --dst m --vlan 5 --ipv4 1.2.3.4,1.2.3.5 --udp 1,2 --len 99",
            "vswitch explain --port a --src m --dst m --arp 1.2.3.4,1.2.3.5 --vxlan 5 --from-vtep 1.2.3.4",
            "vswitch explain --from-host v --hex 00",
            "vswitch capture --port p --network n --vtep v --stage received,dropped --stage decapsulated",
            "vswitch capture --reason r -c 3 --for 10s -s 96 -w - --socket s udp port 4789 and not arp",
            "vswitch capture --filter arp --write f",
            "vswitch show dropped-frames --reason r --port p --network n -w f",
            "vswitch show config",
            "vswitch network show",
            "vswitch mac flush --network n --port p --remote-vtep a --mac m",
            "vswitch completions zsh",
            "vswitch man",
            "vswitch man d",
            "vswitch doctor",
            "vswitch doctor f --json",
        ] {
            read(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn a_wrong_line_is_answered_with_a_hint() {
        for (line, words) in [
            ("vswitch plan", "<FILE>"),
            ("vswitch plan f --yes", "unexpected argument '--yes'"),
            ("vswitch apply f --generation x", "invalid value 'x'"),
            ("vswitch rollback", "'roll-back'"),
            ("vswitch completions csh", "[possible values: bash, zsh, fish]"),
            ("vswitch show configs", "'config'"),
            ("vswitch explain --port a", "<--hex <HEX>|--pcap <FILE>|--dst <MAC>>"),
            ("vswitch explain --hex 00", "<--port <PORT>|--from-host <VTEP>>"),
            ("vswitch explain --port a --dst m", "--src <MAC>"),
            ("vswitch explain --port a --dst m --src m --udp 1,2", "--ipv4"),
            ("vswitch explain --port a --hex 00 --udp 1,2", "cannot be used with"),
            ("vswitch explain --port a --hex 00 --index 1", "cannot be used with"),
            ("vswitch explain --port a --dst m --src m --vxlan 5", "--from-vtep"),
            ("vswitch capture --stage sent", "transmitted"),
            ("vswitch capture --filter arp icmp", "cannot be used with"),
            ("vswitch capture --count 0", "0 is not in"),
            ("vswitch check f --socket s", "unexpected argument '--socket'"),
        ] {
            let error = read(line).unwrap_err().to_string();
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
