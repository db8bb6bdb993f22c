//! The text that names a port's device, and the limits of drivers.
//!
//! The text is a PCI address or the name of a virtual device, with arguments after commas. DPDK
//! calls it devargs. The limits hold before a driver is loaded. They are from the sources of DPDK
//! 22.11.
//!
//! Pure functions, used by `doctor`, by the computation of memory, and by `dpdk`.

/// The full PCI address of a device that is given as `01:00.0` or `0000:01:00.0`, with or without
/// arguments; `None` for a virtual device.
#[must_use]
pub fn pci_address(device: &str) -> Option<String> {
    let name = device.split(',').next()?;
    let (rest, function) = name.rsplit_once('.')?;
    let mut parts = rest.rsplit(':');
    let (slot, bus, domain) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0000"));
    let hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let valid = parts.next().is_none()
        && (4..=8).any(|len| hex(domain, len))
        && hex(bus, 2)
        && hex(slot, 2)
        && hex(function, 1);
    valid.then(|| format!("{domain}:{bus}:{slot}.{function}").to_ascii_lowercase())
}

/// The value of an argument of the device.
#[must_use]
pub fn argument<'a>(device: &'a str, key: &str) -> Option<&'a str> {
    device.split(',').skip(1).find_map(|part| part.trim().strip_prefix(key)?.strip_prefix('='))
}

fn number(device: &str, key: &str) -> Option<u16> {
    argument(device, key)?.trim().parse().ok()
}

/// Drivers of virtual devices, whose names the names of their devices begin with, and the plugin
/// that contains each.
const VIRTUAL: [(&str, &str); 14] = [
    ("net_af_packet", "net_af_packet"),
    ("net_af_xdp", "net_af_xdp"),
    ("net_bonding", "net_bond"),
    ("net_failsafe", "net_failsafe"),
    ("net_memif", "net_memif"),
    ("net_null", "net_null"),
    ("net_pcap", "net_pcap"),
    ("net_ring", "net_ring"),
    ("net_softnic", "net_softnic"),
    ("net_tap", "net_tap"),
    ("net_tun", "net_tap"),
    ("net_vdev_netvsc", "net_vdev_netvsc"),
    ("net_vhost", "net_vhost"),
    ("net_virtio_user", "net_virtio"),
];

/// The driver of a virtual device: `net_af_packet` for `net_af_packet0,iface=eth1`. For an unknown
/// driver, the name without the number at its end; `None` for a PCI device.
#[must_use]
pub fn driver(device: &str) -> Option<&str> {
    if pci_address(device).is_some() {
        return None;
    }
    let name = device.split(',').next().unwrap_or_default().trim();
    let name = name.strip_prefix("vdev:").unwrap_or(name);
    let known = VIRTUAL.iter().find(|(driver, _)| name.starts_with(driver));
    Some(known.map_or_else(|| name.trim_end_matches(|c: char| c.is_ascii_digit()), |known| known.0))
}

/// The plugin of a known virtual driver: the name of its library without `librte_` and suffix.
#[must_use]
pub fn plugin(device: &str) -> Option<&'static str> {
    let driver = driver(device)?;
    VIRTUAL.iter().find(|known| known.0 == driver).map(|known| known.1)
}

/// The kernel interfaces that must exist before a virtual device is probed:
/// `net_af_packet0,iface=eth1` needs `eth1`.
///
/// A `net_tap` device creates the interface named by `iface`, and needs the one named by `remote`.
/// Devices without an interface (PCI, vhost-user) need none.
#[must_use]
pub fn interfaces_needed(device: &str) -> Vec<&str> {
    let keys: &[&str] = match driver(device) {
        Some("net_af_packet" | "net_af_xdp") => &["iface"],
        Some("net_pcap") => &["iface", "rx_iface", "rx_iface_in", "tx_iface"],
        Some("net_tap") => &["remote"],
        _ => &[],
    };
    let parts = device.split(',').skip(1).filter_map(|part| part.split_once('='));
    parts.filter(|(key, _)| keys.contains(&key.trim())).map(|(_, name)| name.trim()).collect()
}

