//! Tells the crate which compiler builds it, and from which commit, for `vswitch_build_info`.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=VSWITCH_REVISION");
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    // "rustc 1.95.0 (59807616e 2026-04-14)"
    let version = said(&rustc, &["--version"]);
    let version = version.as_deref().and_then(|said| said.split_whitespace().nth(1));
    let revision = env::var("VSWITCH_REVISION").ok().or_else(commit);
    println!("cargo:rustc-env=VSWITCH_RUSTC={}", version.unwrap_or("unknown"));
    println!("cargo:rustc-env=VSWITCH_REVISION={}", revision.as_deref().unwrap_or("unknown"));
}

/// The commit that is checked out. None if there is no git, or no repository of ours: a source archive may lie in another's.
fn commit() -> Option<String> {
    let git = |words: &[&str]| said("git", words);
    git(&["rev-parse", "--show-prefix"]).filter(|prefix| prefix == "vswitch/")?;
    // HEAD may name a branch, and stays the same when that gets a commit; its log then has a line more.
    for name in ["HEAD", "logs/HEAD"] {
        let file = git(&["rev-parse", "--git-path", name])?;
        // One that is not there would have the crate built anew each time.
        if Path::new(&file).exists() {
            println!("cargo:rerun-if-changed={file}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

/// The line that a command says, if it does so with success.
fn said(command: &str, words: &[&str]) -> Option<String> {
    let done =
        Command::new(command).args(words).output().ok().filter(|done| done.status.success())?;
    String::from_utf8(done.stdout).ok().map(|said| said.trim().to_owned())
}
