//! `vswitch explain`: what the running switch would do with a frame, and why.
//!
//! The switch explains; this builds the question and lays out the answer.

pub mod frame;

use anstyle::AnsiColor;
use clap::Args;

use frame::{FrameOptions, tunnelled};

use super::client::{Client, ClientError};
use super::options::Target;
use super::output::{Exit, note, plain, print, print_json};
use super::terminal::{Look, Progress};
use crate::api::routes::explain::{ExplainRequest, Was};
use crate::control::events::Whereabouts;
use crate::control::rows::VtepRow;
use crate::decode::Layer;
use crate::explain::answer::{self, Explanation, Origin, Reason};
use crate::explain::difference::Edit;
use crate::hex;
use crate::text::count;

/// The most copies that the text shows.
const SHOWN: usize = 12;
/// The most bytes of a difference that the text shows.
const SHOWN_BYTES: usize = 64;
/// The columns of the label before each line.
const MARGIN: usize = 10;

/// Options of `vswitch explain`.
#[derive(Debug, Args)]
#[group(skip)]
#[command(group = clap::ArgGroup::new("entrance").required(true).args(["port", "from_host"]),
    group = clap::ArgGroup::new("frame").required(true))]
pub struct Explain {
    /// The port that receives the frame.
    #[arg(long, value_name = "PORT")]
    pub port: Option<String>,
    /// The VTEP whose host interface sends the frame.
    #[arg(long, value_name = "VTEP", conflicts_with_all = ["vxlan", "stripped_vlan", "scattered"])]
    pub from_host: Option<String>,
    /// The frame.
    #[command(flatten)]
    pub frame: FrameOptions,
    /// The device removed a VLAN tag from the frame, as net_af_packet does.
    #[arg(long)]
    pub stripped_vlan: bool,
    /// The frame is spread over several buffers.
    #[arg(long)]
    pub scattered: bool,
    /// Also explain this reason, for which such a frame was dropped earlier.
    #[arg(long, value_name = "REASON")]
    pub was: Option<String>,
    /// The port where it was dropped; default: the one that received it.
    #[arg(long, value_name = "PORT", requires = "was")]
    pub was_port: Option<String>,
    /// The switch.
    #[command(flatten)]
    pub target: Target,
}

/// Runs `vswitch explain`.
pub(super) fn explain(options: &Explain, client: &Client) -> Result<Exit, ClientError> {
    let frame = match frame(options, client)? {
        Ok(frame) => frame,
        Err(what) => {
            note(format_args!("vswitch: error: {what}"));
            return Ok(Exit::Usage);
        }
    };
    let from = match (&options.from_host, &options.port) {
        (Some(vtep), _) => Origin::Vtep(vtep.clone()),
        (None, port) => Origin::Port(port.clone().unwrap_or_default()),
    };
    let port = options.was_port.clone();
    let request = ExplainRequest {
        from,
        frame,
        stripped_vlan: options.stripped_vlan,
        scattered: options.scattered,
        was: options.was.clone().map(|reason| Was { reason, port }),
    };
    let progress = Progress::begin("asking the switch");
    let answer = client.post("/v1/explain", Some(&request))?;
    drop(progress);
    if options.target.json {
        return Ok(print_json(&answer.body));
    }
    Ok(print(&text(&answer.read()?, Look::of_output())))
}

/// The frame in hexadecimal, or what is wrong with the options.
fn frame(options: &Explain, client: &Client) -> Result<Result<String, String>, ClientError> {
    let given = match options.frame.given() {
        Ok(given) => given,
        Err(what) => return Ok(Err(what)),
    };
    let given = given.map(|given| {
        given.note.into_iter().for_each(note);
        given.bytes
    });
    let Some((vni, from)) = options.frame.vxlan.zip(options.frame.from_vtep) else {
        let options = options.frame.hex.clone().unwrap_or_default();
        return Ok(Ok(given.map_or(options, |bytes| hex::text(&bytes))));
    };
    let Some(inner) = given else {
        let what = "--vxlan: not with --hex\nhelp: give the frame by --dst and --src, or by --pcap";
        return Ok(Err(what.to_owned()));
    };
    let vteps: Vec<VtepRow> = client.get("/v1/vteps")?.read()?;
    let port = options.port.clone().unwrap_or_default();
    let Some(vtep) = vteps.iter().find(|vtep| vtep.port == port) else {
        let uplinks: Vec<_> = vteps.iter().map(|vtep| plain(&vtep.port)).collect();
        let uplinks = if uplinks.is_empty() { "none".to_owned() } else { uplinks.join(", ") };
        return Ok(Err(format!(
            "--vxlan: port {port} is the uplink of no VTEP\nhelp: tunnel frames arrive at \
             uplinks: {uplinks}"
        )));
    };
    Ok(tunnelled(&inner, vni, from, vtep).map(|frame| hex::text(&frame)))
}

/// Lines with a label in their margin.
struct Page {
    look: Look,
    text: String,
}

