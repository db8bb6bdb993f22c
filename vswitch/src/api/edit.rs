//! Edits of single objects, as changes of the whole [`Document`].
//!
//! Pure functions. An edit only finds its object; [`Document::check`] validates the result, as it
//! does with every configuration. Each edit returns the JSON pointer to what the request sent, so
//! that errors there name the field of the request.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::conflict::{
    already_exists, already_exists_in, check_member_unused, check_port_unused, check_vtep_unused,
    conflict, index_of, not_found_in,
};
use super::json::from_value;
use super::problem::{Problem, Source, pointer};
use crate::config::document::{
    Document, MacDocument, MemberDocument, NetworkDocument, PortDocument, VtepDocument,
};
use crate::config::quoted;
use crate::ids::MacAddr;

/// The JSON pointer to what the request sent; `None` if the document has nothing of it.
pub type Edited = Result<Option<String>, Problem>;

/// Moves a port to another network, or a static MAC to another port or remote VTEP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Migration {
    /// Moves a port with its static MACs to another network.
    Port(PortMigration),
    /// Moves a static MAC to another port or remote VTEP.
    Mac(MacMigration),
}

/// Moves a port with its static MACs to another network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PortMigration {
    /// Name of the port.
    #[schema(example = "tenant-a")]
    pub name: String,
    /// The network that the port leaves.
    #[schema(example = "blue")]
    pub from: String,
    /// The network that the port joins.
    #[schema(example = "red")]
    pub to: String,
}

/// Moves a static MAC to another port or remote VTEP: exactly one of `port` and `remote-vtep`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MacMigration {
    /// The MAC address.
    #[schema(example = "02:00:00:00:00:09")]
    pub address: String,
    /// Name of the network.
    #[schema(example = "blue")]
    pub network: String,
    /// The new port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The address of the new remote VTEP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "198.51.100.2")]
    pub remote_vtep: Option<String>,
}

fn network_in(document: &Document, name: &str, source: Source, at: &str) -> Result<usize, Problem> {
    let names = document.network.iter().map(|network| network.name.as_str());
    index_of("network", name, names, source, at)
}

/// Finds the network that the path names.
pub fn network(document: &Document, name: &str) -> Result<usize, Problem> {
    network_in(document, name, Source::Path, "/name")
}

fn at(parts: &[&dyn ToString]) -> Edited {
    Ok(Some(pointer(parts.iter().map(|part| part.to_string()))))
}

/// Adds a network.
pub fn add_network(document: &mut Document, new: NetworkDocument) -> Edited {
    if document.network.iter().any(|network| network.name == new.name) {
        return Err(already_exists("network", &new.name, "/name"));
    }
    document.network.push(new);
    at(&[&"network", &(document.network.len() - 1)])
}

/// Changes some keys of a network.
pub fn patch_network(document: &mut Document, name: &str, patch: &Value) -> Edited {
    let index = network(document, name)?;
    let before = &mut document.network[index];
    // A document always serializes.
    let mut value = serde_json::to_value(&*before).unwrap_or_default();
    merge(&mut value, patch);
    *before = from_value(value)?;
    at(&[&"network", &index])
}

/// Applies a merge patch: RFC 7396, section 2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// Removes a network.
pub fn remove_network(document: &mut Document, name: &str) -> Edited {
    let index = network(document, name)?;
    document.network.remove(index);
    Ok(None)
}

/// Finds the network that has a port.
fn network_of<'d>(document: &'d Document, port: &str) -> Option<&'d str> {
    let has = |network: &&NetworkDocument| network.port.iter().any(|member| member.port == port);
    document.network.iter().find(has).map(|network| network.name.as_str())
}

/// Adds a port to a network.
pub fn add_member(document: &mut Document, name: &str, new: MemberDocument) -> Edited {
    let index = network(document, name)?;
    if let Some(current) = network_of(document, &new.port) {
        if current == name {
            return Err(already_exists_in(name, "port", &new.port, "/port"));
        }
        let detail = format!("port {} is in network {}", quoted(&new.port), quoted(current));
        let help = "a port belongs to one network: migrate it, or remove it from that one first";
        return Err(conflict(detail, help, "/port"));
    }
    let members = &mut document.network[index].port;
    members.push(new);
    let member = members.len() - 1;
    at(&[&"network", &index, &"port", &member])
}

fn member_of(
    network: &NetworkDocument,
    port: &str,
    source: Source,
    at: &str,
) -> Result<usize, Problem> {
    let known = || network.port.iter().map(|member| member.port.as_str());
    let found = known().position(|member| member == port);
    found.ok_or_else(|| not_found_in(&network.name, "port", port, known(), source, at))
}

/// Removes a port from a network.
pub fn remove_member(document: &mut Document, name: &str, port: &str) -> Edited {
    let index = network(document, name)?;
    let member = member_of(&document.network[index], port, Source::Path, "/port")?;
    check_member_unused(document, index, port)?;
    document.network[index].port.remove(member);
    Ok(None)
}

