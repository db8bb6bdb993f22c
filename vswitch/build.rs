//! Tells the crate which compiler builds it, for `vswitch_build_info`.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("--version").output();
    let version = said.ok().and_then(|said| {
        // "rustc 1.95.0 (59807616e 2026-04-14)"
        String::from_utf8(said.stdout).ok()?.split_whitespace().nth(1).map(str::to_owned)
    });
    println!("cargo:rustc-env=VSWITCH_RUSTC={}", version.as_deref().unwrap_or("unknown"));
}
