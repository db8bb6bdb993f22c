//! From `[[port]]` to the attachments of the switch, and who uses each.

use std::collections::HashMap;

use toml::Spanned;

use super::Port;
use super::checks::number;
use super::diagnostic::{Problems, Span, quoted};
use super::names::Names;
use super::raw::PortTable;

/// The ports, and who uses them.
pub(super) struct Ports {
    pub list: Vec<Port>,
    pub names: Names,
    headers: Vec<Span>,
    users: Vec<Option<User>>,
}

/// Who uses a port, and where the file says so.
#[derive(Clone)]
pub(super) struct User {
    /// "the uplink of VTEP `fabric`"
    pub how: String,
    pub at: Span,
}

impl Ports {
    pub fn check(tables: &[Spanned<PortTable>], problems: &mut Problems) -> Self {
        let mut names = Names::new("port");
        let mut list = Vec::new();
        let mut devices: HashMap<String, (String, Span)> = HashMap::new();
        let mut interfaces: HashMap<&str, (String, Span)> = HashMap::new();
        for table in tables {
            let table = table.get_ref();
            let name = names.add(table.name.as_ref(), problems);
            if let Some(device) = &table.device {
                check_device(device, &name, &mut devices, &mut interfaces, problems);
            }
            list.push(Port {
                name,
                device: table.device.as_ref().map(|d| d.get_ref().clone()).unwrap_or_default(),
                queues: number(
                    table.queues.as_ref(),
                    1..=1024,
                    "queues",
                    "a port receives on one queue at least, and DPDK knows 1024 at most",
                    problems,
                ),
                mtu: number(
                    table.mtu.as_ref(),
                    576..=9728,
                    "mtu",
                    "every IPv4 host takes 576 bytes (RFC 791), and no common NIC takes more than \
                     9728",
                    problems,
                ),
            });
        }
        let headers = tables.iter().map(Spanned::span).collect();
        Self { users: vec![None; list.len()], list, names, headers }
    }

    /// Gives a port to a user, or reports who has it already.
    pub fn claim(&mut self, port: usize, user: User, problems: &mut Problems) -> bool {
        let (Some(place), Some(name)) = (self.users.get_mut(port), self.list.get(port)) else {
            return false;
        };
        let Some(first) = place else {
            *place = Some(user);
            return true;
        };
        problems.error(
            user.at.clone(),
            format!(
                "port {} cannot be {}: {} it is {}",
                quoted(&name.name),
                user.how,
                problems.place(&first.at),
                first.how
            ),
            "a port is the uplink of one VTEP or belongs to one network: give each its own port",
        );
        false
    }

    pub fn warn_unused(&self, problems: &mut Problems) {
        for ((port, user), header) in self.list.iter().zip(&self.users).zip(&self.headers) {
            if user.is_none() && !port.name.is_empty() {
                problems.warning(
                    header.clone(),
                    format!("port {} is not used", quoted(&port.name)),
                    "name it in a `[[vtep]]` or a `[[network.port]]`, or remove it",
                );
            }
        }
    }
}

fn check_device<'t>(
    device: &'t Spanned<String>,
    port: &str,
    devices: &mut HashMap<String, (String, Span)>,
    interfaces: &mut HashMap<&'t str, (String, Span)>,
    problems: &mut Problems,
) {
    let text = device.get_ref();
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        let what = if text.is_empty() { "is empty" } else { "contains a space" };
        problems.error(
            device.span(),
            format!("{} cannot be a device: it {what}", quoted(text)),
            "write a PCI address, `0000:01:00.0`, or DPDK devargs, `net_af_packet0,iface=eth1`",
        );
        return;
    }
    let identity = device_identity(text);
    if let Some((other, at)) = devices.get(&identity) {
        let message = format!(
            "device {} is already that of port {} {}",
            quoted(&identity),
            quoted(other),
            problems.place(at)
        );
        let help = "give each port its own device; a second virtual device of one driver has \
                    another number: `net_af_packet0`, `net_af_packet1`";
        problems.error(device.span(), message, help);
        return;
    }
    devices.insert(identity, (port.to_owned(), device.span()));
    if let Some(interface) = interface_of(text) {
        if let Some((other, at)) = interfaces.get(interface) {
            let message = format!(
                "interface {} is already that of port {} {}: both ports see the same \
                 frames",
                quoted(interface),
                quoted(other),
                problems.place(at)
            );
            problems.warning(device.span(), message, "give each port its own interface");
        } else {
            interfaces.insert(interface, (port.to_owned(), device.span()));
        }
    }
}

/// What makes two devargs the same device: the name of a virtual device, or the PCI address with
/// its domain.
fn device_identity(devargs: &str) -> String {
    let name = devargs.split(',').next().unwrap_or_default();
    if name.contains('=') {
        return devargs.to_owned(); // the bus=…,class=… syntax: its first part names no device
    }
    let name = name.strip_prefix("pci:").or_else(|| name.strip_prefix("vdev:")).unwrap_or(name);
    let short_pci = name.len() == 7 && name.as_bytes()[2] == b':' && name.as_bytes()[5] == b'.';
    if short_pci { format!("0000:{}", name.to_lowercase()) } else { name.to_owned() }
}

/// The kernel's interface that a virtual device reads and writes, or makes.
fn interface_of(devargs: &str) -> Option<&str> {
    devargs.split(',').find_map(|arg| arg.strip_prefix("iface="))
}

/// Whether two devices cannot be open at one time: they are the same, or would both set up the same interface of the
/// kernel, and the one that is closed first would undo what the other has set.
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
