//! Has the table take its atomics from loom.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cfg=vswitch_loom");
}
