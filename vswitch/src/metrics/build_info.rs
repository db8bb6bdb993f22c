//! From what the running binary was built. The binary sets its revision when it starts; a revision
//! compiled into the library would have every commit compile the library anew.

use std::sync::OnceLock;

static REVISION: OnceLock<&str> = OnceLock::new();

/// The version of the release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The version of the compiler.
pub const RUSTC: &str = env!("VSWITCH_RUSTC");

/// Sets the revision, once for each process.
pub fn set_revision(revision: &'static str) {
    let _ = REVISION.set(revision);
}

/// The revision that the binary set, else "unknown".
#[must_use]
pub fn revision() -> &'static str {
    REVISION.get().copied().unwrap_or("unknown")
}
