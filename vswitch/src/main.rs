//! The `vswitch` binary: the only place that exits the process.

use std::process::ExitCode;

fn main() -> ExitCode {
    vswitch::cli::main(std::env::args_os()).into()
}
