//! From what was typed to what it means. Each kind of table has a file of its own.
//!
//! Each check goes on with a stand-in after a problem; that is sound because [`parse`](super::parse)
//! returns no configuration once there is one.

use toml::Spanned;

use super::checks::{items, number};
use super::diagnostic::Problems;
use super::ports::Ports;
use super::raw::Document;
use super::{Config, api, defaults, dpdk, networks, vteps};

/// Indices are u16 (see [`crate::ids`]).
const MAX_TABLES: usize = 0xffff;
/// Checks everything; what it returns is a configuration only if no error was found.
pub(super) fn check(document: &Document, problems: &mut Problems) -> Config {
    let dpdk = dpdk::check(document.dpdk.as_ref().map(Spanned::get_ref), problems);
    let api = api::check(document.api.as_ref().map(Spanned::get_ref), problems);
    let fdb_capacity = number(
        document.fdb.as_ref().and_then(|fdb| fdb.get_ref().capacity.as_ref()),
        64..=16_777_216_u32,
        "capacity",
        "every entry takes memory from the start, used or not",
        problems,
    );
    let port_tables = items(document.ports.as_ref());
    let vtep_tables = items(document.vteps.as_ref());
    let network_tables = items(document.networks.as_ref());
    limit(port_tables, "port", problems);
    limit(vtep_tables, "vtep", problems);
    limit(network_tables, "network", problems);

    let mut ports = Ports::check(port_tables, problems);
    let vteps = vteps::check(vtep_tables, &mut ports, problems);
    let networks = networks::check(network_tables, &mut ports, &vteps, problems);
    ports.warn_unused(problems);

    Config {
        dpdk,
        api,
        fdb_capacity: fdb_capacity
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(defaults::FDB_CAPACITY),
        ports: ports.list,
        vteps: vteps.list,
        networks,
        warnings: Vec::new(),
    }
}

fn limit<T>(tables: &[Spanned<T>], kind: &str, problems: &mut Problems) {
    if let Some(table) = tables.get(MAX_TABLES) {
        problems.error(
            table.span(),
            format!("more than {MAX_TABLES} [[{kind}]] tables"),
            "the data path counts them in 16 bits: spread them over several hosts",
        );
    }
}
