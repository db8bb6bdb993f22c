//! `vswitch events`: the events of a running switch, live.

use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use anstyle::AnsiColor;
use serde::Deserialize;

use super::client::{Client, ClientError};
use super::options::Target;
use super::output::{Exit, emit, plain};
use super::terminal::Look;
use crate::control::events::{Event, Happening, RollBackReason, Whereabouts};

/// Prints events until the output is closed, or the switch ends.
pub(super) fn events(target: &Target, client: &Client) -> Result<Exit, ClientError> {
    let look = Look::of_output();
    client.follow(|event, data| {
        let line = if target.json { as_json(event, data) } else { as_text(event, data, look) };
        match emit(&line) {
            Some(end) => ControlFlow::Break(end),
            None => ControlFlow::Continue(()),
        }
    })
}

#[derive(Deserialize)]
struct Missed {
    count: u64,
}

/// One object on one line. The API reports missed events apart from the others; here they are
/// among them.
fn as_json(event: &str, data: &str) -> String {
    match serde_json::from_str::<Missed>(data) {
        Ok(Missed { count }) if event == "missed" => {
            format!("{{\"kind\":\"missed\",\"count\":{count}}}\n")
        }
        _ => format!("{data}\n"),
    }
}

fn as_text(event: &str, data: &str, look: Look) -> String {
    if event == "missed" {
        let count = serde_json::from_str(data).map_or(0, |Missed { count }| count);
        let text = format!("{count} events were missed: they came faster than they were read");
        return format!("{}\n", look.paint(AnsiColor::Yellow.on_default(), &text));
    }
    // A newer switch knows more kinds of events.
    let Ok(Event { unix_millis, what, .. }) = serde_json::from_str(data) else {
        return format!("{}\n", plain(&format!("{event} {data}")));
    };
    let when = SystemTime::UNIX_EPOCH + Duration::from_millis(unix_millis);
    let when = humantime::format_rfc3339_millis(when);
    let name = look.paint(style(&what), &format!("{:25}", what.name()));
    format!("{when}  {name}  {}\n", plain(&details(&what)))
}

fn style(what: &Happening) -> anstyle::Style {
    match what {
        Happening::PortUp { .. } | Happening::ConfigurationConfirmed { .. } => {
            AnsiColor::Green.on_default()
        }
        Happening::PortDown { .. } | Happening::MacRefused { .. } => AnsiColor::Red.on_default(),
        Happening::MacMoved { .. } | Happening::ConfigurationRolledBack { .. } => {
            AnsiColor::Yellow.on_default()
        }
        _ => anstyle::Style::new(),
    }
}

fn location(at: &Whereabouts) -> String {
    match (&at.port, &at.remote_vtep) {
        (Some(port), _) => format!("port {port}"),
        (None, Some(remote)) => format!("vtep {remote}"),
        (None, None) => "-".to_owned(),
    }
}

fn details(what: &Happening) -> String {
    match what {
        Happening::MacLearned { network, mac, at }
        | Happening::MacAged { network, mac, at }
        | Happening::MacRefused { network, mac, at } => {
            format!("{mac} in network {network} at {}", location(at))
        }
        Happening::MacMoved { network, mac, at, from } => {
            format!("{mac} in network {network} from {} to {}", location(from), location(at))
        }
        Happening::PortUp { port } | Happening::PortDown { port } => format!("port {port}"),
        Happening::ConfigurationApplied { generation, confirm_within_secs: None }
        | Happening::ConfigurationConfirmed { generation } => format!("generation {generation}"),
        Happening::ConfigurationApplied { generation, confirm_within_secs: Some(secs) } => {
            format!("generation {generation}, to be confirmed within {secs} s")
        }
        Happening::ConfigurationRolledBack { generation, reason } => {
            let why = match reason {
                RollBackReason::Expired => "nobody confirmed in time",
                RollBackReason::Asked => "somebody asked for it",
                RollBackReason::NotSaved => "it could not be saved",
            };
            format!("generation {generation}: {why}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let data = r#"{"sequence":1,"unix_millis":0,"kind":"mac-moved","network":"blue",
            "mac":"02:00:00:00:00:0a","port":"b","from":{"remote_vtep":"198.51.100.2"}}"#;
        assert_eq!(
            as_text("mac-moved", data, Look::default()),
            "1970-01-01T00:00:00.000Z  mac-moved                  \
             02:00:00:00:00:0a in network blue from vtep 198.51.100.2 to port b\n"
        );
        assert_eq!(as_json("missed", "{\"count\":3}"), "{\"kind\":\"missed\",\"count\":3}\n");
        assert!(as_text("missed", "{\"count\":3}", Look::default()).starts_with("3 events"));
        assert_eq!(
            as_text("new", "{\"a\":\"\u{1b}\"}", Look::default()),
            "new {\"a\":\"\u{fffd}\"}\n"
        );
    }
}
