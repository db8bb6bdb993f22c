//! Binds DPDK: asks `pkg-config` where it is, runs bindgen over `wrapper.h`, compiles `shim.c`.
//!
//! `pkg-config` is run here and not through its crate, which drops `-march=corei7` and
//! `-include rte_config.h`: DPDK's headers do not compile without them.

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The oldest DPDK that has every function and type used here.
const OLDEST: &str = "22.11";

const FUNCTIONS: &[&str] = &[
    "rte_dev_probe",
    "rte_eal_cleanup",
    "rte_eal_get_runtime_dir",
    "rte_eal_init",
    "rte_eal_mp_wait_lcore",
    "rte_eal_remote_launch",
    "rte_eal_wait_lcore",
    "rte_eth_dev_adjust_nb_rx_tx_desc",
    "rte_eth_dev_get_port_by_name",
    "rte_eth_dev_set_mtu",
    "rte_eth_dev_start",
    "rte_eth_dev_stop",
    "rte_eth_promiscuous_disable",
    "rte_eth_promiscuous_enable",
    "rte_eth_rx_queue_setup",
    "rte_eth_tx_queue_setup",
    "rte_get_tsc_hz",
    "rte_lcore_to_socket_id",
    "rte_mempool_free",
    "rte_mempool_in_use_count",
    "rte_pktmbuf_copy",
    "rte_pktmbuf_free_bulk",
    "rte_pktmbuf_pool_create",
    "rte_strerror",
    "rte_version",
    "vsw_.*",
];

