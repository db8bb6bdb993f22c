//! The `vswitch` binary.

fn main() {}
