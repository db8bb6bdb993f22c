//! The decoder: finds the headers of a frame, also of the frames inside its tunnels.
//!
//! Decoding is lenient. A header that is cut short or malformed ends it, and everything before that
//! header is still reported. Lengths inside headers only limit how far the inner headers may reach.

use etherparse::{
    ArpPacketSlice, EtherType, Ethernet2HeaderSlice, IpNumber, Ipv4ExtensionsSlice,
    Ipv4HeaderSlice, Ipv6ExtensionsSlice, Ipv6HeaderSlice, SingleVlanHeaderSlice, TcpHeaderSlice,
    UdpHeaderSlice,
};

use crate::wire::vxlan::{self, Vxlan};

/// The most Ethernet frames inside each other that are decoded.
const MAX_DEPTH: usize = 4;

/// EtherTypes of VLAN tags.
const TAGS: [EtherType; 3] = [
    EtherType::VLAN_TAGGED_FRAME,
    EtherType::PROVIDER_BRIDGING,
    EtherType::VLAN_DOUBLE_TAGGED_FRAME,
];

/// A header of one of the known protocols.
#[derive(Clone, Debug)]
pub(super) enum Header<'a> {
    Ethernet(Ethernet2HeaderSlice<'a>),
    Vlan(SingleVlanHeaderSlice<'a>),
    Arp(ArpPacketSlice<'a>),
    Ipv4(Ipv4HeaderSlice<'a>),
    Ipv6(Ipv6HeaderSlice<'a>),
    Udp(UdpHeaderSlice<'a>),
    Tcp(TcpHeaderSlice<'a>),
    Icmp { is_v6: bool, icmp_type: u8, code: u8 },
    Vxlan(Vxlan<'a>),
}

/// What the last header announces, but the decoder does not show as a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An Ethernet frame: there are fewer bytes than its header has.
    Ethernet,
    /// A protocol above Ethernet.
    EtherType(EtherType),
    /// A protocol above IP.
    Protocol(IpNumber),
    /// Plain payload.
    Payload,
}

/// A decoded frame.
#[derive(Debug)]
pub(super) struct Decoded<'a> {
    /// The headers with their offset and length in bytes, options and IP extensions included.
    /// Each begins where the one before it ends.
    pub headers: Vec<(usize, usize, Header<'a>)>,
    /// The bytes behind the last header, padding included.
    pub rest: &'a [u8],
    pub next: Next,
    /// A known header should follow, but it is cut short or malformed.
    pub is_broken: bool,
}

/// Decodes a frame. VXLAN is looked for on its well-known UDP ports and on `udp_ports`.
pub(super) fn decode<'a>(frame: &'a [u8], udp_ports: &[u16]) -> Decoded<'a> {
    let mut decoder = Decoder { frame, at: 0, end: frame.len(), headers: Vec::new(), udp_ports };
    let mut ended = Ok(Next::Ethernet);
    for _ in 0..MAX_DEPTH {
        ended = decoder.ethernet();
        if ended != Ok(Next::Ethernet) {
            break;
        }
    }
    let (next, is_broken) = match ended {
        Ok(Next::Ethernet) => (Next::Payload, false),
        Ok(next) => (next, false),
        Err(next) => (next, true),
    };
    let rest = frame.get(decoder.at..).unwrap_or_default();
    Decoded { headers: decoder.headers, rest, next, is_broken }
}

/// `Ok` with what follows the headers that were read; `Err` with what should follow, but is broken.
type Ended = Result<Next, Next>;

struct Decoder<'a, 'p> {
    frame: &'a [u8],
    at: usize,
    /// Where the content of the innermost datagram ends; padding follows.
    end: usize,
    headers: Vec<(usize, usize, Header<'a>)>,
    udp_ports: &'p [u16],
}

impl<'a> Decoder<'a, '_> {
    fn rest(&self) -> &'a [u8] {
        self.frame.get(self.at..self.end).unwrap_or_default()
    }

    fn push(&mut self, length: usize, header: Header<'a>) {
        self.headers.push((self.at, length, header));
        self.at += length;
    }

    /// Limits the following headers to so many bytes from here.
    fn limit(&mut self, length: usize) {
        self.end = self.end.min(self.at + length);
    }

    /// `Ok(Next::Ethernet)`: there is a tunnel, and its inner frame follows.
    fn ethernet(&mut self) -> Ended {
        let header = Ethernet2HeaderSlice::from_slice(self.rest()).map_err(|_| Next::Ethernet)?;
        let mut ether_type = header.ether_type();
        self.push(header.slice().len(), Header::Ethernet(header));
        while TAGS.contains(&ether_type) {
            let tag = SingleVlanHeaderSlice::from_slice(self.rest());
            let tag = tag.map_err(|_| Next::EtherType(ether_type))?;
            ether_type = tag.ether_type();
            self.push(tag.slice().len(), Header::Vlan(tag));
        }
        let broken = Next::EtherType(ether_type);
        match ether_type {
            EtherType::ARP => {
                let arp = ArpPacketSlice::from_slice(self.rest()).map_err(|_| broken)?;
                self.push(arp.slice().len(), Header::Arp(arp));
                Ok(Next::Payload)
            }
            EtherType::IPV4 => {
                self.ipv4(Ipv4HeaderSlice::from_slice(self.rest()).map_err(|_| broken)?)
            }
            EtherType::IPV6 => {
                self.ipv6(Ipv6HeaderSlice::from_slice(self.rest()).map_err(|_| broken)?)
            }
            other => Ok(Next::EtherType(other)),
        }
    }

    fn ipv4(&mut self, ip: Ipv4HeaderSlice<'a>) -> Ended {
        self.limit(ip.total_len().into());
        let length = ip.slice().len();
        if ip.fragments_offset().value() > 0 {
            self.push(length, Header::Ipv4(ip));
            return Ok(Next::Payload);
        }
        let behind = self.rest().get(length..).unwrap_or_default();
        let (_, protocol, left, _) = Ipv4ExtensionsSlice::from_slice_lax(ip.protocol(), behind);
        self.push(length + behind.len() - left.len(), Header::Ipv4(ip));
        self.transport(protocol)
    }

    fn ipv6(&mut self, ip: Ipv6HeaderSlice<'a>) -> Ended {
        let length = ip.slice().len();
        // 0 is what a jumbogram has (RFC 2675), and a segment that the sender left to its NIC.
        if ip.payload_length() > 0 {
            self.limit(length + usize::from(ip.payload_length()));
        }
        let behind = self.rest().get(length..).unwrap_or_default();
        let (extensions, protocol, left, _) =
            Ipv6ExtensionsSlice::from_slice_lax(ip.next_header(), behind);
        self.push(length + behind.len() - left.len(), Header::Ipv6(ip));
        if extensions.is_fragmenting_payload() {
            return Ok(Next::Protocol(protocol));
        }
        self.transport(protocol)
    }

    fn transport(&mut self, protocol: IpNumber) -> Ended {
        let broken = Next::Protocol(protocol);
        match protocol {
            IpNumber::UDP => self.udp(UdpHeaderSlice::from_slice(self.rest()).map_err(|_| broken)?),
            IpNumber::TCP => {
                let tcp = TcpHeaderSlice::from_slice(self.rest()).map_err(|_| broken)?;
                self.push(tcp.slice().len(), Header::Tcp(tcp));
                Ok(Next::Payload)
            }
            IpNumber::ICMP | IpNumber::IPV6_ICMP => {
                let [icmp_type, code, ..] = *self.rest().first_chunk::<8>().ok_or(broken)?;
                let is_v6 = protocol == IpNumber::IPV6_ICMP;
                self.push(8, Header::Icmp { is_v6, icmp_type, code });
                Ok(Next::Payload)
            }
            other => Ok(Next::Protocol(other)),
        }
    }

    fn udp(&mut self, udp: UdpHeaderSlice<'a>) -> Ended {
        let (length, port) = (udp.slice().len(), udp.destination_port());
        // Without a length that is possible the datagram ends with the IP packet.
        if usize::from(udp.length()) >= length {
            self.limit(udp.length().into());
        }
        self.push(length, Header::Udp(udp));
        if !vxlan::is_expected_on(port, self.udp_ports) {
            return Ok(Next::Payload);
        }
        let Some(vxlan) = Vxlan::new(self.rest()) else { return Ok(Next::Payload) };
        self.push(vxlan::HEADER_LEN, Header::Vxlan(vxlan));
        Ok(Next::Ethernet)
    }
}
