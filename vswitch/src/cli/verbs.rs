//! The verbs for single things: `vswitch network|port|vtep|mac …`.
//!
//! Each is one request to the API, which checks it and says what is wrong. So nothing is checked here
//! but that the options fit together.

use clap::{ArgGroup, Args, Subcommand};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::check::count;
use super::client::{Client, ClientError, path, query};
use super::configuration::report;
use super::failure::plain;
use super::terminal::{Look, Progress};
use super::{At, Exit, What, note, print, print_json, table};
use crate::api::change::Change;
use crate::api::edit::{MacMigration, Migration, PortMigration};
use crate::config::document::{
    MacDocument, MemberDocument, NetworkDocument, PortDocument, VtepDocument,
};

/// Nothing to send.
const NOTHING: Option<&Value> = None;

/// Options of `vswitch network`.
#[derive(Debug, Args)]
pub struct Network {
    /// Which switch.
    #[command(flatten)]
    pub at: At,
    /// What to do.
    #[command(subcommand)]
    pub verb: NetworkVerb,
}

/// What can be done with networks.
#[derive(Debug, Subcommand)]
pub enum NetworkVerb {
    /// Make a network.
    Create(NetworkCreate),
    /// Remove a network, with its members and static MACs.
    Delete {
        /// The network.
        name: String,
    },
    /// Show all networks, or one with its ports, static MACs and remote VTEPs.
    Show {
        /// The network.
        name: Option<String>,
    },
    /// Add a port to a network.
    Attach {
        /// The network.
        #[arg(value_name = "NETWORK")]
        network: String,
        /// The port.
        port: String,
    },
    /// Take a port out of a network.
    Detach {
        /// The network.
        #[arg(value_name = "NETWORK")]
        network: String,
        /// The port.
        port: String,
    },
    /// Move a port to another network, or a static MAC to another home, as one step.
    Migrate(Migrate),
    /// Add or remove a remote VTEP that a network floods to.
    #[command(subcommand)]
    RemoteVtep(RemoteVtepVerb),
}

/// Options of `vswitch network create`.
#[derive(Debug, Args)]
pub struct NetworkCreate {
    /// Its name, unique among the networks.
    pub name: String,
    /// VXLAN network identifier, 1 to 16777215, unique among the networks.
    #[arg(long, value_name = "N")]
    pub vni: i64,
    /// The VTEP that carries it to other hosts; without one it stays on this host.
    #[arg(long)]
    pub vtep: Option<String>,
    /// IPv4 address of another host's VTEP, which gets a copy of every flooded frame; more than once for more.
    #[arg(long = "remote-vtep", value_name = "ADDRESS")]
    pub remote_vteps: Vec<String>,
    /// A port that belongs to it; more than once for more.
    #[arg(long = "port", value_name = "PORT")]
    pub ports: Vec<String>,
    /// Seconds after which a learned MAC that was not seen is forgotten; 0: never [default: 300].
    #[arg(long, value_name = "N")]
    pub mac_ageing_secs: Option<i64>,
}

/// Options of `vswitch network migrate`.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("what").required(true).args(["port", "mac"])),
    group(ArgGroup::new("home").args(["to_remote_vtep", "to_port"])),
    override_usage = "vswitch network migrate --port <PORT> --from <NETWORK> --to <NETWORK>\n       \
        vswitch network migrate --mac <MAC> --network <NETWORK> <--to-port <PORT>|--to-remote-vtep <ADDRESS>>"
)]
pub struct Migrate {
    /// The port to move, with its static MACs.
    #[arg(long, requires_all = ["from", "to"])]
    pub port: Option<String>,
    /// The network that it is in.
    #[arg(long, value_name = "NETWORK", requires = "port", conflicts_with = "mac")]
    pub from: Option<String>,
    /// The network that it shall be in.
    #[arg(long, value_name = "NETWORK", requires = "port", conflicts_with = "mac")]
    pub to: Option<String>,
    /// The static MAC to move.
    #[arg(long, requires_all = ["network", "home"])]
    pub mac: Option<String>,
    /// Its network.
    #[arg(long, requires = "mac", conflicts_with = "port")]
    pub network: Option<String>,
    /// The remote VTEP that it shall be behind.
    #[arg(long, value_name = "ADDRESS", requires = "mac", conflicts_with = "port")]
    pub to_remote_vtep: Option<String>,
    /// The port that it shall be on.
    #[arg(long, value_name = "PORT", requires = "mac", conflicts_with = "port")]
    pub to_port: Option<String>,
}

/// What can be done with a network's remote VTEPs.
#[derive(Debug, Subcommand)]
pub enum RemoteVtepVerb {
    /// Have a network flood to another host.
    Add {
        /// The network.
        network: String,
        /// IPv4 address of the other host's VTEP.
        address: String,
    },
    /// Have a network no longer flood to another host.
    Remove {
        /// The network.
        network: String,
        /// IPv4 address of the other host's VTEP.
        address: String,
    },
}

