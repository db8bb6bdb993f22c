//! `vswitch show`: the state of a running switch.
//!
//! `--json` prints the API's answer as it is; otherwise `tables` lays it out.
//!
//! | file | what it owns |
//! |---|---|
//! | `tables` | rows of the API as tables |
//! | `dropped_frames` | the last dropped frames, as lines or as a file |

mod dropped_frames;
pub(super) mod tables;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;

use super::client::{Client, ClientError, query};
use super::options::Target;
use super::output::{Exit, note, print, print_json};
use super::terminal::{Look, Progress};
use crate::text::count;

/// Options of `vswitch show`.
#[derive(Debug, Args)]
pub struct Show {
    /// What to show.
    #[arg(value_enum)]
    pub what: What,
    /// Drops: also print reasons with zero packets (JSON always has them).
    #[arg(long)]
    pub all: bool,
    /// Dropped frames: only those dropped for this reason.
    #[arg(long)]
    pub reason: Option<String>,
    /// Dropped frames: only those of this port.
    #[arg(long, value_name = "NAME")]
    pub port: Option<String>,
    /// Dropped frames: only those of this network.
    #[arg(long, value_name = "NAME")]
    pub network: Option<String>,
    /// Dropped frames: write them to a pcapng file.
    #[arg(long, short = 'w', value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// The switch.
    #[command(flatten)]
    pub target: Target,
}

/// What a running switch can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Ports with their device, link, role and counters.
    Ports,
    /// Networks with their ports, remote VTEPs and table use.
    Networks,
    /// MAC addresses and where they are.
    Fdb,
    /// Local VTEPs and how they reach the remote ones.
    Vteps,
    /// Workers with their queues and counters.
    Workers,
    /// Dropped frames by reason, port and network.
    Drops,
    /// A sample of the last dropped frames, up to 16 for each reason.
    DroppedFrames,
    /// The running configuration, as a file.
    Config,
}

/// Runs the command.
pub(super) fn show(options: &Show, client: &Client) -> Result<Exit, ClientError> {
    let selection = [
        ("reason", options.reason.clone()),
        ("port", options.port.clone()),
        ("network", options.network.clone()),
    ];
    if options.what == What::DroppedFrames {
        let path = query(options.what.path(), &selection);
        return dropped_frames::show(&path, options.write.as_deref(), client, &options.target);
    }
    let is_filtered = selection.iter().any(|(_, value)| value.is_some());
    if is_filtered || options.write.is_some() {
        note(
            "vswitch: error: --reason, --port, --network and --write are for `show dropped-frames`",
        );
        return Ok(Exit::Usage);
    }
    if options.what == What::Config && !options.target.json {
        return Ok(print(&client.configuration_file()?.body));
    }
    list(options.what, options.all, client, &options.target)
}

/// Gets a list, and prints it.
pub(super) fn list(
    what: What,
    all: bool,
    client: &Client,
    target: &Target,
) -> Result<Exit, ClientError> {
    let progress = Progress::begin("asking the switch");
    let mut pages = 0;
    let answer = client.list(what.path(), || {
        pages += 1;
        progress.say(format!("asking the switch, {} so far", count(pages, "page")));
    })?;
    drop(progress);
    if target.json {
        return Ok(print_json(&answer));
    }
    let text = render(what, &answer, all, Look::of_output())
        .map_err(|error| ClientError::NotUnderstood(error.to_string()))?;
    Ok(print(&text))
}

/// An answer as a table.
///
/// # Errors
/// The answer does not have the rows of `what`.
fn render(what: What, json: &str, all: bool, look: Look) -> serde_json::Result<String> {
    fn rows<T: DeserializeOwned>(json: &str) -> serde_json::Result<Vec<T>> {
        serde_json::from_str(json)
    }
    Ok(match what {
        What::Ports => tables::ports(&rows(json)?, look),
        What::Networks => tables::networks(&rows(json)?, look),
        What::Fdb => tables::fdb(&rows(json)?, look),
        What::Vteps => tables::vteps(&rows(json)?, look),
        What::Workers => tables::workers(&rows(json)?, look),
        What::Drops => tables::drops(&rows(json)?, all, look),
        // Text already.
        What::Config | What::DroppedFrames => json.to_owned(),
    })
}

impl What {
    /// Its path in the API.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Ports => "/v1/ports",
            Self::Networks => "/v1/networks",
            Self::Fdb => "/v1/fdb?limit=10000",
            Self::Vteps => "/v1/vteps",
            Self::Workers => "/v1/workers",
            Self::Drops => "/v1/drops",
            Self::DroppedFrames => "/v1/drops/frames",
            Self::Config => "/v1/config",
        }
    }
}

#[cfg(test)]
mod tests;
