//! The `vswitch` binary: the only place that exits the process.

use std::process::ExitCode;

fn main() -> ExitCode {
    vswitch::metrics::build_info::set_revision(vswitch_revision::revision!());
    vswitch::cli::main(std::env::args_os()).into()
}
