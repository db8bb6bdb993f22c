//! What a document means. Each kind of table has a file of its own.
//!
//! Each check goes on with a stand-in after a problem. That is sound because
//! [`parse`](super::parse) returns no configuration once there is one.

use super::checks::number;
use super::diagnostic::Problems;
use super::document::Document;
use super::location::Location;
use super::model::Config;
use super::ports::Ports;
use super::{api, dpdk, networks, vteps};

/// Indices are u16 (see [`crate::ids`]).
const MAX_TABLES: usize = 0xffff;

/// Checks everything. The result is a configuration only if no error was found.
pub(super) fn check(document: &Document, problems: &mut Problems) -> Config {
    let key = |name| Location::root().key(name);
    let dpdk = dpdk::check(&document.dpdk, &key("dpdk"), problems);
    let api = api::check(&document.api, &key("api"), problems);
    let fdb_capacity = number(
        document.fdb.capacity,
        &key("fdb").key("capacity"),
        "every entry takes memory from the start, used or not",
        problems,
    );
    limit(document.port.len(), "port", problems);
    limit(document.vtep.len(), "vtep", problems);
    limit(document.network.len(), "network", problems);

    let mut ports = Ports::check(&document.port, key("port"), problems);
    let vteps = vteps::check(&document.vtep, &key("vtep"), &mut ports, problems);
    let networks =
        networks::check(&document.network, &key("network"), &mut ports, &vteps, problems);
    ports.warn_unused(problems);

    Config {
        dpdk,
        api,
        fdb_capacity: fdb_capacity.unwrap_or_default(),
        ports: ports.list,
        vteps: vteps.list,
        networks,
        warnings: Vec::new(),
    }
}

fn limit(tables: usize, kind: &str, problems: &mut Problems) {
    if tables > MAX_TABLES {
        problems.error(
            &Location::root().key(kind).item(MAX_TABLES),
            format!("more than {MAX_TABLES} [[{kind}]] tables"),
            "the data path counts them in 16 bits: spread them over several hosts",
        );
    }
}