impl Page {
    fn line(&mut self, what: &str, colour: Option<AnsiColor>, says: &str) {
        let padded = format!("{what:MARGIN$}");
        let what = match colour {
            Some(colour) => self.look.paint(colour.on_default().bold(), &padded),
            None => padded,
        };
        self.text
            .push_str(&format!("{what}{}\n", plain(says).replace('\n', " ")).replace(" \n", "\n"));
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    fn layers(&mut self, layers: &[Layer]) {
        for layer in layers {
            self.line("", None, &format!("  {layer}"));
        }
    }

    fn reason(&mut self, reason: &Reason) {
        let cause = &reason.cause;
        self.line("  means", None, &reason.meaning);
        self.line("  because", None, &format!("{} ({})", cause.configured, cause.pointer));
        let what = if cause.by_configuration { "  change" } else { "  remedy" };
        self.line(what, Some(AnsiColor::Yellow), &cause.remedy);
    }
}

/// The explanation as text.
fn text(explanation: &Explanation, look: Look) -> String {
    let mut page = Page { look, text: String::new() };
    let is_dropped = explanation.verdict == answer::Outcome::Dropped;
    let colour = if is_dropped { AnsiColor::Red } else { AnsiColor::Green };
    page.text.push_str(&look.paint(colour.on_default().bold(), &plain(&explanation.summary)));
    page.blank();
    page.blank();
    let from = match &explanation.from {
        Origin::Port(port) => format!("on port {port}"),
        Origin::Vtep(vtep) => {
            format!("from the kernel, through the host interface of VTEP {vtep}")
        }
    };
    page.line("frame", None, &format!("{} bytes {from}", explanation.frame.length));
    page.layers(&explanation.frame.layers);
    for step in &explanation.steps {
        page.line(&step.stage, step.drops.then_some(AnsiColor::Red), &step.says);
    }
    for copy in explanation.copies.iter().take(SHOWN) {
        page.blank();
        copied(&mut page, copy);
    }
    let more = explanation.copies.len().saturating_sub(SHOWN) as u64 + explanation.copies_left_out;
    if more > 0 {
        page.blank();
        page.line("leaves", None, &format!("{more} more copies (the first 1000 are in --json)"));
    }
    for drop in explanation.drops.iter().take(SHOWN) {
        page.blank();
        let to =
            drop.to.as_ref().map_or(String::new(), |to| format!(" on its way to {}", location(to)));
        let network = match &*drop.network {
            "" => String::new(),
            network => format!(", network {network}"),
        };
        let (reason, length) = (&drop.reason.reason, drop.length);
        let says = format!("{reason}: {length} bytes{to}, counted at port {}{network}", drop.port);
        page.line("dropped", Some(AnsiColor::Red), &says);
        page.reason(&drop.reason);
    }
    let more = explanation.drops.len().saturating_sub(SHOWN) as u64 + explanation.drops_left_out;
    if more > 0 {
        page.blank();
        page.line("dropped", None, &format!("{more} more copies (the first 1000 are in --json)"));
    }
    if let Some(was) = &explanation.was {
        page.blank();
        page.line("was", Some(AnsiColor::Red), &format!("{}, earlier", was.reason));
        page.reason(was);
    }
    page.text
}

fn location(to: &Whereabouts) -> String {
    match (&to.port, &to.remote_vtep) {
        (Some(port), _) => format!("port {port}"),
        (None, Some(remote)) => format!("remote VTEP {remote}"),
        (None, None) => "nowhere".to_owned(),
    }
}

fn copied(page: &mut Page, copy: &answer::Copy) {
    let to = match &copy.to {
        answer::Exit::Port(port) => format!("by port {port}"),
        answer::Exit::Vtep(vtep) => {
            format!("to the kernel, through the host interface of VTEP {vtep}")
        }
    };
    let tunnel = copy.encapsulated.as_ref().map_or(String::new(), |tunnel| {
        format!(", encapsulated for {} with VNI {}", tunnel.remote_vtep, tunnel.vni)
    });
    let says = format!("{to}{tunnel}: {} bytes", copy.frame.length);
    page.line("leaves", Some(AnsiColor::Green), &says);
    if copy.differences.is_empty() {
        page.line("", None, "  unchanged");
        return;
    }
    page.layers(&copy.frame.layers);
    for edit in &copy.differences {
        page.line("", None, &format!("  {}", difference(edit)));
    }
}

fn shortened(hex: &str) -> String {
    match hex.get(..2 * SHOWN_BYTES).filter(|begin| begin.len() < hex.len()) {
        Some(begin) => format!("{begin}…"),
        None => hex.to_owned(),
    }
}

fn difference(edit: &Edit) -> String {
    let bytes = |length: &usize| count(*length, "byte");
    match edit {
        Edit::Removed { at, length, hex } => {
            format!("- {} at {at}: {}", bytes(length), shortened(hex))
        }
        Edit::Put { at, length, hex } => format!("+ {} at {at}: {}", bytes(length), shortened(hex)),
        Edit::Changed { at, length, before, after } => {
            format!("~ {} at {at}: {} → {}", bytes(length), shortened(before), shortened(after))
        }
    }
}
