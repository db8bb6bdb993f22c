//! What the switch would do with a frame.

use std::sync::PoisonError;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::response::{Answer, json, to_json, with_etag};
use crate::api::app::App;
use crate::api::conflict::{no_such_reason, not_found};
use crate::api::control::run_blocking;
use crate::api::extract::{JsonBody, NoQuery};
use crate::api::problem::{Kind, Problem, Source};
use crate::explain::answer::{Explanation, Origin};
use crate::explain::io::RxFlags;
use crate::explain::{Question, Unknown};
use crate::hex::{self, HexError};
use crate::metrics::drop_reason::DropReason;

/// The longest frame in bytes: the maximum length of a packet buffer.
pub const MAX_FRAME: usize = 65_535;

/// A frame to explain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExplainRequest {
    /// Where the frame comes from.
    pub from: Origin,
    /// The bytes from the Ethernet header on, without FCS, two hexadecimal digits each. White
    /// space, and colons between bytes, are ignored.
    #[schema(example = "ffffffffffff 020000000001 88b5 0000", max_length = 400_000)]
    pub frame: String,
    /// The device has stripped a VLAN tag (as `net_af_packet` does).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stripped_vlan: bool,
    /// The device has spread the frame over several buffers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scattered: bool,
    /// A former drop of this frame, explained beside what would happen now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub was: Option<Was>,
}

/// A former drop of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Was {
    /// The drop reason, as in `GET /v1/drops`.
    #[schema(example = "transmit_queue_full")]
    pub reason: String,
    /// Name of the port where the frame was dropped; by default the one in `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub port: Option<String>,
}

fn invalid(pointer: &str, detail: impl Into<String>, help: impl Into<String>) -> Problem {
    Problem::of_value(Kind::Invalid, Source::Body, pointer, detail, help)
}

/// Parses the bytes of a frame.
fn bytes_of(text: &str) -> Result<Vec<u8>, Problem> {
    let whole = "send two hexadecimal digits for each byte, from the Ethernet header on";
    let bytes = hex::bytes(text).map_err(|error| match error {
        HexError::NoDigit(c, at) => {
            let detail =
                format!("`{}` at character {at} is not a hexadecimal digit", c.escape_debug());
            invalid("/frame", detail, "send two of 0 to 9 and a to f for each byte")
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
    not_found(what, name, known.iter().map(String::as_str), Source::Body, at)
}

/// What the switch would do with a frame now, and why: the decision of each stage, the FDB entries
/// it depends on, the frames that would leave, or the drop reason with the setting that causes it.
/// Nothing is sent, learned or counted.
#[utoipa::path(post, path = "/v1/explain", tag = "state", request_body = ExplainRequest,
    responses((status = 200, description = "The explanation", body = Explanation)))]
pub(super) async fn explain(
    State(app): State<App>,
    _: NoQuery,
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
    let body = run_blocking(move || to_json(&trace.explanation())).await?;
    Ok(with_etag(json(axum::http::StatusCode::OK, body), generation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_may_have_separators() {
        for text in ["0a0B ff", "0a:0b:ff", " 0a0bff\n", "0a 0b\nff"] {
            assert_eq!(bytes_of(text).unwrap(), [0x0a, 0x0b, 0xff], "{text}");
        }
        let long = "00".repeat(MAX_FRAME + 1);
        for (text, part) in [
            ("", "empty"),
            (" : ", "empty"),
            ("0", "middle of a byte"),
            ("0g", "`g` at character 2"),
            ("0x00", "`x` at character 2"),
            ("00é", "`é` at character 3"),
            (&*long, "65536 bytes"),
        ] {
            let problem = bytes_of(text).unwrap_err();
            assert!(problem.detail.contains(part), "{}", problem.detail);
            assert_eq!((problem.status, &*problem.errors[0].pointer), (422, "/frame"));
        }
    }
}
