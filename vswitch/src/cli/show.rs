//! `vswitch show`: what there is in a running switch.
//!
//! `--json` passes the answer on as it is; otherwise `table` lays it out.

use super::client::{Client, ClientError};
use super::terminal::{Look, Progress};
use super::{At, Exit, Show, What, dropped, note, print, print_json, table};
use crate::words::count;

/// Asks, and prints the answer.
pub(super) fn show(typed: &Show, client: &Client) -> Result<Exit, ClientError> {
    let is_filtered = typed.reason.is_some() || typed.port.is_some() || typed.network.is_some();
    if typed.what == What::DroppedFrames {
        return dropped::show(typed, client);
    }
    if is_filtered || typed.write.is_some() {
        note(
            "vswitch: error: --reason, --port, --network and --write are for `show dropped-frames`",
        );
        return Ok(Exit::Usage);
    }
    if typed.what == What::Config && !typed.at.json {
        return Ok(print(&client.configuration_file()?.body));
    }
    list(typed.what, typed.all, client, &typed.at)
}

/// Asks for a list, and prints it.
pub(super) fn list(what: What, all: bool, client: &Client, at: &At) -> Result<Exit, ClientError> {
    let progress = Progress::begin("asking the switch");
    let mut pages = 0;
    let answer = client.list(what.path(), || {
        pages += 1;
        progress.say(format!("asking the switch, {} so far", count(pages, "page")));
    })?;
    drop(progress);
    if at.json {
        return Ok(print_json(&answer));
    }
    let text = table::render(what, &answer, all, Look::of_output())
        .map_err(|error| ClientError::NotUnderstood(error.to_string()))?;
    Ok(print(&text))
}

impl What {
    /// Where the API has it.
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