fn main() -> ExitCode {
    for file in ["build.rs", "wrapper.h", "shim.h", "shim.c"] {
        println!("cargo:rerun-if-changed={file}");
    }
    for variable in ["PKG_CONFIG", "PKG_CONFIG_PATH", "LIBCLANG_PATH", "CLANG_PATH", "CC"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Cargo shows a build script's standard error as it is when the script fails.
            let _ = writeln!(std::io::stderr(), "\ndpdk-sys cannot be built: {message}\n");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let dpdk = Dpdk::find()?;
    dpdk.link();
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    bind(&dpdk, &out.join("bindings.rs"))?;
    compile_shim(&dpdk)
}

/// Where DPDK is, in the words of its pkg-config file.
struct Dpdk {
    cflags: Vec<String>,
    libs: Vec<String>,
}

impl Dpdk {
    fn find() -> Result<Self, String> {
        let found = pkg_config(&["--modversion"])?;
        let found = found.first().map_or("", String::as_str);
        if numbers(found) < numbers(OLDEST) {
            return Err(format!(
                "DPDK {OLDEST} or newer is needed, and pkg-config finds {found}. Install the \
                 package libdpdk-dev of Debian 12 or newer, or name the folder of a newer \
                 libdpdk.pc in PKG_CONFIG_PATH."
            ));
        }
        Ok(Self { cflags: pkg_config(&["--cflags"])?, libs: pkg_config(&["--libs"])? })
    }

    /// Tells Cargo to link the shared libraries. EAL loads the drivers by itself, as plugins.
    fn link(&self) {
        for flag in &self.libs {
            if let Some(folder) = flag.strip_prefix("-L") {
                println!("cargo:rustc-link-search=native={folder}");
            } else if let Some(library) = flag.strip_prefix("-l") {
                println!("cargo:rustc-link-lib=dylib={}", library.trim_start_matches(':'));
            }
        }
    }
}

/// The words that `pkg-config WHAT libdpdk` prints.
fn pkg_config(what: &[&str]) -> Result<Vec<String>, String> {
    let program = env::var_os("PKG_CONFIG").unwrap_or_else(|| OsString::from("pkg-config"));
    let output = Command::new(&program).args(what).arg("libdpdk").output().map_err(|error| {
        format!(
            "{} does not run ({error}). Install the packages pkg-config and libdpdk-dev: \
             apt-get install pkg-config libdpdk-dev",
            program.display()
        )
    })?;
    if !output.status.success() {
        return Err(format!(
            "DPDK is not found. Install the package libdpdk-dev ({OLDEST} or newer): apt-get \
             install libdpdk-dev. If DPDK is elsewhere, name the folder of its libdpdk.pc in \
             PKG_CONFIG_PATH. pkg-config says:\n{}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// A version as numbers that compare: "22.11.11-rc1" is [22, 11, 11].
fn numbers(version: &str) -> Vec<u32> {
    version.split(['.', '-', '~']).map_while(|part| part.parse().ok()).collect()
}

fn bind(dpdk: &Dpdk, file: &Path) -> Result<(), String> {
    let libclang = libclang_version()?;
    let clang = clang_version()?;
    let mut builder = bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(&dpdk.cflags)
        .allowlist_var("VSW_.*")
        // DPDK's own types stay closed (src/lib.rs): pointers to them are all that Rust holds.
        .blocklist_type("(rte|RTE)_.*")
        .raw_line("use super::{rte_eth_rxconf, rte_eth_txconf, rte_mbuf, rte_mempool};")
        .layout_tests(false)
        .generate_comments(false)
        .merge_extern_blocks(true)
        .default_enum_style(bindgen::EnumVariation::Consts)
        .derive_default(true);
    for function in FUNCTIONS {
        builder = builder.allowlist_function(function);
    }
    let bindings = builder.generate().map_err(|error| {
        let mut message = format!("bindgen cannot read DPDK's headers: {error}");
        if libclang != clang {
            // Clang's own headers (emmintrin.h and others) fit one version of the compiler only.
            let _ = write!(
                message,
                "\nThe cause is probably that bindgen loads libclang {libclang} but takes the \
                 compiler's headers from clang {clang}. Make them the same, for example with\n  \
                 LIBCLANG_PATH=/usr/lib/llvm-{clang}/lib   (or)\n  \
                 CLANG_PATH=/usr/lib/llvm-{libclang}/bin/clang   (package clang-{libclang})"
            );
        }
        message
    })?;
    bindings.write_to_file(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// The major version of the libclang that bindgen loads.
fn libclang_version() -> Result<u32, String> {
    // bindgen panics when there is none, with a text that names no package.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let version = std::panic::catch_unwind(bindgen::clang_version);
    std::panic::set_hook(hook);
    let version = version.map_err(|_| {
        "libclang is not found, or does not load. Install it: apt-get install libclang-dev clang. \
         If it is elsewhere, name its folder in LIBCLANG_PATH."
            .to_owned()
    })?;
    Ok(version.parsed.map_or(0, |(major, _)| major))
}

/// The major version of the clang whose headers bindgen takes.
fn clang_version() -> Result<u32, String> {
    let program = env::var_os("CLANG_PATH").unwrap_or_else(|| OsString::from("clang"));
    let output = Command::new(&program).arg("--version").output().map_err(|error| {
        format!(
            "{} does not run ({error}). Install it: apt-get install clang libclang-dev. If it is \
             elsewhere, name it in CLANG_PATH.",
            program.display()
        )
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_once("version ").map_or("", |(_, rest)| rest);
    Ok(numbers(version).first().copied().unwrap_or(0))
}

fn compile_shim(dpdk: &Dpdk) -> Result<(), String> {
    let mut cc = cc::Build::new();
    cc.file("shim.c").std("gnu11").warnings_into_errors(false);
    for flag in &dpdk.cflags {
        match flag.strip_prefix("-I") {
            // As system folders, so that DPDK's headers raise no warnings of ours.
            Some(folder) => cc.flag("-isystem").flag(folder),
            None => cc.flag(flag),
        };
    }
    cc.try_compile("vsw_shim").map_err(|error| {
        format!("shim.c does not compile (package gcc or clang, and libdpdk-dev): {error}")
    })
}
