//! Options of `vswitch network`, `port`, `vtep` and `mac`.
//!
//! Parsing checks only which options go together. The API checks their values.

use clap::{ArgGroup, Args, Subcommand};

use crate::cli::options::Target;

/// Options of `vswitch network`.
#[derive(Debug, Args)]
pub struct Network {
    /// The switch.
    #[command(flatten)]
    pub target: Target,
    /// The command.
    #[command(subcommand)]
    pub verb: NetworkVerb,
}

/// Commands for networks.
#[derive(Debug, Subcommand)]
pub enum NetworkVerb {
    /// Create a network.
    Create(NetworkCreate),
    /// Delete a network with its members and static MACs.
    Delete {
        /// The network.
        name: String,
    },
    /// Show all networks, or one network with its ports, static MACs and remote VTEPs.
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
    /// Remove a port from a network.
    Detach {
        /// The network.
        #[arg(value_name = "NETWORK")]
        network: String,
        /// The port.
        port: String,
    },
    /// Move a port to another network, or a static MAC to another port or remote VTEP, in one step.
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
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub vni: i64,
    /// The VTEP that connects it to other hosts; without one it stays on this host.
    #[arg(long)]
    pub vtep: Option<String>,
    /// IPv4 address of a remote VTEP, which gets a copy of every flooded frame; can be repeated.
    #[arg(long = "remote-vtep", value_name = "ADDRESS")]
    pub remote_vteps: Vec<String>,
    /// A port that belongs to it; can be repeated.
    #[arg(long = "port", value_name = "PORT")]
    pub ports: Vec<String>,
    /// Seconds without frames after which a learned MAC is forgotten; 0: never [default: 300].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub mac_ageing_secs: Option<i64>,
}

/// Options of `vswitch network migrate`.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("what").required(true).args(["port", "mac"])),
    group(ArgGroup::new("home").args(["to_remote_vtep", "to_port"])),
    override_usage = "vswitch network migrate --port <PORT> --from <NETWORK> --to <NETWORK>\n       \
        vswitch network migrate --mac <MAC> --network <NETWORK> \
        <--to-port <PORT>|--to-remote-vtep <ADDRESS>>"
)]
pub struct Migrate {
    /// The port to move, with its static MACs.
    #[arg(long, requires_all = ["from", "to"])]
    pub port: Option<String>,
    /// Its present network.
    #[arg(long, value_name = "NETWORK", requires = "port", conflicts_with = "mac")]
    pub from: Option<String>,
    /// Its new network.
    #[arg(long, value_name = "NETWORK", requires = "port", conflicts_with = "mac")]
    pub to: Option<String>,
    /// The static MAC to move.
    #[arg(long, requires_all = ["network", "home"])]
    pub mac: Option<String>,
    /// Its network.
    #[arg(long, requires = "mac", conflicts_with = "port")]
    pub network: Option<String>,
    /// Its new remote VTEP.
    #[arg(long, value_name = "ADDRESS", requires = "mac", conflicts_with = "port")]
    pub to_remote_vtep: Option<String>,
    /// Its new port.
    #[arg(long, value_name = "PORT", requires = "mac", conflicts_with = "port")]
    pub to_port: Option<String>,
}

/// Commands for the remote VTEPs of a network.
#[derive(Debug, Subcommand)]
pub enum RemoteVtepVerb {
    /// Let a network flood to a remote VTEP.
    Add {
        /// The network.
        network: String,
        /// IPv4 address of the remote VTEP.
        address: String,
    },
    /// Let a network no longer flood to a remote VTEP.
    Remove {
        /// The network.
        network: String,
        /// IPv4 address of the remote VTEP.
        address: String,
    },
}

/// Options of `vswitch port`.
#[derive(Debug, Args)]
pub struct Port {
    /// The switch.
    #[command(flatten)]
    pub target: Target,
    /// The command.
    #[command(subcommand)]
    pub verb: PortVerb,
}

/// Commands for ports.
#[derive(Debug, Subcommand)]
pub enum PortVerb {
    /// Add a port. It is unused until it belongs to a network, or is the uplink of a VTEP.
    Add {
        /// Its name, unique among the ports.
        name: String,
        /// A PCI address or DPDK devargs.
        #[arg(long)]
        device: String,
        /// Receive queues [default: one per worker].
        #[arg(long, value_name = "N", allow_negative_numbers = true)]
        queues: Option<i64>,
        /// Largest layer-3 packet in bytes [default: the MTU of the device].
        #[arg(long, value_name = "BYTES", allow_negative_numbers = true)]
        mtu: Option<i64>,
    },
    /// Remove an unused port.
    Remove {
        /// The port.
        name: String,
    },
}

/// Options of `vswitch vtep`.
#[derive(Debug, Args)]
pub struct Vtep {
    /// The switch.
    #[command(flatten)]
    pub target: Target,
    /// The command.
    #[command(subcommand)]
    pub verb: VtepVerb,
}

/// Commands for VTEPs of this host.
#[derive(Debug, Subcommand)]
pub enum VtepVerb {
    /// Add a VTEP of this host. For remote VTEPs see `vswitch network remote-vtep`.
    Add {
        /// Its name, unique among the VTEPs.
        name: String,
        /// Its uplink, an unused port.
        #[arg(long)]
        port: String,
        /// Its IPv4 address with the prefix length of the underlay's subnet, such as
        /// 198.51.100.1/24.
        #[arg(long, value_name = "ADDRESS/LENGTH")]
        address: String,
        /// The TAP through which the kernel sees the uplink.
        #[arg(long, value_name = "INTERFACE")]
        host_interface: String,
        /// The UDP port of VXLAN.
        #[arg(long, value_name = "N", default_value_t = 4789, allow_negative_numbers = true)]
        udp_port: i64,
        /// Its MAC in the underlay [default: the MAC of the uplink].
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
    /// The switch.
    #[command(flatten)]
    pub target: Target,
    /// The command.
    #[command(subcommand)]
    pub verb: MacVerb,
}

/// Commands for MAC addresses.
#[derive(Debug, Subcommand)]
pub enum MacVerb {
    /// Add a static MAC to a network.
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
    /// Remove a static MAC from a network.
    Remove {
        /// The network.
        network: String,
        /// The MAC address.
        mac: String,
    },
    /// Forget learned MACs: all, or those that all given options select. Each is learned again from
    /// its next frame.
    Flush {
        /// Only MACs of this network.
        #[arg(long)]
        network: Option<String>,
        /// Only MACs on this port.
        #[arg(long)]
        port: Option<String>,
        /// Only MACs behind this remote VTEP.
        #[arg(long, value_name = "ADDRESS")]
        remote_vtep: Option<String>,
        /// Only this MAC address.
        #[arg(long)]
        mac: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{Cli, Command};

    fn read(line: &str) -> Result<Cli, String> {
        let words = std::iter::once("vswitch").chain(line.split(' '));
        Cli::try_parse_from(words).map_err(|error| error.to_string())
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
    fn the_socket_can_be_named_anywhere() {
        for line in ["network --socket s delete a", "network delete a --socket s --json"] {
            let Command::Network(options) = read(line).unwrap().command else { panic!() };
            assert_eq!(options.target.socket.to_str(), Some("s"), "{line}");
        }
    }
}
