//! `vswitch bench` as it is called: what it prints where, and with which status.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

fn bench(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vswitch"));
    command.arg("bench").args(arguments.split_whitespace()).output().unwrap()
}

#[test]
fn json_has_the_documented_fields_and_nothing_else_is_printed() {
    for (scenario, more) in
        [("decap", "--networks 10 --vteps 10 --size 512"), ("learn", "--macs 1000")]
    {
        let output = bench(&format!("--scenario {scenario} {more} --seconds 0.2 --json"));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "no progress bar where there is no terminal");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let documentation = include_str!("../../docs/bench.md");
        for field in json.as_object().unwrap().keys() {
            assert!(documentation.contains(&format!("`{field}`")), "{field} is not documented");
        }
        assert_eq!(json["scenario"], scenario);
        assert_eq!(json["frames"]["unaccounted"], 0);
        assert!(json["mpps"]["median"].as_f64().unwrap() > 0.0, "{text}");
        assert!(json["cpu"]["model"].is_string());
        assert_eq!(json.get("storm").is_some(), scenario == "learn");
    }
}

#[test]
fn what_makes_no_sense_is_status_2_with_the_reason() {
    for (arguments, reason) in [
        ("--scenario encap --macs 0", "--macs 0"),
        ("--scenario encap --size 63", "--size 63"),
        ("--scenario encap --size 9000", "2048"),
        ("--scenario encap --workers 5000", "--workers 5000: each needs a core"),
        ("--scenario encap --networks 5000", "raise --macs"),
        ("--scenario upside-down", "possible values: l2"),
        ("", "--scenario"),
    ] {
        let output = bench(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {error}");
        assert!(error.contains(reason), "{arguments}: {error}");
        assert!(output.stdout.is_empty());
    }
}
