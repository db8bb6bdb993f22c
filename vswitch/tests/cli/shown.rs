//! What is printed: tables, JSON, events, completions, manual pages.

use std::io::{BufRead as _, BufReader};

use serde_json::Value;
use vswitch::control::events::Happening;

use crate::served::Served;
use crate::typed::{ended, vswitch};

#[test]
fn json_is_the_apis_own() {
    let served = Served::default();
    for what in ["ports", "networks", "vteps", "workers", "drops", "fdb", "config"] {
        let shown = served.types(&format!("show {what} --json")).ok();
        let said = served.get(&format!("/v1/{what}")).ok().body;
        assert_eq!(shown, format!("{said}\n"), "{what}");
    }
}

#[test]
fn a_pipe_gets_no_colours_whatever_the_environment_says() {
    let served = Served::default();
    let mut command = vswitch();
    command.args(["show", "ports", "--socket"]).arg(&served.path);
    command.env("TERM", "xterm-256color").env("CLICOLOR_FORCE", "1").env("COLUMNS", "40");
    let text = ended(command, "").ok();
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert_eq!(text.lines().count(), 5, "{text}");
}

#[test]
fn events_are_followed_until_the_switch_ends() {
    let served = Served::default();
    let mut child = vswitch().arg("events").env("VSWITCH_SOCKET", &served.path).spawn().unwrap();
    let mut json =
        vswitch().args(["events", "--json", "--socket"]).arg(&served.path).spawn().unwrap();
    while served.events.clients() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    served.events.tell(Happening::PortDown { port: "a".into() });
    served.types("network delete red").ok();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert!(line.ends_with("Z  port-down                  port a"), "{line}");
    let line = lines.next().unwrap().unwrap();
    assert!(line.ends_with("Z  configuration-applied      generation 2"), "{line}");
    let mut lines = BufReader::new(json.stdout.take().unwrap()).lines();
    let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!((&event["kind"], &event["port"]), (&"port-down".into(), &"a".into()));
    drop(served);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("the switch ended the stream\nhelp: "), "{said}");
    assert_eq!(json.wait().unwrap().code(), Some(1));
}

#[test]
fn completions_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let mut command = vswitch();
        command.args(["completions", shell]);
        let script = ended(command, "").ok();
        for word in ["roll-back", "remote-vtep", "confirm-within"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn manual_pages_are_written_for_all_commands() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = vswitch();
    command.arg("man").arg(folder.path().join("man1"));
    let said = ended(command, "").ok();
    assert!(said.contains(" pages in "), "{said}");
    let mut command = vswitch();
    command.arg("man");
    let page = ended(command, "").ok();
    let written = std::fs::read_to_string(folder.path().join("man1/vswitch.1")).unwrap();
    assert!(page.starts_with(".ie") && written.starts_with(".ie"), "{page}");
}

#[test]
fn help_and_usage_say_how_they_end() {
    let mut command = vswitch();
    command.arg("--help");
    let help = ended(command, "").ok();
    assert!(help.contains("3 `plan` found a difference"), "{help}");
    let mut command = vswitch();
    command.args(["network", "create", "x"]);
    let said = ended(command, "").failed(2);
    assert!(said.contains("--vni <N>"), "{said}");
}
