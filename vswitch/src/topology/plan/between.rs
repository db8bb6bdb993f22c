//! Finds the differences between two configurations.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use super::impact::Surroundings;
use super::step::{Action, FieldChange, Kind, Step};
use crate::config::document::{Document, MacDocument, NetworkDocument, keys_of};

/// A key and its value, if it has one.
type Field = (String, Option<String>);

pub(super) fn steps(old: &Document, new: &Document) -> Vec<Step> {
    let mut differences =
        Differences { old: Surroundings::of(old), new: Surroundings::of(new), steps: Vec::new() };
    differences.settings(old, new);
    for pair in matched(&old.port, &new.port, |port| &port.name) {
        differences.thing(Kind::Port, pair.map(|port| (port.name.as_str(), fields("port", port))));
    }
    for pair in matched(&old.vtep, &new.vtep, |vtep| &vtep.name) {
        differences.thing(Kind::Vtep, pair.map(|vtep| (vtep.name.as_str(), fields("vtep", vtep))));
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
        for (table, old, new) in [
            ("dpdk", fields("dpdk", &old.dpdk), fields("dpdk", &new.dpdk)),
            ("api", fields("api", &old.api), fields("api", &new.api)),
            ("fdb", fields("fdb", &old.fdb), fields("fdb", &new.fdb)),
        ] {
            for change in compare(old, new) {
                let name = format!("{table}.{}", change.field);
                self.add(Action::Change, Kind::Setting, &name, None, vec![change]);
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

/// The keys of a table in the order of their declaration, with their values as texts.
fn fields(kind: &str, table: &impl Serialize) -> Vec<Field> {
    let text = |value| match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(ToString::to_string).collect();
            Some(format!("[{}]", items.join(", ")))
        }
        other => Some(other.to_string()),
    };
    keys_of(kind, table).into_iter().map(|(key, value)| (key.to_owned(), text(value))).collect()
}

/// Remote VTEPs and MACs are fields of a network that is added or removed. In a network that stays,
/// they have steps of their own.
fn network_fields(network: &NetworkDocument, with_inside: bool) -> Vec<Field> {
    let mut fields = fields("network", network);
    fields.retain(|(key, _)| key != "remote-vteps");
    if with_inside {
        let field = |key: &str, value: String| (key.to_owned(), Some(value));
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
