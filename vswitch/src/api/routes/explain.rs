//! What would become of a frame.

use std::sync::PoisonError;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, App, json, with_etag, written};
use crate::api::control::aside;
use crate::api::extract::{JsonBody, NoParams};
use crate::api::problem::{Kind, Place, Problem, ValueProblem};
use crate::api::refusal::{absent, no_such_reason};
use crate::explain::answer::{Explanation, Origin};
use crate::explain::io::RxFlags;
use crate::explain::{Question, Unknown};
use crate::hex::{self, HexError};
use crate::metrics::drop_reason::DropReason;

/// The longest frame, in bytes: what a packet buffer's length can say.
pub const MAX_FRAME: usize = 65_535;

/// A frame to be explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExplainRequest {
    /// Where it comes from.
    pub from: Origin,
    /// Its bytes from the Ethernet header on, without FCS, two hexadecimal digits each. Blanks, and colons
    /// between bytes, are ignored.
    #[schema(example = "ffffffffffff 020000000001 88b5 0000", max_length = 400_000)]
    pub frame: String,
    /// The device took a VLAN tag off it (as `net_af_packet` does).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stripped_vlan: bool,
    /// The device spread it over several buffers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scattered: bool,
    /// What it was dropped for some time ago: explained beside what would happen now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub was: Option<Was>,
}

/// What a frame was dropped for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Was {
    /// The reason, as in `GET /v1/drops`.
    #[schema(example = "transmit_queue_full")]
    pub reason: String,
    /// Name of the port where it was dropped; absent: that of `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub port: Option<String>,
}

fn invalid(pointer: &str, detail: impl Into<String>, help: impl Into<String>) -> Problem {
    let detail = detail.into();
    let error = ValueProblem::new(Place::Body, pointer, detail.clone(), help);
    Problem::new(Kind::Invalid, detail).because(error)
}

/// The bytes that hexadecimal digits say.
fn bytes_of(text: &str) -> Result<Vec<u8>, Problem> {
    let whole = "write two hexadecimal digits for each byte, from the Ethernet header on";
    let bytes = hex::bytes(text).map_err(|error| match error {
        HexError::NoDigit(c, at) => {
            let detail =
                format!("`{}` at character {at} is no hexadecimal digit", c.escape_debug());
            invalid("/frame", detail, "write two of 0 to 9 and a to f for each byte")
        }
        HexError::HalfAByte => invalid("/frame", "it ends in the middle of a byte", whole),
    })?;
    if bytes.is_empty() {
        return Err(invalid("/frame", "it is empty", whole));
    }
    if bytes.len() > MAX_FRAME {
        let detail = format!("it has {} bytes", bytes.len());
        return Err(invalid("/frame", detail, format!("a frame has at most {MAX_FRAME}")));
    }
    Ok(bytes)
}

fn reason_of(label: &str) -> Result<DropReason, Problem> {
    DropReason::of_label(label).ok_or_else(|| {
        let (detail, help) = no_such_reason(label);
        invalid("/was/reason", detail, help)
    })
}

impl ExplainRequest {
    fn question(self) -> Result<Question, Problem> {
        let rx_flags = RxFlags { stripped_vlan: self.stripped_vlan, scattered: self.scattered };
        let was = self.was.map(|was| Ok((reason_of(&was.reason)?, was.port))).transpose()?;
        Ok(Question { frame: bytes_of(&self.frame)?, from: self.from, rx_flags, was })
    }
}

fn unknown(unknown: &Unknown) -> Problem {
    let (what, name, known, at) = match unknown {
        Unknown::Port(name, known) => ("port", name, known, "/from/port"),
        Unknown::Vtep(name, known) => ("VTEP", name, known, "/from/vtep"),
        Unknown::WasPort(name, known) => ("port", name, known, "/was/port"),
    };
    absent(what, name, known.iter().map(String::as_str), Place::Body, at)
}

/// What would become of a frame now, and why: each stage's decision, the FDB entries it rests on, what would
/// leave, or the drop reason with the piece of configuration that causes it. Nothing is sent, learned or counted.
#[utoipa::path(post, path = "/v1/explain", tag = "state", request_body = ExplainRequest,
    responses((status = 200, description = "What would become of it", body = Explanation)))]
pub(super) async fn explain(
    State(app): State<App>,
    _: NoParams,
    JsonBody(request): JsonBody<ExplainRequest>,
) -> Answer {
    let question = request.question()?;
    let explainer = app.explainer;
    let asked = app.control.ask(move |switch| {
        let explainer = explainer.lock().unwrap_or_else(PoisonError::into_inner);
        (switch.generation(), explainer.explain(switch.live_state(), question))
    });
    let (generation, trace) = asked.await?;
    let trace = trace.map_err(|error| unknown(&error))?;
    let body = aside(move || written(&trace.explanation())).await?;
    Ok(with_etag(json(axum::http::StatusCode::OK, body), generation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_as_people_write_it() {
        for text in ["0a0B ff", "0a:0b:ff", " 0a0bff\n", "0a 0b\nff"] {
            assert_eq!(bytes_of(text).unwrap(), [0x0a, 0x0b, 0xff], "{text}");
        }
        let long = "00".repeat(MAX_FRAME + 1);
        for (text, words) in [
            ("", "empty"),
            (" : ", "empty"),
            ("0", "middle of a byte"),
            ("0g", "`g` at character 2"),
            ("0x00", "`x` at character 2"),
            ("00é", "`é` at character 3"),
            (&*long, "65536 bytes"),
        ] {
            let problem = bytes_of(text).unwrap_err();
            assert!(problem.detail.contains(words), "{}", problem.detail);
            assert_eq!((problem.status, &*problem.errors[0].pointer), (422, "/frame"));
        }
    }
}
