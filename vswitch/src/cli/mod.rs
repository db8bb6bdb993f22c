//! The command line: what the user typed, and one function for each command.
//!
//! [`Cli`] is the one definition of commands and options: `--help`, manual pages and completions come
//! from it. [`execute`] carries a command out on the calling thread and returns an [`Exit`]; nothing
//! here ends the process. Results go to the standard output, everything else to the standard error.
//!
//! | file | what it owns |
//! |---|---|
//! | [`client`] | requests to a running switch |
//! | `failure` | what it says when it does not do something |
//! | [`configuration`] | `plan`, `apply`, `confirm`, `roll-back` |
//! | [`verbs`] | `network`, `port`, `vtep`, `mac`: what can be typed |
//! | `requests` | what they ask of the switch |
//! | `show`, `table` | what there is, and how it is laid out |
//! | [`explain`], `frame` | why a frame goes where it goes; the frame, from options or a file |
//! | `events` | what happens |
//! | `top` | rates, live |
//! | [`doctor`] | what is wrong with the host |
//! | [`capture`], `dropped` | frames as they pass, and those that were dropped |
//! | [`terminal`] | colour, width, questions, progress |
//! | [`pages`] | completions and manual pages |

pub mod bench;
pub mod capture;
mod check;
pub mod client;
pub mod configuration;
pub mod doctor;
mod dropped;
mod events;
pub mod explain;
mod failure;
pub mod frame;
pub mod pages;
mod requests;
mod run;
mod show;
mod table;
pub mod terminal;
pub mod top;
pub mod verbs;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use client::{Client, ClientError};
use tracing_subscriber::EnvFilter;

use crate::doctor::edit::quoted;

/// How a command ended; the process's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Success,
    /// 1: starting or running failed, or the switch could not be asked, or refused.
    Failure,
    /// 2: the configuration or the command line is wrong, and nothing was started or changed.
    Usage,
    /// 3: `plan` found a difference.
    Difference,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::Failure => Self::from(1),
            Exit::Usage => Self::from(2),
            Exit::Difference => Self::from(3),
        }
    }
}

/// Names the socket where `--socket` does not.
const SOCKET_VARIABLE: &str = "VSWITCH_SOCKET";

/// In the help and the manual page of the whole.
const EXIT_STATUS: &str = "Exit status: 0 success; 1 failure: the switch cannot be started or asked, or refuses; \
                           2 wrong configuration or usage: nothing was started or changed; \
                           3 `plan` found a difference.";

/// In the help and the manual page of `vswitch capture`.
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
    /// Say what is wrong with this host, why, and which command mends it; starts and changes nothing.
    ///
    /// Also while a switch runs: what that holds is not missing. Exit status 1: something keeps a switch from
    /// starting.
    Doctor(doctor::Doctor),
    /// Ask a running switch.
    Show(Show),
    /// Show how the running switch differs from a configuration, and what each step would do to traffic.
    ///
    /// Changes nothing. Exit status 0: no difference; 3: a difference.
    Plan(configuration::PlanOptions),
    /// Change the running switch to a configuration: whole or not at all.
    ///
    /// On a terminal it shows the plan, and asks before anything that interrupts traffic or removes something.
    /// Elsewhere it does not ask.
    Apply(configuration::ApplyOptions),
    /// Keep what was applied with --confirm-within.
    Confirm(configuration::ConfirmOptions),
    /// Go back at once to the configuration before `apply --confirm-within`.
    RollBack(At),
    /// Make, remove and show networks, and change what is in them.
    Network(verbs::Network),
    /// Add and remove ports.
    Port(verbs::Port),
    /// Add and remove VTEPs of this host.
    Vtep(verbs::Vtep),
    /// Add and remove static MACs, and forget learned ones.
    Mac(verbs::Mac),
    /// Say what the running switch would do with a frame, and why: every decision, what would leave, or why nothing.
    ///
    /// Sends nothing, learns nothing, counts nothing. The frame is given in hexadecimal, as one of a capture file, or
    /// by its addresses. Exit status 0: explained, be it dropped or not.
    Explain(explain::Explain),
    /// Follow what happens: MACs, ports, configurations. Ends with Ctrl-C.
    Events(At),
    /// Watch workers, ports, networks and drops, live.
    ///
    /// q ends it, p pauses, Tab goes to the next panel, the arrows scroll.
    Top(top::Top),
    /// Capture frames as they pass: to a file, into a pipe, or in words. Ends with Ctrl-C.
    ///
    /// The file is pcapng: each packet's comment says port, network, verdict and generation.
    #[command(after_help = CAPTURE_EXAMPLES)]
    Capture(capture::Capture),
    /// Measure the data path on devices in memory: no NIC, no root, no hugepages.
    Bench(bench::Bench),
    /// Print a script that completes commands and options in a shell.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: pages::KnownShell,
    },
    /// Write the manual pages.
    Man(pages::Man),
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
    /// Drops: print the reasons that never happened, too (JSON always has them).
    #[arg(long)]
    pub all: bool,
    /// Dropped frames: those dropped for this reason.
    #[arg(long)]
    pub reason: Option<String>,
    /// Dropped frames: those of this port.
    #[arg(long, value_name = "NAME")]
    pub port: Option<String>,
    /// Dropped frames: those of this network.
    #[arg(long, value_name = "NAME")]
    pub network: Option<String>,
    /// Dropped frames: write them to a file, as pcapng.
    #[arg(long, short = 'w', value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Which switch.
    #[command(flatten)]
    pub at: At,
}

