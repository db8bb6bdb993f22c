//! What a terminal gets that a pipe does not: questions, colours, its own width.

use std::fs::File;
use std::io::{Read as _, Write as _};

use nix::pty::{Winsize, openpty};

use crate::served::{CONFIG, Served};
use crate::typed::{file, text, vswitch};

/// Types a line on a terminal, and an answer; returns the exit status and all that was to be seen.
pub fn on_a_terminal(
    served: &Served,
    line: &[&str],
    answer: &str,
    columns: u16,
    environment: &[(&str, &str)],
) -> (i32, String) {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None).unwrap();
    let mut command = vswitch();
    command.args(line).env("VSWITCH_SOCKET", &served.path);
    command.env("TERM", "xterm").env_remove("NO_COLOR").envs(environment.iter().copied());
    let end = || terminal.slave.try_clone().unwrap();
    command.stdin(end()).stdout(end()).stderr(end());
    let mut child = command.spawn().unwrap();
    drop((command, terminal.slave));
    let mut master = File::from(terminal.master);
    master.write_all(answer.as_bytes()).unwrap();
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    // Ends with an error when nobody has the other end any more.
    while let Ok(length) = master.read(&mut piece) {
        if length == 0 {
            break;
        }
        seen.extend_from_slice(&piece[..length]);
    }
    let status = child.wait().unwrap().code().unwrap();
    (status, String::from_utf8(seen).unwrap().replace("\r\n", "\n"))
}

const NO_COLOUR: &[(&str, &str)] = &[("NO_COLOR", "1")];

#[test]
fn what_interrupts_traffic_is_asked_about() {
    let served = Served::default();
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, &CONFIG.replace("vni = 200", "vni = 201"));
    let apply = ["apply", text(&path)];
    let question = "1 step interrupts traffic. Apply? [y/N] ";
    for no in ["n\n", "\n", "\u{4}"] {
        let (status, seen) = on_a_terminal(&served, &apply, no, 200, NO_COLOUR);
        assert_eq!(status, 1, "{seen}");
        assert!(seen.contains("~ network red: vni 200 → 201\n"), "{seen}");
        assert!(seen.contains(question) && seen.contains("nothing was changed"), "{seen}");
        assert_eq!(served.get("/v1/config").ok().etag(), "\"1\"");
    }
    let (status, seen) = on_a_terminal(&served, &apply, "y\n", 200, NO_COLOUR);
    assert_eq!(status, 0, "{seen}");
    assert!(seen.contains(question) && seen.contains("applied: generation 2\n"), "{seen}");
    // Once, before the question.
    assert_eq!(seen.matches("vni 200 → 201").count(), 1, "{seen}");
}

#[test]
fn what_loses_no_frame_and_what_is_agreed_to_is_not_asked_about() {
    let served = Served::default();
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, &CONFIG.replace("vni = 200", "vni = 200\nmac-ageing-secs = 60"));
    let (status, seen) = on_a_terminal(&served, &["apply", text(&path)], "", 200, NO_COLOUR);
    assert_eq!(status, 0, "{seen}");
    assert!(!seen.contains("[y/N]") && seen.contains("generation 2"), "{seen}");
    let path = file(&folder, &CONFIG.replace("vni = 200", "vni = 201"));
    let (status, seen) =
        on_a_terminal(&served, &["apply", text(&path), "--yes"], "", 200, NO_COLOUR);
    assert_eq!(status, 0, "{seen}");
    assert!(!seen.contains("[y/N]") && seen.contains("generation 3"), "{seen}");
}

#[test]
fn a_table_fits_and_is_coloured_unless_that_is_not_wanted() {
    let served = Served::default();
    let show = ["show", "networks"];
    let piped = served.types("show networks").ok();
    let (_, wide) = on_a_terminal(&served, &show, "", 200, NO_COLOUR);
    assert_eq!(wide, piped);
    let (_, dumb) = on_a_terminal(&served, &show, "", 200, &[("TERM", "dumb")]);
    assert_eq!(dumb, piped);
    let (_, coloured) = on_a_terminal(&served, &show, "", 200, &[]);
    assert!(coloured.contains("\u{1b}[1m"), "{coloured:?}");
    let (_, narrow) = on_a_terminal(&served, &["show", "ports"], "", 40, NO_COLOUR);
    assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
    for row in served.types("show ports --json").json().as_array().unwrap() {
        assert!(narrow.contains(row["name"].as_str().unwrap()), "{narrow}");
    }
}