/// The largest number of receive and of transmit queues of a virtual device; `None` if only the
/// device itself knows.
#[must_use]
pub fn max_queues(device: &str) -> Option<(u16, u16)> {
    let both = |count: u16| Some((count, count));
    let files = |keys: &[&str]| {
        let parts = device.split(',').skip(1).filter_map(|part| part.split_once('='));
        let count = parts.filter(|(key, _)| keys.contains(key)).count();
        u16::try_from(count).unwrap_or(u16::MAX).max(1)
    };
    match driver(device)? {
        "net_af_packet" => both(number(device, "qpairs").unwrap_or(1)),
        "net_af_xdp" => both(number(device, "queue_count").unwrap_or(1)),
        "net_pcap" if argument(device, "iface").is_some() => both(1),
        "net_pcap" => {
            Some((files(&["rx_pcap", "rx_iface", "rx_iface_in"]), files(&["tx_pcap", "tx_iface"])))
        }
        "net_tap" => both(16),
        "net_null" => both(1024),
        "net_ring" => both(1),
        _ => None,
    }
}

/// How much longer than the MTU a frame can be: an Ethernet header (14) and two VLAN tags (4 each).
pub const L2_OVERHEAD: u16 = 22;

/// How much larger than the MTU a slot of a packet socket's receive ring is: 80 bytes for its own
/// header and the Ethernet header, aligned (packet_mmap in the kernel's documentation;
/// `tpacket_rcv`), and one more, so that a frame that the kernel cut to fill the slot is longer
/// than the MTU allows.
pub const RING_OVERHEAD: u16 = 81;

/// The size of a slot in the rings of `net_af_packet`. Only this limits its frames: the driver
/// reports 1518 bytes to ethdev in any case, and delivers frames that the kernel cut to fit a slot.
#[must_use]
pub fn ring_slot(device: &str) -> Option<u16> {
    (driver(device) == Some("net_af_packet")).then(|| number(device, "framesz").unwrap_or(2048))
}

/// The largest MTU of a virtual device; `None` if only the device itself knows.
#[must_use]
pub fn mtu_limit(device: &str) -> Option<u16> {
    match driver(device)? {
        "net_af_packet" => ring_slot(device).map(|slot| slot.saturating_sub(RING_OVERHEAD)),
        // A chunk of 4 KiB less headers and the kernel's headroom for XDP.
        "net_af_xdp" => Some(3542),
        "net_tap" => Some(1504),
        _ => None,
    }
}

/// The arguments with which the slots of `net_af_packet` hold frames of this MTU.
#[must_use]
pub fn ring_arguments(mtu: u16) -> String {
    let size = usize::from(mtu.saturating_add(RING_OVERHEAD)).next_power_of_two();
    format!("framesz={size},blocksz={}", size.max(4096))
}

/// The length of the frames that a buffer of the port's pool must hold, in bytes.
#[must_use]
pub fn buffer_room(driver: &str, ring_slot: Option<u16>, mtu: u16) -> u16 {
    // The driver of packet sockets asks for room for a whole slot without its header.
    let slot = ring_slot.map_or(0, |slot| slot.saturating_sub(32));
    whole_frame_room(driver, mtu.saturating_add(L2_OVERHEAD)).max(slot)
}