/// Options of `vswitch port`.
#[derive(Debug, Args)]
pub struct Port {
    /// Which switch.
    #[command(flatten)]
    pub at: At,
    /// What to do.
    #[command(subcommand)]
    pub verb: PortVerb,
}

/// What can be done with ports.
#[derive(Debug, Subcommand)]
pub enum PortVerb {
    /// Add a port. Nothing uses it until it belongs to a network, or is a VTEP's uplink.
    Add {
        /// Its name, unique among the ports.
        name: String,
        /// A PCI address or DPDK devargs.
        #[arg(long)]
        device: String,
        /// Receive queues [default: as many as there are workers].
        #[arg(long, value_name = "N")]
        queues: Option<i64>,
        /// Largest layer-3 packet in bytes [default: what the device has].
        #[arg(long, value_name = "BYTES")]
        mtu: Option<i64>,
    },
    /// Remove a port that nothing uses.
    Remove {
        /// The port.
        name: String,
    },
}

/// Options of `vswitch vtep`.
#[derive(Debug, Args)]
pub struct Vtep {
    /// Which switch.
    #[command(flatten)]
    pub at: At,
    /// What to do.
    #[command(subcommand)]
    pub verb: VtepVerb,
}

/// What can be done with VTEPs of this host.
#[derive(Debug, Subcommand)]
pub enum VtepVerb {
    /// Add a VTEP. Those of other hosts are networks' business: `vswitch network remote-vtep`.
    Add {
        /// Its name, unique among the VTEPs.
        name: String,
        /// Its uplink, a port that nothing else uses.
        #[arg(long)]
        port: String,
        /// Its IPv4 address with the prefix length of the underlay's subnet, such as 198.51.100.1/24.
        #[arg(long, value_name = "ADDRESS/LENGTH")]
        address: String,
        /// The TAP through which the kernel sees the uplink.
        #[arg(long, value_name = "INTERFACE")]
        host_interface: String,
        /// UDP port of VXLAN.
        #[arg(long, value_name = "N", default_value_t = 4789)]
        udp_port: i64,
        /// The MAC that the underlay sees [default: the uplink's own].
        #[arg(long)]
        mac: Option<String>,
    },
    /// Remove a VTEP that no network uses.
    Remove {
        /// The VTEP.
        name: String,
    },
}

/// Options of `vswitch mac`.
#[derive(Debug, Args)]
pub struct Mac {
    /// Which switch.
    #[command(flatten)]
    pub at: At,
    /// What to do.
    #[command(subcommand)]
    pub verb: MacVerb,
}

/// What can be done with MAC addresses.
#[derive(Debug, Subcommand)]
pub enum MacVerb {
    /// Give a network a static MAC.
    #[command(group(ArgGroup::new("home").required(true).args(["port", "remote_vtep"])))]
    Add {
        /// The network.
        network: String,
        /// The MAC address.
        mac: String,
        /// The port that the station is on.
        #[arg(long)]
        port: Option<String>,
        /// The remote VTEP that the station is behind.
        #[arg(long, value_name = "ADDRESS")]
        remote_vtep: Option<String>,
    },
    /// Take a static MAC from a network.
    Remove {
        /// The network.
        network: String,
        /// The MAC address.
        mac: String,
    },
    /// Forget learned MACs, all or those that every option selects; each is learned anew from its next frame.
    Flush {
        /// Those of this network.
        #[arg(long)]
        network: Option<String>,
        /// Those on this port.
        #[arg(long)]
        port: Option<String>,
        /// Those behind this remote VTEP.
        #[arg(long, value_name = "ADDRESS")]
        remote_vtep: Option<String>,
        /// This MAC address.
        #[arg(long)]
        mac: Option<String>,
    },
}

/// A change, as the API takes it.
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

    /// Makes the change, and says what it was.
    fn make(&self, client: &Client, at: &At) -> Result<Exit, ClientError> {
        let progress = Progress::begin("changing");
        let answer = client.change(self.method.clone(), &self.path, self.body.as_ref(), None)?;
        drop(progress);
        if at.json {
            return Ok(print_json(&answer.body));
        }
        let change: Change = answer.read()?;
        for warning in &change.warnings {
            let text = plain(&format!("{}\nhelp: {}", warning.message, warning.help));
            note(format_args!("vswitch: warning: {text}"));
        }
        let steps: String = change.plan.steps.iter().map(|step| format!("{step}\n")).collect();
        Ok(report(&change, &steps, at))
    }
}

impl NetworkVerb {
    /// `None`: it changes nothing.
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
    /// Which options are there together is known since they were read.
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
    /// `None`: it changes nothing in the configuration.
    fn request(&self) -> Option<Request> {
        Some(match self {
            Self::Flush { .. } => return None,
            Self::Add { network, mac, port, remote_vtep } => {
                let (address, port, remote_vtep) = (mac.clone(), port.clone(), remote_vtep.clone());
                let mac = MacDocument { address, port, remote_vtep };
                Request::post(path(&[&"networks", network, &"macs"]), json!(mac))
            }
            Self::Remove { network, mac } => {
                Request::delete(path(&[&"networks", network, &"macs", mac]))
            }
        })
    }
}

