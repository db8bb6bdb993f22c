//! `vswitch capture` and `vswitch show dropped-frames`.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vswitch::metrics::drop_reason::DropReason;

use crate::served::Served;
use crate::terminal::on_a_terminal;
use crate::typed::{ended, text, vswitch};

const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

fn is_summary(line: &str, frames: &str) -> bool {
    line.starts_with(frames) && line.contains(" missed (no room: ") && line.ends_with(')')
}

#[test]
fn a_capture_goes_to_a_file_and_its_end_to_the_standard_error() {
    let served = Served::default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames.pcapng");
    let line = format!("capture --reason runt -c 3 -w {}", text(&path));
    let done = served.types(&line);
    assert_eq!((done.status, done.out.as_str()), (0, ""), "{done:?}");
    assert!(is_summary(done.err.trim_end(), "3 frames captured, "), "{done:?}");
    assert!(std::fs::read(&path).unwrap().starts_with(&MAGIC));
    let refused = served.types("capture -c 3 -w /nowhere/f").failed(1);
    assert!(refused.contains("cannot write /nowhere/f"), "{refused}");
}

#[test]
fn a_capture_that_is_refused_leaves_the_file_of_another_alone() {
    let served = Served::default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("yesterday.pcapng");
    std::fs::write(&path, "frames").unwrap();
    let refused = [
        ("--port nobody", 1),
        ("--filter protochain", 2),
        ("--reason nothing", 2),
        ("--socket /nowhere/s", 1),
    ];
    for (words, status) in refused {
        served.types(&format!("capture {words} -w {}", text(&path))).failed(status);
        assert_eq!(std::fs::read(&path).unwrap(), b"frames", "{words}");
    }
}

#[test]
fn a_pipe_gets_the_file_as_it_comes() {
    let served = Served::default();
    let mut command = vswitch();
    command.args(["capture", "--for", "1s", "--stage", "dropped"]);
    command.env("VSWITCH_SOCKET", &served.path);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.starts_with(&MAGIC));
    assert!(is_summary(String::from_utf8_lossy(&output.stderr).trim_end(), ""), "{output:?}");
}

#[test]
fn a_terminal_gets_words_and_never_the_file() {
    let served = Served::default();
    let line = ["capture", "--reason", "unknown_vni", "--count", "2"];
    let (status, seen) = on_a_terminal(&served, &line, "", 200, &[]);
    let lines: Vec<_> = seen.lines().collect();
    assert_eq!((status, lines.len()), (0, 3), "{seen}");
    let words = "Z  02:00:00:00:00:01 → 02:00:00:00:00:02 EtherType 0x88b5, 60 bytes; dropped at port uplink, \
                 no network, dropped: unknown_vni, generation 1";
    assert!(lines[..2].iter().all(|line| line.ends_with(words)), "{seen}");
    assert!(is_summary(lines[2], "2 frames captured, "), "{seen}");
    let (status, seen) = on_a_terminal(&served, &["capture", "-w", "-"], "", 200, &[]);
    assert_eq!(status, 2, "{seen}");
    assert!(seen.contains("| tshark -r -"), "{seen}");
}

#[test]
fn an_interrupt_ends_it_well() {
    let served = Served::default();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut command = vswitch();
        command.args(["capture", "--network", "red", "--stage", "received"]);
        command.env("VSWITCH_SOCKET", &served.path);
        let child = command.spawn().unwrap();
        let began = Instant::now();
        while served.get("/v1/captures").ok().body == "[]" {
            assert!(began.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(10));
        }
        // The handlers are set before it asks.
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert_eq!(said, "0 frames captured, 0 missed (no room: 0, over budget: 0)\n");
        assert!(output.stdout.starts_with(&MAGIC));
    }
}

#[test]
fn what_is_typed_wrong_is_explained() {
    let served = Served::default();
    for (line, status, words) in [
        ("capture --port nobody", 1, "there is no port `nobody`"),
        ("capture --reason nothing", 2, "there is no drop reason `nothing`"),
        ("capture --json", 2, "tshark -T json"),
        ("capture port (", 2, "filter: "),
        ("capture --for 1ms", 2, "whole seconds"),
        ("show ports --reason runt", 2, "show dropped-frames"),
        ("show dropped-frames --port nobody", 1, "there is no port `nobody`"),
    ] {
        let said = served.types(line).failed(status);
        assert!(said.contains(words), "{line}: {said}");
    }
    let mut nobody = vswitch();
    nobody.args(["capture", "--socket", "/nowhere/s"]);
    let said = ended(nobody, "").failed(1);
    assert!(said.contains("is the switch running?"), "{said}");
}

#[test]
fn the_frames_that_were_dropped_last_are_shown_and_written() {
    let served = Served::default();
    served.get("/v1/ports").ok();
    let shown = served.types("show dropped-frames").ok();
    for reason in DropReason::ALL {
        let words = format!("Z  {} at port uplink, generation 1, 60 bytes: 02:00", reason.label());
        assert!(shown.contains(&words), "{words}: {shown}");
    }
    let one = served.types("show dropped-frames --reason runt").ok();
    assert!(one.lines().all(|line| line.contains("Z  runt at port ")), "{one}");
    assert_eq!(served.types("show dropped-frames --network red").ok(), "no frames were dropped\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dropped.pcapng");
    let said = served.types(&format!("show dropped-frames -w {}", text(&path))).ok();
    assert!(said.ends_with(" frames\n"), "{said}");
    assert!(std::fs::read(&path).unwrap().starts_with(&MAGIC));
    let json = served.types("show dropped-frames --json").json();
    assert!(json.as_array().unwrap().len() >= DropReason::COUNT);
}