fn mac_of(
    network: &NetworkDocument,
    address: &str,
    source: Source,
    at: &str,
) -> Result<usize, Problem> {
    let known = || network.mac.iter().map(|mac| mac.address.as_str());
    let found = known().position(|mac| same_mac(mac, address));
    found.ok_or_else(|| not_found_in(&network.name, "static MAC", address, known(), source, at))
}

fn same_mac(one: &str, other: &str) -> bool {
    match (one.parse::<MacAddr>(), other.parse::<MacAddr>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// Adds a static MAC to a network.
pub fn add_mac(document: &mut Document, name: &str, new: MacDocument) -> Edited {
    let index = network(document, name)?;
    let macs = &mut document.network[index].mac;
    if macs.iter().any(|mac| same_mac(&mac.address, &new.address)) {
        return Err(already_exists_in(name, "static MAC", &new.address, "/address"));
    }
    macs.push(new);
    let mac = macs.len() - 1;
    at(&[&"network", &index, &"mac", &mac])
}

/// Removes a static MAC from a network.
pub fn remove_mac(document: &mut Document, name: &str, address: &str) -> Edited {
    let index = network(document, name)?;
    let mac = mac_of(&document.network[index], address, Source::Path, "/address")?;
    document.network[index].mac.remove(mac);
    Ok(None)
}

/// Adds a remote VTEP to the flood list of a network.
pub fn add_remote_vtep(document: &mut Document, name: &str, address: String) -> Edited {
    let index = network(document, name)?;
    let remotes = &mut document.network[index].remote_vteps;
    if remotes.contains(&address) {
        return Err(already_exists_in(name, "remote VTEP", &address, "/address"));
    }
    remotes.push(address);
    let remote = remotes.len() - 1;
    at(&[&"network", &index, &"remote-vteps", &remote])
}

/// Removes a remote VTEP from the flood list of a network.
pub fn remove_remote_vtep(document: &mut Document, name: &str, address: &str) -> Edited {
    let index = network(document, name)?;
    let remotes = &mut document.network[index].remote_vteps;
    let known = || remotes.iter().map(String::as_str);
    let Some(remote) = known().position(|remote| remote == address) else {
        return Err(not_found_in(name, "remote VTEP", address, known(), Source::Path, "/address"));
    };
    remotes.remove(remote);
    Ok(None)
}

/// Adds a port.
pub fn add_port(document: &mut Document, new: PortDocument) -> Edited {
    if document.port.iter().any(|port| port.name == new.name) {
        return Err(already_exists("port", &new.name, "/name"));
    }
    document.port.push(new);
    at(&[&"port", &(document.port.len() - 1)])
}

/// Removes a port.
pub fn remove_port(document: &mut Document, name: &str) -> Edited {
    let names = document.port.iter().map(|port| port.name.as_str());
    let port = index_of("port", name, names, Source::Path, "/name")?;
    check_port_unused(document, name)?;
    document.port.remove(port);
    Ok(None)
}

/// Adds a VTEP.
pub fn add_vtep(document: &mut Document, new: VtepDocument) -> Edited {
    if document.vtep.iter().any(|vtep| vtep.name == new.name) {
        return Err(already_exists("VTEP", &new.name, "/name"));
    }
    if let Some(network) = network_of(document, &new.port) {
        let detail = format!("port {} is in network {}", quoted(&new.port), quoted(network));
        let help =
            "a port is the uplink of one VTEP or belongs to one network: give each its own port";
        return Err(conflict(detail, help, "/port"));
    }
    document.vtep.push(new);
    at(&[&"vtep", &(document.vtep.len() - 1)])
}

/// Removes a VTEP.
pub fn remove_vtep(document: &mut Document, name: &str) -> Edited {
    let names = document.vtep.iter().map(|vtep| vtep.name.as_str());
    let vtep = index_of("VTEP", name, names, Source::Path, "/name")?;
    check_vtep_unused(document, name)?;
    document.vtep.remove(vtep);
    Ok(None)
}

/// Moves a port or a static MAC.
pub fn migrate(document: &mut Document, migration: &Migration) -> Edited {
    match migration {
        Migration::Port(migration) => migrate_port(document, migration),
        Migration::Mac(migration) => migrate_mac(document, migration),
    }
}

fn migrate_port(document: &mut Document, migration: &PortMigration) -> Edited {
    let PortMigration { name, from, to } = migration;
    let from = network_in(document, from, Source::Body, "/port/from")?;
    let to = network_in(document, to, Source::Body, "/port/to")?;
    let member = member_of(&document.network[from], name, Source::Body, "/port/name")?;
    let member = document.network[from].port.remove(member);
    let macs = &mut document.network[from].mac;
    let (moving, staying) =
        macs.drain(..).partition(|mac| mac.port.as_deref() == Some(name.as_str()));
    *macs = staying;
    let target = &mut document.network[to];
    target.port.push(member);
    // If the target network has the same address already, `check` reports it.
    target.mac.extend::<Vec<_>>(moving);
    Ok(None)
}

fn migrate_mac(document: &mut Document, migration: &MacMigration) -> Edited {
    let MacMigration { address, network, port, remote_vtep } = migration;
    let index = network_in(document, network, Source::Body, "/mac/network")?;
    let entry = mac_of(&document.network[index], address, Source::Body, "/mac/address")?;
    let mac = &mut document.network[index].mac[entry];
    (mac.port, mac.remote_vtep) = (port.clone(), remote_vtep.clone());
    at(&[&"network", &index, &"mac", &entry])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::problem::Kind;

    fn document() -> Document {
        from_value(json!({
            "port": [{"name": "a", "device": "net_null0"}, {"name": "b", "device": "net_null1"}],
            "network": [
                {"name": "blue", "vni": 1, "port": [{"port": "a"}],
                 "mac": [{"address": "02:00:00:00:00:0a", "port": "a"}]},
                {"name": "red", "vni": 2, "port": [{"port": "b"}]},
            ],
        }))
        .unwrap()
    }

    /// RFC 7396, appendix A.
    #[test]
    fn a_merge_patch_follows_rfc_7396() {
        for (mut target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            merge(&mut target, &patch);
            assert_eq!(target, result, "{patch}");
        }
    }

    #[test]
    fn a_port_migrates_with_its_static_macs() {
        let mut document = document();
        let migration = PortMigration { name: "a".into(), from: "blue".into(), to: "red".into() };
        migrate(&mut document, &Migration::Port(migration.clone())).unwrap();
        let [blue, red] = &document.network[..] else { panic!() };
        assert!(blue.port.is_empty() && blue.mac.is_empty());
        assert_eq!(red.port.iter().map(|m| m.port.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(red.mac.len(), 1);
        document.check().unwrap();
        let again = migrate(&mut document, &Migration::Port(migration)).unwrap_err();
        assert_eq!(again.errors[0].pointer, "/port/name");
    }

    #[test]
    fn an_edit_returns_its_pointer() {
        let mut document = document();
        let mac = |address: &str| MacDocument {
            address: address.into(),
            port: Some("a".into()),
            remote_vtep: None,
        };
        let at = add_mac(&mut document, "blue", mac("02:00:00:00:00:0b")).unwrap();
        assert_eq!(at.as_deref(), Some("/network/0/mac/1"));
        let twice = add_mac(&mut document, "blue", mac("02:00:00:00:00:0B")).unwrap_err();
        assert!(twice.is(Kind::Conflict));
        remove_mac(&mut document, "blue", "02:00:00:00:00:0B").unwrap();
        assert_eq!(document.network[0].mac.len(), 1);
        let at = patch_network(&mut document, "red", &json!({"vni": 3})).unwrap();
        assert_eq!((at.as_deref(), document.network[1].vni), (Some("/network/1"), 3));
        let wrong = patch_network(&mut document, "red", &json!({"vni": null})).unwrap_err();
        assert_eq!(wrong.errors[0].pointer, "/vni");
        assert!(patch_network(&mut document, "green", &json!({})).unwrap_err().is(Kind::NotFound));
    }

    #[test]
    fn an_object_in_use_is_not_removed_and_its_uses_are_listed() {
        let mut document = document();
        let before = document.clone();
        let said = |edited: Edited| {
            let problem = edited.unwrap_err();
            assert!(problem.is(Kind::Conflict), "{problem:?}");
            let error = &problem.errors[0];
            (error.pointer.clone(), error.detail.clone())
        };
        let of = |pointer: &str, detail: &str| (pointer.to_owned(), detail.to_owned());
        let is_member = of("/network/0/port/0/port", "port `a` is in network `blue`");
        assert_eq!(said(remove_port(&mut document, "a")), is_member);
        let has_mac = of("/network/0/mac/0/port", "static MAC `02:00:00:00:00:0a` is on port `a`");
        assert_eq!(said(remove_member(&mut document, "blue", "a")), has_mac);
        let elsewhere = of("/port", "port `b` is in network `red`");
        let b = MemberDocument { port: "b".into() };
        assert_eq!(said(add_member(&mut document, "blue", b)), elsewhere);
        let vtep: VtepDocument = from_value(json!({"name": "v", "port": "b", "address": "",
            "host-interface": ""}))
        .unwrap();
        assert_eq!(said(add_vtep(&mut document, vtep.clone())), elsewhere);
        assert_eq!(document, before);

        document.vtep.push(VtepDocument { port: "c".into(), ..vtep });
        document.network[1].vtep = Some("v".into());
        let carries = of("/network/1/vtep", "VTEP `v` carries network `red`");
        assert_eq!(said(remove_vtep(&mut document, "v")), carries);
    }
}
