//! Single changes: `vswitch network`, `port`, `vtep` and `mac`.
//!
//! Each command is one request to the API, which checks it. `options` defines the command line.

pub mod options;

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use options::{MacVerb, Migrate, NetworkVerb, PortVerb, RemoteVtepVerb, VtepVerb};

use super::client::{Base, Client, ClientError, NOTHING, path, query};
use super::configuration::report;
use super::options::Target;
use super::output::{Exit, note, plain, print, print_json};
use super::show::{self, What, tables};
use super::terminal::{Look, Progress};
use crate::api::apply::Change;
use crate::api::edit::{MacMigration, Migration, PortMigration};
use crate::config::document::{
    MacDocument, MemberDocument, NetworkDocument, PortDocument, VtepDocument,
};
use crate::text::count;

/// A change as a request of the API.
#[derive(Debug, PartialEq)]
struct Request {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl Request {
    fn post(path: String, body: Value) -> Self {
        Self { method: Method::POST, path, body: Some(body) }
    }

    fn delete(path: String) -> Self {
        Self { method: Method::DELETE, path, body: None }
    }

    /// Makes the change, and prints its steps. It can have any configuration as its base: it is
    /// complete in itself, and the switch repeats it if another change came first.
    fn make(&self, client: &Client, target: &Target) -> Result<Exit, ClientError> {
        let progress = Progress::begin("changing");
        let body = self.body.as_ref();
        let answer = client.change(self.method.clone(), &self.path, body, Base::Any)?;
        drop(progress);
        if target.json {
            return Ok(print_json(&answer.body));
        }
        let change: Change = answer.read()?;
        for warning in &change.warnings {
            let text = plain(&format!("{}\nhelp: {}", warning.message, warning.help));
            note(format_args!("vswitch: warning: {text}"));
        }
        let mut steps: String = change.plan.steps.iter().map(|step| format!("{step}\n")).collect();
        if steps.is_empty() {
            steps = format!("{}\n", change.plan);
        }
        Ok(report(&change, &steps, target))
    }
}

impl NetworkVerb {
    /// `None`: the command changes nothing.
    fn request(&self) -> Option<Request> {
        Some(match self {
            Self::Show { .. } => return None,
            Self::Create(new) => {
                let usual = NetworkDocument::new(&new.name, new.vni);
                let network = NetworkDocument {
                    vtep: new.vtep.clone(),
                    remote_vteps: new.remote_vteps.clone(),
                    port: new.ports.iter().cloned().map(|port| MemberDocument { port }).collect(),
                    mac_ageing_secs: new.mac_ageing_secs.unwrap_or(usual.mac_ageing_secs),
                    ..usual
                };
                Request::post(path(&[&"networks"]), json!(network))
            }
            Self::Delete { name } => Request::delete(path(&[&"networks", name])),
            Self::Attach { network, port } => {
                let member = MemberDocument { port: port.clone() };
                Request::post(path(&[&"networks", network, &"members"]), json!(member))
            }
            Self::Detach { network, port } => {
                Request::delete(path(&[&"networks", network, &"members", port]))
            }
            Self::Migrate(migrate) => {
                Request::post(path(&[&"migrate"]), json!(migrate.migration()))
            }
            Self::RemoteVtep(RemoteVtepVerb::Add { network, address }) => Request::post(
                path(&[&"networks", network, &"remote-vteps"]),
                json!({ "address": address }),
            ),
            Self::RemoteVtep(RemoteVtepVerb::Remove { network, address }) => {
                Request::delete(path(&[&"networks", network, &"remote-vteps", address]))
            }
        })
    }
}

impl Migrate {
    /// Parsing has checked which options are given together.
    fn migration(&self) -> Migration {
        let given = |option: &Option<String>| option.clone().unwrap_or_default();
        match &self.port {
            Some(name) => Migration::Port(PortMigration {
                name: name.clone(),
                from: given(&self.from),
                to: given(&self.to),
            }),
            None => Migration::Mac(MacMigration {
                address: given(&self.mac),
                network: given(&self.network),
                port: self.to_port.clone(),
                remote_vtep: self.to_remote_vtep.clone(),
            }),
        }
    }
}

impl PortVerb {
    fn request(&self) -> Request {
        match self {
            Self::Add { name, device, queues, mtu } => {
                let (name, device) = (name.clone(), device.clone());
                let port = PortDocument { name, device, queues: *queues, mtu: *mtu };
                Request::post(path(&[&"ports"]), json!(port))
            }
            Self::Remove { name } => Request::delete(path(&[&"ports", name])),
        }
    }
}

impl VtepVerb {
    fn request(&self) -> Request {
        match self {
            Self::Add { name, port, address, host_interface, udp_port, mac } => {
                let vtep = VtepDocument {
                    name: name.clone(),
                    port: port.clone(),
                    address: address.clone(),
                    host_interface: host_interface.clone(),
                    udp_port: *udp_port,
                    mac: mac.clone(),
                };
                Request::post(path(&[&"vteps"]), json!(vtep))
            }
            Self::Remove { name } => Request::delete(path(&[&"vteps", name])),
        }
    }
}

impl MacVerb {
    fn request(&self) -> Request {
        match self {
            Self::Flush { network, port, remote_vtep, mac } => {
                let given = [
                    ("network", network.clone()),
                    ("port", port.clone()),
                    ("remote-vtep", remote_vtep.clone()),
                    ("mac", mac.clone()),
                ];
                let path = query("/v1/fdb/flush", &given);
                Request { method: Method::POST, path, body: None }
            }
            Self::Add { network, mac, port, remote_vtep } => {
                let (address, port, remote_vtep) = (mac.clone(), port.clone(), remote_vtep.clone());
                let mac = MacDocument { address, port, remote_vtep };
                Request::post(path(&[&"networks", network, &"macs"]), json!(mac))
            }
            Self::Remove { network, mac } => {
                Request::delete(path(&[&"networks", network, &"macs", mac]))
            }
        }
    }
}

/// `vswitch network`.
pub(super) fn network(options: &options::Network, client: &Client) -> Result<Exit, ClientError> {
    match (&options.verb, options.verb.request()) {
        (_, Some(request)) => request.make(client, &options.target),
        (NetworkVerb::Show { name: Some(name) }, None) => {
            show_network(name, client, &options.target)
        }
        _ => show::list(What::Networks, false, client, &options.target),
    }
}

/// `vswitch port`.
pub(super) fn port(options: &options::Port, client: &Client) -> Result<Exit, ClientError> {
    options.verb.request().make(client, &options.target)
}

/// `vswitch vtep`.
pub(super) fn vtep(options: &options::Vtep, client: &Client) -> Result<Exit, ClientError> {
    options.verb.request().make(client, &options.target)
}

/// `vswitch mac`.
pub(super) fn mac(options: &options::Mac, client: &Client) -> Result<Exit, ClientError> {
    let request = options.verb.request();
    match options.verb {
        MacVerb::Flush { .. } => flush(&request.path, client, &options.target),
        MacVerb::Add { .. } | MacVerb::Remove { .. } => request.make(client, &options.target),
    }
}

fn flush(path: &str, client: &Client, target: &Target) -> Result<Exit, ClientError> {
    #[derive(Deserialize)]
    struct Flushed {
        flushed: usize,
    }
    let answer = client.post(path, NOTHING)?;
    if target.json {
        return Ok(print_json(&answer.body));
    }
    let Flushed { flushed } = answer.read()?;
    Ok(print(&format!("{} forgotten\n", count(flushed, "learned MAC"))))
}

/// Prints one network with its static MACs.
fn show_network(name: &str, client: &Client, target: &Target) -> Result<Exit, ClientError> {
    let row = client.get(&path(&[&"networks", &name]))?;
    if target.json {
        return Ok(print_json(&row.body));
    }
    let macs: Vec<MacDocument> = client.get(&path(&[&"networks", &name, &"macs"]))?.read()?;
    Ok(print(&tables::network(&row.read()?, &macs, Look::of_output())))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn request(line: &str) -> (String, String, Value) {
        let words = std::iter::once("vswitch").chain(line.split(' '));
        let request = match Cli::try_parse_from(words).unwrap().command {
            Command::Network(options) => options.verb.request().unwrap(),
            Command::Port(options) => options.verb.request(),
            Command::Vtep(options) => options.verb.request(),
            Command::Mac(options) => options.verb.request(),
            other => panic!("{other:?}"),
        };
        (request.method.to_string(), request.path, request.body.unwrap_or_default())
    }

    #[test]
    fn each_command_is_one_request() {
        let blue = "/v1/networks/blue";
        for (line, method, path, body) in [
            (
                "network create blue --vni 5 --vtep f --remote-vtep 1.2.3.4 --port a --port b \
                 --mac-ageing-secs 0",
                "POST",
                "/v1/networks",
                json!({"name": "blue", "vni": 5, "vtep": "f", "remote-vteps": ["1.2.3.4"],
                    "mac-ageing-secs": 0, "port": [{"port": "a"}, {"port": "b"}], "mac": []}),
            ),
            (
                "network create blue --vni 5",
                "POST",
                "/v1/networks",
                json!({"name": "blue", "vni": 5, "remote-vteps": [], "mac-ageing-secs": 300,
                    "port": [], "mac": []}),
            ),
            ("network delete blue", "DELETE", blue, Value::Null),
            ("network attach blue a", "POST", "/v1/networks/blue/members", json!({"port": "a"})),
            ("network detach blue a/b", "DELETE", "/v1/networks/blue/members/a%2Fb", Value::Null),
            (
                "network migrate --port a --from blue --to red",
                "POST",
                "/v1/migrate",
                json!({"port": {"name": "a", "from": "blue", "to": "red"}}),
            ),
            (
                "network migrate --mac 02:00:00:00:00:09 --network blue --to-remote-vtep 1.2.3.4",
                "POST",
                "/v1/migrate",
                json!({"mac": {"address": "02:00:00:00:00:09", "network": "blue",
                    "remote-vtep": "1.2.3.4"}}),
            ),
            (
                "network migrate --mac 02:00:00:00:00:09 --network blue --to-port a",
                "POST",
                "/v1/migrate",
                json!({"mac": {"address": "02:00:00:00:00:09", "network": "blue", "port": "a"}}),
            ),
            (
                "network remote-vtep add blue 1.2.3.4",
                "POST",
                "/v1/networks/blue/remote-vteps",
                json!({"address": "1.2.3.4"}),
            ),
            (
                "network remote-vtep remove blue 1.2.3.4",
                "DELETE",
                "/v1/networks/blue/remote-vteps/1.2.3.4",
                Value::Null,
            ),
            (
                "port add p --device net_null0 --queues 2 --mtu 1600",
                "POST",
                "/v1/ports",
                json!({"name": "p", "device": "net_null0", "queues": 2, "mtu": 1600}),
            ),
            ("port remove p", "DELETE", "/v1/ports/p", Value::Null),
            (
                "vtep add v --port up --address 198.51.100.1/24 --host-interface vtep0",
                "POST",
                "/v1/vteps",
                json!({"name": "v", "port": "up", "address": "198.51.100.1/24",
                    "host-interface": "vtep0", "udp-port": 4789}),
            ),
            ("vtep remove v", "DELETE", "/v1/vteps/v", Value::Null),
            (
                "mac add blue 02:00:00:00:00:0a --port a",
                "POST",
                "/v1/networks/blue/macs",
                json!({"address": "02:00:00:00:00:0a", "port": "a"}),
            ),
            (
                "mac add blue 02:00:00:00:00:0a --remote-vtep 1.2.3.4",
                "POST",
                "/v1/networks/blue/macs",
                json!({"address": "02:00:00:00:00:0a", "remote-vtep": "1.2.3.4"}),
            ),
            (
                "mac remove blue 02:00:00:00:00:0a",
                "DELETE",
                "/v1/networks/blue/macs/02:00:00:00:00:0a",
                Value::Null,
            ),
            ("mac flush", "POST", "/v1/fdb/flush", Value::Null),
            ("mac flush --port a", "POST", "/v1/fdb/flush?port=a", Value::Null),
        ] {
            let expected = (method.to_owned(), path.to_owned(), body);
            assert_eq!(request(line), expected, "{line}");
        }
    }
}
