//! A document as TOML, laid out as the files in `docs/examples` are.
//!
//! Written key by key and not through serde: so it cannot fail, lists of tables that are empty are
//! left out, and a network's tables are set in below it.

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value};

use super::{
    ApiDocument, Document, DpdkDocument, MacDocument, NetworkDocument, PortDocument, VtepDocument,
};

pub(super) fn render(document: &Document) -> String {
    let mut root = DocumentMut::new();
    root.insert("dpdk", Item::Table(dpdk(&document.dpdk)));
    root.insert("api", Item::Table(api(&document.api)));
    let mut fdb = Keys::new("");
    fdb.set("capacity", document.fdb.capacity);
    root.insert("fdb", Item::Table(fdb.table));
    tables(&mut root, "port", document.port.iter().map(port));
    tables(&mut root, "vtep", document.vtep.iter().map(vtep));
    tables(&mut root, "network", document.network.iter().map(network));
    root.to_string().trim_start().to_owned()
}

/// A table, with an indent for its header and its keys.
struct Keys {
    table: Table,
    indent: &'static str,
}

impl Keys {
    fn new(indent: &'static str) -> Self {
        let mut table = Table::new();
        // Between tables of the first rank an empty line, and none before those that belong to one.
        table.decor_mut().set_prefix(if indent.is_empty() { "\n" } else { indent });
        Self { table, indent }
    }

    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.table.insert(key, Item::Value(value.into()));
        if let Some(mut key) = self.table.key_mut(key) {
            key.leaf_decor_mut().set_prefix(self.indent);
        }
    }

    fn set_if_some<V: Into<Value>>(&mut self, key: &str, value: Option<V>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }
}

fn tables(into: &mut Table, key: &str, tables: impl Iterator<Item = Table>) {
    let tables: ArrayOfTables = tables.collect();
    if !tables.is_empty() {
        into.insert(key, Item::ArrayOfTables(tables));
    }
}

fn dpdk(dpdk: &DpdkDocument) -> Table {
    let mut keys = Keys::new("");
    keys.set("worker-cores", dpdk.worker_cores.iter().copied().collect::<Array>());
    keys.set("main-core", dpdk.main_core);
    keys.set("memory-mib", dpdk.memory_mib);
    keys.set_if_some("packet-buffers", dpdk.packet_buffers);
    keys.set("hugepages", dpdk.hugepages);
    keys.set("eal-args", dpdk.eal_args.iter().collect::<Array>());
    keys.table
}

fn api(api: &ApiDocument) -> Table {
    let mut keys = Keys::new("");
    keys.set("socket", &api.socket);
    keys.set("metrics", &api.metrics);
    keys.set("page-frames", api.page_frames);
    keys.set_if_some("group", api.group.as_ref());
    keys.set_if_some("listen", api.listen.as_ref());
    keys.set_if_some("tls-certificate", api.tls_certificate.as_ref());
    keys.set_if_some("tls-key", api.tls_key.as_ref());
    keys.set_if_some("token-file", api.token_file.as_ref());
    keys.table
}

fn port(port: &PortDocument) -> Table {
    let mut keys = Keys::new("");
    keys.set("name", &port.name);
    keys.set("device", &port.device);
    keys.set_if_some("queues", port.queues);
    keys.set_if_some("mtu", port.mtu);
    keys.table
}

fn vtep(vtep: &VtepDocument) -> Table {
    let mut keys = Keys::new("");
    keys.set("name", &vtep.name);
    keys.set("port", &vtep.port);
    keys.set("address", &vtep.address);
    keys.set("host-interface", &vtep.host_interface);
    keys.set("udp-port", vtep.udp_port);
    keys.set_if_some("mac", vtep.mac.as_ref());
    keys.table
}

fn network(network: &NetworkDocument) -> Table {
    let mut keys = Keys::new("");
    keys.set("name", &network.name);
    keys.set("vni", network.vni);
    keys.set_if_some("vtep", network.vtep.as_ref());
    keys.set("remote-vteps", network.remote_vteps.iter().collect::<Array>());
    keys.set("mac-ageing-secs", network.mac_ageing_secs);
    let members = network.port.iter().map(|member| {
        let mut keys = Keys::new("  ");
        keys.set("port", &member.port);
        keys.table
    });
    tables(&mut keys.table, "port", members);
    tables(&mut keys.table, "mac", network.mac.iter().map(mac));
    keys.table
}

fn mac(mac: &MacDocument) -> Table {
    let mut keys = Keys::new("  ");
    keys.set("address", &mac.address);
    keys.set_if_some("port", mac.port.as_ref());
    keys.set_if_some("remote-vtep", mac.remote_vtep.as_ref());
    keys.table
}
