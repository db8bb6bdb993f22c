//! The commit that a binary is built from.
//!
//! A macro rather than a build script: what a build script says goes to all of its package, so each
//! commit would compile the library anew, which takes minutes. A macro concerns only the file that
//! names it, here `main.rs`.

use std::env;
use std::fmt::Write as _;
use std::process::Command;

use proc_macro::TokenStream;

/// The revision as a string: what `VSWITCH_REVISION` says at the build, else the commit that is
/// checked out, else "unknown".
#[proc_macro]
pub fn revision(_: TokenStream) -> TokenStream {
    // Each constant has cargo compile the file again when what it names changes.
    let mut code = "{ const _: Option<&str> = option_env!(\"VSWITCH_REVISION\");".to_owned();
    let revision = env::var("VSWITCH_REVISION").ok().or_else(|| {
        let (revision, files) = commit()?;
        for file in files {
            let _ = write!(code, "const _: &[u8] = include_bytes!({file:?});");
        }
        Some(revision)
    });
    let _ = write!(code, "{:?} }}", revision.as_deref().unwrap_or("unknown"));
    code.parse().expect("an expression")
}

/// The commit, and the files that change with it. None without git or outside a repository of
/// vswitch: a source archive may lie in the repository of something else.
fn commit() -> Option<(String, Vec<String>)> {
    let package = env::var("CARGO_MANIFEST_DIR").ok()?;
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(&package).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    git(&["rev-parse", "--show-prefix"]).filter(|prefix| prefix == "vswitch/")?;
    // HEAD may name a branch, and stays the same when the branch gets a commit; its log then has a
    // line more.
    let files = ["HEAD", "logs/HEAD"].iter().filter_map(|name| {
        let path = git(&["rev-parse", "--path-format=absolute", "--git-path", name])?;
        std::fs::exists(&path).is_ok_and(|exists| exists).then_some(path)
    });
    Some((git(&["rev-parse", "--short=12", "HEAD"])?, files.collect()))
}
