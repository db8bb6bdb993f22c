//! The packet sockets behind a port of `net_af_packet`, for one number: frames that found the ring
//! of their socket full. The kernel counts them (packet(7), `PACKET_STATISTICS`); DPDK 22.11's
//! driver does not ask, so nothing else would tell that they were lost.
//!
//! Belongs to a port, on the control thread. Finding the sockets costs a system call per open file,
//! once, when the device is probed; reading costs one per socket, that is per queue pair.
//!
//! The sockets are the driver's and stay its own: only their descriptors' numbers are kept. A
//! duplicate would keep a socket, its rings and its place in the fanout group after the driver has
//! closed it, and the kernel would go on filling rings that nobody empties.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::mem;
use std::os::fd::RawFd;

use libc::socklen_t;

/// Packet sockets by descriptor, and the indices of the interfaces that they are bound to.
pub(super) type OpenSockets = BTreeMap<RawFd, u32>;

/// The sockets of one port, and how many frames they have lost.
#[derive(Default)]
pub(super) struct PacketSockets {
    /// Open until the driver stops the port.
    descriptors: Vec<RawFd>,
    lost: u64,
}

impl PacketSockets {
    /// Those that were opened since `before` was listed, and are bound to the interface. An empty
    /// `before` stands for a device older than its port: then all that are bound to the interface.
    pub(super) fn opened_since(before: &OpenSockets, if_index: u32) -> io::Result<Self> {
        let is_ours = |&(&socket, &index): &(&RawFd, &u32)| {
            index == if_index && !before.contains_key(&socket)
        };
        let descriptors = open()?.iter().filter(is_ours).map(|(&socket, _)| socket).collect();
        Ok(Self { descriptors, lost: 0 })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.descriptors.is_empty()
    }

    /// The frames lost since the sockets were bound, which is when the device was probed.
    ///
    /// The kernel starts from 0 at each reading, so each loss is read once: by this, or by a later
    /// driver that asks too and reports it as its own.
    pub(super) fn lost(&mut self) -> u64 {
        let news = self.descriptors.iter().filter_map(|&socket| take_drops(socket).ok());
        self.lost += news.map(u64::from).sum::<u64>();
        self.lost
    }
}

/// The packet sockets that this process has open now.
pub(super) fn open() -> io::Result<OpenSockets> {
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    // Read to its end and closed before any is looked at: the folder is among them.
    let descriptors: Vec<RawFd> = fs::read_dir("/proc/self/fd")?.filter_map(number).collect();
    Ok(descriptors.into_iter().filter_map(|fd| Some((fd, bound_to(fd)?))).collect())
}

/// The interface that a packet socket is bound to, 0 if to none; `None` if the file is anything
/// else.
fn bound_to(descriptor: RawFd) -> Option<u32> {
    // SAFETY: all zero is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    let mut len = size_of(&address);
    // SAFETY: the kernel writes at most `len` bytes, to a struct of ours of that size. What is not
    // a socket makes it an error.
    let result = unsafe { libc::getsockname(descriptor, (&raw mut address).cast(), &raw mut len) };
    let is_packet = result == 0 && libc::c_int::from(address.sll_family) == libc::AF_PACKET;
    // -1: the interface is gone.
    is_packet.then(|| u32::try_from(address.sll_ifindex).unwrap_or_default())
}

/// The frames that a packet socket dropped since this was last asked.
fn take_drops(socket: RawFd) -> io::Result<u32> {
    // `tp_packets` has them too, and the frames that were not dropped.
    let mut stats = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut len = size_of(&stats);
    let (level, option) = (libc::SOL_PACKET, libc::PACKET_STATISTICS);
    // SAFETY: the kernel writes at most `len` bytes, to a struct of ours of that size. What is not
    // a packet socket makes it an error.
    let result =
        unsafe { libc::getsockopt(socket, level, option, (&raw mut stats).cast(), &raw mut len) };
    if result == 0 { Ok(stats.tp_drops) } else { Err(io::Error::last_os_error()) }
}

fn size_of<T>(value: &T) -> socklen_t {
    socklen_t::try_from(mem::size_of_val(value)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn other_files_are_no_packet_sockets() {
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let file = fs::File::open("/dev/null").unwrap();
        for descriptor in [udp.as_raw_fd(), file.as_raw_fd(), -1] {
            assert_eq!(bound_to(descriptor), None);
            assert!(!open().unwrap().contains_key(&descriptor));
            assert!(take_drops(descriptor).is_err());
        }
        assert!(PacketSockets::opened_since(&OpenSockets::new(), u32::MAX).unwrap().is_empty());
        assert_eq!(PacketSockets::default().lost(), 0);
    }
}