/// The room that a buffer must have so that the device puts a whole frame into it. NICs round the
/// room down to a step of theirs, and spread longer frames over several buffers, asked to or not.
fn whole_frame_room(driver: &str, frame: u16) -> u16 {
    match driver {
        // Powers of two, up to 16384 (RCTL.BSIZE and BSEX; `em_rctl_bsize`).
        "net_e1000_em" => frame.checked_next_power_of_two(),
        // Steps of 1 KiB (SRRCTL.BSIZEPACKET of igb and ixgbe), of 128 bytes (the queue context of
        // i40e, iavf and ice), or none.
        _ => frame.checked_next_multiple_of(1024),
    }
    .unwrap_or(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pci_address_is_completed_and_a_virtual_device_has_none() {
        let full = Some("0000:3b:00.1".to_owned());
        assert_eq!(pci_address("3B:00.1"), full);
        assert_eq!(pci_address("0000:3b:00.1,representor=[0-1]"), full);
        assert_eq!(pci_address("10000:3b:00.1"), Some("10000:3b:00.1".to_owned()));
        for other in ["net_null0", "net_af_packet0,iface=eth0.5", "net_pcap0,rx_pcap=a:b.1", ""] {
            assert_eq!(pci_address(other), None, "{other}");
        }
    }

    #[test]
    fn arguments_are_found_by_name() {
        assert_eq!(argument("net_af_packet0,iface=eth1,qpairs=2", "iface"), Some("eth1"));
        assert_eq!(argument("iface=eth1", "iface"), None);
        assert_eq!(argument("net_tap0,ifaces=x", "iface"), None);
    }

    #[test]
    fn a_virtual_device_has_a_driver_and_the_driver_a_plugin() {
        for (device, expected, in_plugin) in [
            ("net_af_packet0,iface=eth1", Some("net_af_packet"), Some("net_af_packet")),
            ("net_af_packet_up,iface=eth1", Some("net_af_packet"), Some("net_af_packet")),
            ("net_virtio_user7,path=/dev/vhost-net", Some("net_virtio_user"), Some("net_virtio")),
            ("net_nonsense12", Some("net_nonsense"), None),
            ("0000:01:00.0", None, None),
        ] {
            assert_eq!(driver(device), expected, "{device}");
            assert_eq!(plugin(device), in_plugin, "{device}");
        }
    }

    #[test]
    fn devices_need_the_interfaces_in_their_arguments() {
        for (device, names) in [
            ("net_af_packet0,iface=eth1", vec!["eth1"]),
            ("net_af_packet_up,qpairs=2,iface=veth-a,blocksz=4096", vec!["veth-a"]),
            ("net_af_xdp0,iface=veth-x,start_queue=0", vec!["veth-x"]),
            ("net_tap0,iface=dtap0", vec![]),
            ("net_tap0,iface=dtap0,remote=eth2", vec!["eth2"]),
            ("net_pcap0,rx_pcap=in.pcap,tx_iface=eth3", vec!["eth3"]),
            ("net_pcap0,rx_pcap=in.pcap,infinite_rx=1", vec![]),
            ("0000:01:00.0", vec![]),
            ("net_af_packet0", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(interfaces_needed(device), names, "{device}");
        }
    }

    #[test]
    fn limits_follow_from_the_arguments() {
        assert_eq!(mtu_limit("net_af_packet0,iface=a"), Some(1967));
        assert_eq!(mtu_limit("net_af_packet0,iface=a,framesz=16384"), Some(16384 - 81));
        assert_eq!(mtu_limit("0000:01:00.0"), None);
        assert_eq!(ring_arguments(1500), "framesz=2048,blocksz=4096");
        assert_eq!(ring_arguments(9000), "framesz=16384,blocksz=16384");
        assert_eq!(max_queues("net_af_packet0,iface=a,qpairs=4"), Some((4, 4)));
        assert_eq!(max_queues("net_pcap0,rx_pcap=a,rx_pcap=b"), Some((2, 1)));
        assert_eq!(max_queues("01:00.0"), None);
    }

    #[test]
    fn buffers_hold_a_frame_after_the_driver_rounds_down() {
        assert_eq!(whole_frame_room("net_e1000_em", 9022), 16384);
        assert_eq!(whole_frame_room("net_e1000_em", 1522), 2048);
        assert_eq!(whole_frame_room("net_ixgbe", 9022), 9 * 1024);
        assert_eq!(whole_frame_room("net_ixgbe", u16::MAX), u16::MAX);
        assert_eq!(buffer_room("net_af_packet", Some(2048), 1500), 2048);
        assert_eq!(buffer_room("net_af_packet", Some(16384), 9000), 16352);
    }
}
