//! Finds the differences between two configurations.

use std::collections::HashMap;

use super::impact::Surroundings;
use super::{Action, FieldChange, Kind, Step};
use crate::config::document::{Document, MacDocument, NetworkDocument, PortDocument, VtepDocument};

/// A key and its value, if it has one.
type Field = (String, Option<String>);

pub(super) fn steps(old: &Document, new: &Document) -> Vec<Step> {
    let mut differences =
        Differences { old: Surroundings::of(old), new: Surroundings::of(new), steps: Vec::new() };
    differences.settings(old, new);
    for pair in matched(&old.port, &new.port, |port| &port.name) {
        differences.thing(Kind::Port, pair.map(|port| (port.name.as_str(), port_fields(port))));
    }
    for pair in matched(&old.vtep, &new.vtep, |vtep| &vtep.name) {
        differences.thing(Kind::Vtep, pair.map(|vtep| (vtep.name.as_str(), vtep_fields(vtep))));
    }
    differences.networks(&old.network, &new.network);
    differences.steps
}

/// A thing before and after. At least one of the two is present.
struct Pair<T> {
    old: Option<T>,
    new: Option<T>,
}

impl<T> Pair<T> {
    fn map<U>(self, map: impl Fn(T) -> U) -> Pair<U> {
        Pair { old: self.old.map(&map), new: self.new.map(&map) }
    }

    fn action(&self) -> Action {
        match (&self.old, &self.new) {
            (None, _) => Action::Add,
            (_, None) => Action::Remove,
            _ => Action::Change,
        }
    }
}

/// Pairs of things with the same key: first the removed ones, then those of the new list in its
/// order.
fn matched<'d, T>(old: &'d [T], new: &'d [T], key: impl Fn(&'d T) -> &'d str) -> Vec<Pair<&'d T>> {
    let mut of_old: HashMap<&str, &T> = old.iter().map(|thing| (key(thing), thing)).collect();
    let of_new: Vec<_> =
        new.iter().map(|thing| Pair { old: of_old.remove(key(thing)), new: Some(thing) }).collect();
    let gone = old.iter().filter(|thing| of_old.contains_key(key(thing)));
    gone.map(|thing| Pair { old: Some(thing), new: None }).chain(of_new).collect()
}

struct Differences<'d> {
    old: Surroundings<'d>,
    new: Surroundings<'d>,
    steps: Vec<Step>,
}

impl Differences<'_> {
    fn settings(&mut self, old: &Document, new: &Document) {
        for ((name, old), (_, new)) in settings(old).into_iter().zip(settings(new)) {
            let field = name.split_once('.').map_or(name, |(_, key)| key);
            let changes = compare(vec![(field.to_owned(), old)], vec![(field.to_owned(), new)]);
            if !changes.is_empty() {
                self.add(Action::Change, Kind::Setting, name, None, changes);
            }
        }
    }

    /// A port, a VTEP or a network, by its name and fields.
    fn thing(&mut self, kind: Kind, pair: Pair<(&str, Vec<Field>)>) {
        let action = pair.action();
        let Some(name) = pair.new.as_ref().or(pair.old.as_ref()).map(|(name, _)| *name) else {
            return;
        };
        let fields = |side: Option<(_, _)>| side.map(|(_, fields)| fields).unwrap_or_default();
        let changes = compare(fields(pair.old), fields(pair.new));
        if action != Action::Change || !changes.is_empty() {
            self.add(action, kind, name, None, changes);
        }
    }

    fn networks(&mut self, old: &[NetworkDocument], new: &[NetworkDocument]) {
        let was_in = members(old);
        let is_in = members(new);
        for Pair { old, new } in matched(old, new, |network| &network.name) {
            let stays = old.is_some() && new.is_some();
            let pair = Pair { old, new };
            self.thing(
                Kind::Network,
                pair.map(|network| (network.name.as_str(), network_fields(network, !stays))),
            );
            for member in old.iter().flat_map(|network| &network.port) {
                // A member that moves is a step of its new network.
                if !is_in.contains_key(member.port.as_str()) {
                    self.member(&member.port, old.map(|network| network.name.as_str()), None);
                }
            }
            for member in new.iter().flat_map(|network| &network.port) {
                let was_in = was_in.get(member.port.as_str()).copied();
                self.member(&member.port, was_in, new.map(|network| network.name.as_str()));
            }
            if let (Some(old), Some(new)) = (old, new) {
                self.inside(old, new);
            }
        }
    }

    fn member(&mut self, port: &str, old: Option<&str>, new: Option<&str>) {
        if old == new {
            return;
        }
        let action = Pair { old, new }.action();
        let field = |network: Option<&str>| {
            network.map(|name| ("network".to_owned(), Some(name.to_owned()))).into_iter().collect()
        };
        self.add(action, Kind::Member, port, new.or(old), compare(field(old), field(new)));
    }

    /// The remote VTEPs and static MACs of a network that stays.
    fn inside(&mut self, old: &NetworkDocument, new: &NetworkDocument) {
        let network = Some(new.name.as_str());
        for pair in matched(&old.remote_vteps, &new.remote_vteps, String::as_str) {
            let action = pair.action();
            if let Some(address) = pair.new.or(pair.old).filter(|_| action != Action::Change) {
                self.add(action, Kind::RemoteVtep, address, network, Vec::new());
            }
        }
        for pair in matched(&old.mac, &new.mac, |mac| &mac.address) {
            let action = pair.action();
            let Some(mac) = pair.new.or(pair.old) else { continue };
            let field = |mac: Option<&MacDocument>| {
                mac.map(|mac| ("home".to_owned(), Some(home(mac)))).into_iter().collect()
            };
            let changes = compare(field(pair.old), field(pair.new));
            if !changes.is_empty() {
                self.add(action, Kind::Mac, &mac.address, network, changes);
            }
        }
    }

    fn add(
        &mut self,
        action: Action,
        kind: Kind,
        name: &str,
        network: Option<&str>,
        changes: Vec<FieldChange>,
    ) {
        let name = name.to_owned();
        let network = network.map(str::to_owned);
        let (impact, concerns) = super::impact::of(
            action,
            kind,
            &name,
            &changes,
            network.as_deref(),
            &self.old,
            &self.new,
        );
        self.steps.push(Step { action, kind, name, network, changes, impact, concerns });
    }
}

