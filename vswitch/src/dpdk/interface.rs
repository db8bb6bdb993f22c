//! The kernel's interface behind a virtual device, as far as a port needs it and its driver does
//! not do it: MTU and flags (netdevice(7)). Control thread, one system call each.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

use libc::{c_ulong, ifreq};
use nix::net::if_::if_indextoname;

/// An interface of this network namespace.
pub(super) struct Interface {
    request: ifreq,
    socket: UdpSocket,
}

impl Interface {
    pub(super) fn by_index(index: u32) -> io::Result<Self> {
        let name = if_indextoname(index)?;
        if name.is_empty() {
            // nix 0.31 takes the null pointer for success.
            return Err(io::Error::from_raw_os_error(libc::ENXIO));
        }
        // SAFETY: all zero is a valid ifreq.
        let mut request: ifreq = unsafe { std::mem::zeroed() };
        // One place stays zero: it ends the name.
        let room = request.ifr_name.len() - 1;
        for (to, from) in request.ifr_name[..room].iter_mut().zip(name.to_bytes()) {
            *to = from.cast_signed();
        }
        // Any socket will do. It is not connected, so nothing is sent.
        Ok(Self { request, socket: UdpSocket::bind("0.0.0.0:0")? })
    }

    /// The MTU in bytes.
    pub(super) fn mtu(&mut self) -> io::Result<u16> {
        self.ioctl(libc::SIOCGIFMTU)?;
        // SAFETY: the field that SIOCGIFMTU writes.
        let mtu = unsafe { self.request.ifr_ifru.ifru_mtu };
        // The loopback interface has 65536.
        Ok(u16::try_from(mtu).unwrap_or(u16::MAX))
    }

    pub(super) fn set_mtu(&mut self, mtu: u16) -> io::Result<()> {
        self.request.ifr_ifru.ifru_mtu = mtu.into();
        self.ioctl(libc::SIOCSIFMTU)
    }

    pub(super) fn is_promiscuous(&mut self) -> io::Result<bool> {
        self.ioctl(libc::SIOCGIFFLAGS)?;
        // SAFETY: the field that SIOCGIFFLAGS writes.
        let flags = unsafe { self.request.ifr_ifru.ifru_flags };
        Ok(i32::from(flags) & libc::IFF_PROMISC != 0)
    }

    fn ioctl(&mut self, what: c_ulong) -> io::Result<()> {
        // SAFETY: each `what` above reads and writes one ifreq.
        let result = unsafe { libc::ioctl(self.socket.as_raw_fd(), what, &raw mut self.request) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_an_mtu_and_no_promiscuous_mode() {
        let index = nix::net::if_::if_nametoindex("lo").unwrap();
        let mut loopback = Interface::by_index(index).unwrap();
        assert!(loopback.mtu().unwrap() > 1500);
        assert!(!loopback.is_promiscuous().unwrap());
        assert!(Interface::by_index(u32::MAX >> 1).is_err());
    }
}