/// `vswitch network`.
pub(super) fn network(typed: &Network, client: &Client) -> Result<Exit, ClientError> {
    match (&typed.verb, typed.verb.request()) {
        (_, Some(request)) => request.make(client, &typed.at),
        (NetworkVerb::Show { name: Some(name) }, None) => show_network(name, client, &typed.at),
        _ => super::show::list(What::Networks, false, client, &typed.at),
    }
}

/// `vswitch port`.
pub(super) fn port(typed: &Port, client: &Client) -> Result<Exit, ClientError> {
    typed.verb.request().make(client, &typed.at)
}

/// `vswitch vtep`.
pub(super) fn vtep(typed: &Vtep, client: &Client) -> Result<Exit, ClientError> {
    typed.verb.request().make(client, &typed.at)
}

/// `vswitch mac`.
pub(super) fn mac(typed: &Mac, client: &Client) -> Result<Exit, ClientError> {
    if let MacVerb::Flush { network, port, remote_vtep, mac } = &typed.verb {
        let given = [
            ("network", network.clone()),
            ("port", port.clone()),
            ("remote-vtep", remote_vtep.clone()),
            ("mac", mac.clone()),
        ];
        return flush(&query("/v1/fdb/flush", &given), client, &typed.at);
    }
    match typed.verb.request() {
        Some(request) => request.make(client, &typed.at),
        None => Ok(Exit::Success),
    }
}

fn flush(path: &str, client: &Client, at: &At) -> Result<Exit, ClientError> {
    #[derive(Deserialize)]
    struct Flushed {
        flushed: usize,
    }
    let answer = client.post(path, NOTHING)?;
    if at.json {
        return Ok(print_json(&answer.body));
    }
    let Flushed { flushed } = answer.read()?;
    Ok(print(&format!("{} forgotten\n", count(flushed, "learned MAC"))))
}

/// One network, with what is in it.
fn show_network(name: &str, client: &Client, at: &At) -> Result<Exit, ClientError> {
    let row = client.get(&path(&[&"networks", &name]))?;
    if at.json {
        return Ok(print_json(&row.body));
    }
    let macs: Vec<MacDocument> = client.get(&path(&[&"networks", &name, &"macs"]))?.read()?;
    Ok(print(&table::network(&row.read()?, &macs, Look::of_output())))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn read(line: &str) -> Result<Cli, String> {
        let words = std::iter::once("vswitch").chain(line.split(' '));
        Cli::try_parse_from(words).map_err(|error| error.to_string())
    }

    fn request(line: &str) -> (String, String, Value) {
        let request = match read(line).unwrap().command {
            Command::Network(typed) => typed.verb.request().unwrap(),
            Command::Port(typed) => typed.verb.request(),
            Command::Vtep(typed) => typed.verb.request(),
            Command::Mac(typed) => typed.verb.request().unwrap(),
            other => panic!("{other:?}"),
        };
        (request.method.to_string(), request.path, request.body.unwrap_or_default())
    }

    #[test]
    fn each_verb_is_one_request() {
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
        ] {
            let expected = (method.to_owned(), path.to_owned(), body);
            assert_eq!(request(line), expected, "{line}");
        }
    }

    #[test]
    fn options_that_do_not_fit_together_are_named() {
        let mac = "02:00:00:00:00:09";
        for (line, words) in [
            ("network create blue".to_owned(), "--vni <N>"),
            ("network create blue --vni many".to_owned(), "invalid value 'many'"),
            ("network migrate".to_owned(), "--port <PORT>"),
            ("network migrate --port a --from blue".to_owned(), "--to <NETWORK>"),
            ("network migrate --port a --mac m".to_owned(), "cannot be used with"),
            (format!("network migrate --mac {mac} --to-port a"), "--network <NETWORK>"),
            (format!("network migrate --mac {mac} --network blue"), "--to-remote-vtep"),
            (
                format!("network migrate --mac {mac} --network b --to-port a --to-remote-vtep x"),
                "cannot be used with",
            ),
            ("network migrate --port a --from b --to c --network d".to_owned(), "cannot be used"),
            (format!("mac add blue {mac}"), "--port <PORT>|--remote-vtep <ADDRESS>"),
            (format!("mac add blue {mac} --port a --remote-vtep b"), "cannot be used with"),
            ("port add p".to_owned(), "--device <DEVICE>"),
            ("vtep add v --port up".to_owned(), "--address <ADDRESS/LENGTH>"),
            ("network atach blue a".to_owned(), "attach"),
        ] {
            let error = read(&line).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }

    #[test]
    fn which_switch_can_be_said_anywhere() {
        for line in ["network --socket s delete a", "network delete a --socket s --json"] {
            let Command::Network(typed) = read(line).unwrap().command else { panic!() };
            assert_eq!(typed.at.socket.to_str(), Some("s"), "{line}");
        }
    }
}