/// The network of each member, by port.
fn members(networks: &[NetworkDocument]) -> HashMap<&str, &str> {
    networks
        .iter()
        .flat_map(|network| {
            network.port.iter().map(|member| (member.port.as_str(), network.name.as_str()))
        })
        .collect()
}

/// The fields that differ, in the order of the old fields and then of the new.
fn compare(old: Vec<Field>, new: Vec<Field>) -> Vec<FieldChange> {
    let mut new: Vec<Option<Field>> = new.into_iter().map(Some).collect();
    let mut changes = Vec::new();
    for (field, from) in old {
        let same = new.iter_mut().find(|new| new.as_ref().is_some_and(|(key, _)| *key == field));
        let to = same.and_then(Option::take).and_then(|(_, to)| to);
        changes.push(FieldChange { field, from, to });
    }
    let added = new.into_iter().flatten();
    changes.extend(added.map(|(field, to)| FieldChange { field, from: None, to }));
    changes.retain(|change| change.from != change.to);
    changes
}

fn settings(document: &Document) -> [(&'static str, Option<String>); 15] {
    let Document { dpdk, api, fdb, .. } = document;
    let list = |items: Vec<String>| Some(format!("[{}]", items.join(", ")));
    let quoted = |text: &String| serde_json::Value::from(text.as_str()).to_string();
    [
        ("dpdk.worker-cores", list(dpdk.worker_cores.iter().map(ToString::to_string).collect())),
        ("dpdk.main-core", Some(dpdk.main_core.to_string())),
        ("dpdk.memory-mib", Some(dpdk.memory_mib.to_string())),
        ("dpdk.packet-buffers", dpdk.packet_buffers.map(|buffers| buffers.to_string())),
        ("dpdk.hugepages", Some(dpdk.hugepages.to_string())),
        ("dpdk.eal-args", list(dpdk.eal_args.iter().map(quoted).collect())),
        ("api.socket", Some(api.socket.clone())),
        ("api.metrics", Some(api.metrics.clone())),
        ("api.page-frames", Some(api.page_frames.to_string())),
        ("api.group", api.group.clone()),
        ("api.listen", api.listen.clone()),
        ("api.tls-certificate", api.tls_certificate.clone()),
        ("api.tls-key", api.tls_key.clone()),
        ("api.token-file", api.token_file.clone()),
        ("fdb.capacity", Some(fdb.capacity.to_string())),
    ]
}

fn field(key: &str, value: impl ToString) -> Field {
    (key.to_owned(), Some(value.to_string()))
}

fn maybe(key: &str, value: Option<impl ToString>) -> Field {
    (key.to_owned(), value.map(|value| value.to_string()))
}

fn port_fields(port: &PortDocument) -> Vec<Field> {
    vec![field("device", &port.device), maybe("queues", port.queues), maybe("mtu", port.mtu)]
}

fn vtep_fields(vtep: &VtepDocument) -> Vec<Field> {
    vec![
        field("port", &vtep.port),
        field("address", &vtep.address),
        field("host-interface", &vtep.host_interface),
        field("udp-port", vtep.udp_port),
        maybe("mac", vtep.mac.as_ref()),
    ]
}

/// Remote VTEPs and MACs are fields of a network that is added or removed. In a network that stays,
/// they have steps of their own.
fn network_fields(network: &NetworkDocument, with_inside: bool) -> Vec<Field> {
    let mut fields = vec![
        field("vni", network.vni),
        maybe("vtep", network.vtep.as_ref()),
        field("mac-ageing-secs", network.mac_ageing_secs),
    ];
    if with_inside {
        if !network.remote_vteps.is_empty() {
            fields.push(field("remote-vteps", network.remote_vteps.join(", ")));
        }
        let macs = network.mac.iter();
        fields.extend(macs.map(|mac| field(&format!("mac {}", mac.address), home(mac))));
    }
    fields
}

/// The home of a static MAC as text.
fn home(mac: &MacDocument) -> String {
    match (&mac.port, &mac.remote_vtep) {
        (Some(port), _) => format!("port {port}"),
        (None, remote) => format!("remote VTEP {}", remote.as_deref().unwrap_or_default()),
    }
}
