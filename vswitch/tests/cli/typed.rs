//! What was typed, and what came of it.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::served::Served;

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// What it printed, and that all is well.
    pub fn ok(self) -> String {
        assert_eq!(self.status, 0, "{self:?}");
        self.out
    }

    pub fn json(self) -> Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
    }

    /// What it complained about, and that it ended so.
    pub fn failed(self, status: i32) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        self.err
    }
}

/// The binary, with nothing of the environment that means something to it.
pub fn vswitch() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vswitch"));
    command.env_remove("VSWITCH_SOCKET").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn ended(mut command: Command, input: &str) -> Ended {
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().unwrap();
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    Ended {
        status: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Served {
    /// Types a line; its words have no spaces in them.
    pub fn types(&self, line: &str) -> Ended {
        self.typed(line.split(' '), "")
    }

    pub fn typed(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>, input: &str) -> Ended {
        let mut command = vswitch();
        command.args(words).env("VSWITCH_SOCKET", &self.path);
        ended(command, input)
    }
}

/// A file with this text, for as long as the folder is there.
pub fn file(folder: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("vswitch.toml");
    std::fs::write(&path, text).unwrap();
    path
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
