//! Checks `[[port]]`, and that each port has one user.

use std::collections::HashMap;

use super::checks::number;
use super::diagnostic::{Problems, quoted};
use super::document::PortDocument;
use super::location::Location;
use super::model::Port;
use super::names::NameTable;

/// The ports and their users.
pub(super) struct Ports {
    pub list: Vec<Port>,
    pub names: NameTable,
    at: Location,
    users: Vec<Option<User>>,
}

/// The user of a port, and the location of the key that says so.
#[derive(Clone)]
pub(super) struct User {
    /// "the uplink of VTEP `fabric`"
    pub how: String,
    pub at: Location,
}

impl Ports {
    pub fn check(tables: &[PortDocument], at: Location, problems: &mut Problems) -> Self {
        let mut names = NameTable::new("port");
        let mut list = Vec::new();
        let mut devices = HashMap::new();
        let mut interfaces = HashMap::new();
        for (index, table) in tables.iter().enumerate() {
            let at = at.item(index);
            let name = table.name.clone();
            names.add(&name, at.key("name"), problems);
            let device = Device { text: &table.device, port: &table.name, at: at.key("device") };
            device.check(&mut devices, &mut interfaces, problems);
            let queues = table.queues.and_then(|queues| {
                let why = "a port receives on one queue at least, and DPDK knows 1024 at most";
                number(queues, &at.key("queues"), why, problems)
            });
            let mtu = table.mtu.and_then(|mtu| {
                let why = "every IPv4 host takes 576 bytes (RFC 791), and no common NIC takes \
                           more than 9728";
                number(mtu, &at.key("mtu"), why, problems)
            });
            list.push(Port { name, device: table.device.clone(), queues, mtu });
        }
        Self { users: vec![None; list.len()], list, names, at }
    }

    /// Gives a port to a user, or reports that it has another.
    pub fn claim(&mut self, port: usize, user: User, problems: &mut Problems) -> bool {
        let (Some(place), Some(name)) = (self.users.get_mut(port), self.list.get(port)) else {
            return false;
        };
        let Some(first) = place else {
            *place = Some(user);
            return true;
        };
        problems.error(
            &user.at,
            format!(
                "port {} cannot be {}: {} it is {}",
                quoted(&name.name),
                user.how,
                problems.position(&first.at),
                first.how
            ),
            "a port is the uplink of one VTEP or belongs to one network: give each its own port",
        );
        false
    }

    pub fn warn_unused(&self, problems: &mut Problems) {
        for (index, (port, user)) in self.list.iter().zip(&self.users).enumerate() {
            if user.is_none() && !port.name.is_empty() {
                problems.warning(
                    &self.at.item(index),
                    format!("port {} is not used", quoted(&port.name)),
                    "name it in a `[[vtep]]` or a `[[network.port]]`, or remove it",
                );
            }
        }
    }
}

/// The device of a port.
struct Device<'t> {
    text: &'t str,
    port: &'t str,
    at: Location,
}

impl<'t> Device<'t> {
    /// Checks it against the devices before it, by identity and by interface.
    fn check(
        self,
        devices: &mut HashMap<String, Self>,
        interfaces: &mut HashMap<&'t str, Self>,
        problems: &mut Problems,
    ) {
        let Self { text, port, ref at } = self;
        if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            let what = if text.is_empty() { "is empty" } else { "contains a space" };
            problems.error(
                at,
                format!("{} cannot be a device: it {what}", quoted(text)),
                "write a PCI address, `0000:01:00.0`, or DPDK devargs, \
                 `net_af_packet0,iface=eth1`",
            );
            return;
        }
        let identity = device_identity(text);
        if let Some(other) = devices.get(&identity) {
            let message = format!(
                "device {} is already that of port {} {}",
                quoted(&identity),
                quoted(other.port),
                problems.position(&other.at)
            );
            let help = "give each port its own device; a second virtual device of one driver has \
                        another number: `net_af_packet0`, `net_af_packet1`";
            problems.error(at, message, help);
            return;
        }
        devices.insert(identity, Self { text, port, at: at.clone() });
        let Some(interface) = interface_of(text) else { return };
        if let Some(other) = interfaces.get(interface) {
            let message = format!(
                "interface {} is already that of port {} {}: both ports see the same frames",
                quoted(interface),
                quoted(other.port),
                problems.position(&other.at)
            );
            problems.warning(at, message, "give each port its own interface");
        } else {
            interfaces.insert(interface, self);
        }
    }
}

/// The identity of a device: the name of a virtual device, or the PCI address with its domain.
fn device_identity(devargs: &str) -> String {
    let name = devargs.split(',').next().unwrap_or_default();
    if name.contains('=') {
        return devargs.to_owned(); // the bus=…,class=… syntax: its first part names no device
    }
    let name = name.strip_prefix("pci:").or_else(|| name.strip_prefix("vdev:")).unwrap_or(name);
    let short_pci = name.len() == 7 && name.as_bytes()[2] == b':' && name.as_bytes()[5] == b'.';
    if short_pci { format!("0000:{}", name.to_lowercase()) } else { name.to_owned() }
}

/// The kernel's interface that a virtual device uses or creates.
fn interface_of(devargs: &str) -> Option<&str> {
    devargs.split(',').find_map(|arg| arg.strip_prefix("iface="))
}

/// Whether two devices cannot be open at the same time: they are the same device, or use the same
/// interface of the kernel. The one that is closed first would undo the settings of the other.
#[cfg(any(feature = "dpdk", test))]
pub(crate) fn devices_conflict(one: &str, other: &str) -> bool {
    let interface = interface_of(one);
    device_identity(one) == device_identity(other)
        || (interface.is_some() && interface == interface_of(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_device_has_one_identity() {
        assert_eq!(device_identity("net_tap0,iface=a"), device_identity("net_tap0"));
        assert_eq!(device_identity("01:00.0"), device_identity("0000:01:00.0,arg=1"));
        assert_eq!(device_identity("pci:0000:01:00.0"), device_identity("0000:01:00.0"));
        assert_ne!(device_identity("net_tap0"), device_identity("net_tap1"));
        assert_ne!(device_identity("bus=pci,addr=1"), device_identity("bus=pci,addr=2"));
    }

    #[test]
    fn devices_conflict_by_name_or_by_interface() {
        assert!(devices_conflict("net_tap0,iface=a", "net_tap0,iface=b"));
        assert!(devices_conflict("net_af_packet0,iface=a", "net_af_packet1,qpairs=2,iface=a"));
        assert!(!devices_conflict("net_af_packet0,iface=a", "net_af_packet1,iface=b"));
        assert!(!devices_conflict("net_null0", "net_null1"));
    }
}
