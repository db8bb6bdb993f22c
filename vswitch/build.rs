//! Tells the crate which compiler builds it, for `vswitch_build_info`.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    // "rustc 1.95.0 (59807616e 2026-04-14)"
    let output = Command::new(rustc).arg("--version").output().ok();
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
    let version = text.as_deref().and_then(|text| text.split_whitespace().nth(1));
    println!("cargo:rustc-env=VSWITCH_RUSTC={}", version.unwrap_or("unknown"));
}