/// Which running switch, and how to answer.
#[derive(Clone, Debug, Args)]
pub struct At {
    /// The socket of the switch, `socket` in its configuration.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = SOCKET_VARIABLE,
        default_value = crate::config::SOCKET
    )]
    pub socket: PathBuf,
    /// Print the API's JSON as it is, instead of text.
    #[arg(long, global = true)]
    pub json: bool,
}

impl At {
    /// The option to name the same switch again, if it needs one.
    fn repeated(&self) -> String {
        let usual =
            std::env::var_os(SOCKET_VARIABLE).unwrap_or_else(|| crate::config::SOCKET.into());
        if self.socket == usual {
            String::new()
        } else {
            format!(" --socket {}", quoted(&self.socket.to_string_lossy()))
        }
    }
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
    /// A sample of the frames that were dropped last, up to 16 for each reason.
    DroppedFrames,
    /// The running configuration, as a file.
    Config,
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
        Command::Doctor(typed) => doctor::doctor(typed),
        Command::Show(typed) => asked(&typed.at, |client| show::show(typed, client)),
        Command::Plan(typed) => asked(&typed.at, |client| configuration::plan(typed, client)),
        Command::Apply(typed) => asked(&typed.at, |client| configuration::apply(typed, client)),
        Command::Confirm(typed) => asked(&typed.at, |client| configuration::confirm(typed, client)),
        Command::RollBack(at) => asked(at, |client| configuration::roll_back(at, client)),
        Command::Network(typed) => asked(&typed.at, |client| requests::network(typed, client)),
        Command::Port(typed) => asked(&typed.at, |client| requests::port(typed, client)),
        Command::Vtep(typed) => asked(&typed.at, |client| requests::vtep(typed, client)),
        Command::Mac(typed) => asked(&typed.at, |client| requests::mac(typed, client)),
        Command::Explain(typed) => asked(&typed.at, |client| explain::explain(typed, client)),
        Command::Events(at) => asked(at, |client| events::events(at, client)),
        Command::Top(typed) => asked(&typed.at, |client| top::top(typed, client)),
        Command::Capture(typed) => asked(&typed.at, |client| capture::capture(typed, client)),
        Command::Bench(options) => bench::bench(options),
        Command::Completions { shell } => pages::completions(*shell),
        Command::Man(typed) => pages::man(typed),
    }
}

/// Asks a running switch, and says why it could not be asked or did not do it.
fn asked(at: &At, ask: impl FnOnce(&Client) -> Result<Exit, ClientError>) -> Exit {
    match Client::new(&at.socket).and_then(|client| ask(&client)) {
        Ok(exit) => exit,
        Err(error) => {
            let who = match error {
                ClientError::Problem { .. } => "vswitch".into(),
                _ => at.socket.to_string_lossy(),
            };
            note(format_args!("{who}: error: {error}"));
            error.exit()
        }
    }
}

/// Prints a result; a closed pipe (`| head`) is a reader that has seen enough.
fn print(text: &str) -> Exit {
    emit(text).unwrap_or(Exit::Success)
}

/// Prints what an API said.
fn print_json(json: &str) -> Exit {
    let end = if json.ends_with('\n') { "" } else { "\n" };
    print(&format!("{json}{end}"))
}

/// Prints a part of a result; `Some`: there is nobody to print more for.
fn emit(text: &str) -> Option<Exit> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => None,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Some(Exit::Success),
        Err(error) => {
            Some(complain(format_args!("vswitch: cannot write to the standard output: {error}")))
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
            assert!(show.at.json && show.what == What::Drops, "{line}");
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
    fn a_wrong_line_is_answered_with_what_would_be_right() {
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

    #[test]
    fn the_usual_socket_is_not_named_again() {
        // Nothing sets the variable for the unit tests.
        let at = |path: &str| At { socket: path.into(), json: false };
        assert_eq!(at(crate::config::SOCKET).repeated(), "");
        assert_eq!(at("/tmp/s").repeated(), " --socket /tmp/s");
    }
}
