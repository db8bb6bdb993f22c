//! A frame decoded, for people and programs: header after header, from the outside in.
//!
//! By etherparse, and not by the data path's own [`wire`](crate::wire): whoever asks why a frame
//! vanished wants to see the frame, not what the switch takes it for. Lenient: a header that
//! does not fit ends the decoding, and what is left is payload.

use std::fmt;

use etherparse::{
    ArpPacketSlice, EtherType, Ethernet2HeaderSlice, IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice,
    SingleVlanHeaderSlice, TcpHeaderSlice, UdpHeaderSlice,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::MacAddr;
use crate::wire::vxlan::{self, Vxlan};

/// Tunnels in tunnels are decoded up to this depth.
const MAX_DEPTH: usize = 4;

/// One layer, at its place in the frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedLayer)]
pub struct Layer {
    /// Where it begins, in bytes from the begin of the frame.
    pub at: usize,
    /// Its length in bytes, without what it carries.
    pub length: usize,
    /// What it says.
    #[serde(flatten)]
    pub header: Header,
}

/// What a layer says. Numbers that have no name are as they stand in the frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "layer", rename_all = "kebab-case")]
#[schema(as = ExplainedHeader)]
#[allow(missing_docs, reason = "the fields are those of the protocols' headers")]
pub enum Header {
    Ethernet {
        destination: String,
        source: String,
        ether_type: u16,
    },
    Vlan {
        id: u16,
        priority: u8,
        ether_type: u16,
    },
    Arp {
        operation: u16,
        sender: String,
        target: String,
    },
    Ipv4 {
        source: String,
        destination: String,
        protocol: u8,
        ttl: u8,
        total_length: u16,
        checksum_right: bool,
        fragment: bool,
    },
    Ipv6 {
        source: String,
        destination: String,
        next_header: u8,
        hop_limit: u8,
        payload_length: u16,
    },
    Udp {
        source: u16,
        destination: u16,
        udp_length: u16,
    },
    Tcp {
        source: u16,
        destination: u16,
        flags: String,
    },
    Icmp {
        icmp_type: u8,
        code: u8,
    },
    Vxlan {
        vni: u32,
        vni_valid: bool,
    },
    Payload,
}

/// What is in a frame. VXLAN is looked for on its well-known UDP ports and on `udp_ports`, those of the VTEPs.
#[must_use]
pub fn decode(frame: &[u8], udp_ports: &[u16]) -> Vec<Layer> {
    let mut decoder = Decoder { frame, at: 0, end: frame.len(), layers: Vec::new(), udp_ports };
    let mut depth = 0;
    while depth < MAX_DEPTH && decoder.frame_of_ethernet().is_some() {
        depth += 1;
    }
    if decoder.at < frame.len() {
        let length = frame.len() - decoder.at;
        decoder.layers.push(Layer { at: decoder.at, length, header: Header::Payload });
    }
    decoder.layers
}

struct Decoder<'a> {
    frame: &'a [u8],
    at: usize,
    /// Where what the innermost datagram carries ends; what follows is padding.
    end: usize,
    layers: Vec<Layer>,
    udp_ports: &'a [u16],
}

fn mac(bytes: [u8; 6]) -> String {
    MacAddr::from_bytes(bytes).to_string()
}

impl<'a> Decoder<'a> {
    fn rest(&self) -> &'a [u8] {
        self.frame.get(self.at..self.end).unwrap_or_default()
    }

    fn push(&mut self, length: usize, header: Header) {
        self.layers.push(Layer { at: self.at, length, header });
        self.at += length;
    }

    /// Decodes an Ethernet frame; `Some` if another one is in it.
    fn frame_of_ethernet(&mut self) -> Option<()> {
        let header = Ethernet2HeaderSlice::from_slice(self.rest()).ok()?;
        let (destination, source) = (mac(header.destination()), mac(header.source()));
        let mut ether_type = header.ether_type();
        self.push(14, Header::Ethernet { destination, source, ether_type: ether_type.0 });
        while [
            EtherType::VLAN_TAGGED_FRAME,
            EtherType::PROVIDER_BRIDGING,
            EtherType::VLAN_DOUBLE_TAGGED_FRAME,
        ]
        .contains(&ether_type)
        {
            let tag = SingleVlanHeaderSlice::from_slice(self.rest()).ok()?;
            let (id, priority) = (tag.vlan_identifier().value(), tag.priority_code_point().value());
            ether_type = tag.ether_type();
            self.push(4, Header::Vlan { id, priority, ether_type: ether_type.0 });
        }
        match ether_type {
            EtherType::ARP => self.arp(),
            EtherType::IPV4 => self.ipv4(),
            EtherType::IPV6 => self.ipv6(),
            _ => None,
        }
    }

    fn arp(&mut self) -> Option<()> {
        let arp = ArpPacketSlice::from_slice(self.rest()).ok()?;
        let ip = |bytes: &[u8]| match <[u8; 4]>::try_from(bytes) {
            Ok(bytes) => std::net::Ipv4Addr::from(bytes).to_string(),
            Err(_) => crate::hex::text(bytes),
        };
        let (sender, target) = (ip(arp.sender_protocol_addr()), ip(arp.target_protocol_addr()));
        self.push(arp.slice().len(), Header::Arp { operation: arp.operation().0, sender, target });
        None
    }

    fn ipv4(&mut self) -> Option<()> {
        let ip = Ipv4HeaderSlice::from_slice(self.rest()).ok()?;
        let header = Header::Ipv4 {
            source: ip.source_addr().to_string(),
            destination: ip.destination_addr().to_string(),
            protocol: ip.protocol().0,
            ttl: ip.ttl(),
            total_length: ip.total_len(),
            checksum_right: ip.to_header().calc_header_checksum() == ip.header_checksum(),
            fragment: ip.is_fragmenting_payload(),
        };
        self.end = self.end.min(self.at + usize::from(ip.total_len()));
        let (is_first, protocol) = (ip.fragments_offset().value() == 0, ip.protocol());
        self.push(ip.slice().len(), header);
        if is_first { self.transport(protocol) } else { None }
    }

    fn ipv6(&mut self) -> Option<()> {
        let ip = Ipv6HeaderSlice::from_slice(self.rest()).ok()?;
        let header = Header::Ipv6 {
            source: ip.source_addr().to_string(),
            destination: ip.destination_addr().to_string(),
            next_header: ip.next_header().0,
            hop_limit: ip.hop_limit(),
            payload_length: ip.payload_length(),
        };
        self.end = self.end.min(self.at + 40 + usize::from(ip.payload_length()));
        self.push(40, header);
        self.transport(ip.next_header())
    }

    fn transport(&mut self, protocol: IpNumber) -> Option<()> {
        match protocol {
            IpNumber::UDP => self.udp(),
            IpNumber::TCP => {
                let tcp = TcpHeaderSlice::from_slice(self.rest()).ok()?;
                let flags = [
                    (tcp.syn(), "SYN"),
                    (tcp.ack(), "ACK"),
                    (tcp.fin(), "FIN"),
                    (tcp.rst(), "RST"),
                    (tcp.psh(), "PSH"),
                ];
                let flags: Vec<_> =
                    flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
                let (source, destination) = (tcp.source_port(), tcp.destination_port());
                let length = tcp.slice().len();
                self.push(length, Header::Tcp { source, destination, flags: flags.join(" ") });
                None
            }
            IpNumber::ICMP | IpNumber::IPV6_ICMP => {
                let [icmp_type, code, ..] = *self.rest().first_chunk::<8>()?;
                self.push(8, Header::Icmp { icmp_type, code });
                None
            }
            _ => None,
        }
    }

    fn udp(&mut self) -> Option<()> {
        let udp = UdpHeaderSlice::from_slice(self.rest()).ok()?;
        let (source, destination, udp_length) =
            (udp.source_port(), udp.destination_port(), udp.length());
        self.push(8, Header::Udp { source, destination, udp_length });
        if !vxlan::is_expected_on(destination, self.udp_ports) {
            return None;
        }
        let vxlan = Vxlan::new(self.rest())?;
        let (vni, vni_valid) = (vxlan.vni(), vxlan.has_vni());
        self.push(vxlan::HEADER_LEN, Header::Vxlan { vni, vni_valid });
        Some(())
    }
}

/// An EtherType's name, if it is a usual one.
fn ether_type_name(ether_type: u16) -> String {
    let name = match EtherType(ether_type) {
        EtherType::IPV4 => "IPv4",
        EtherType::IPV6 => "IPv6",
        EtherType::ARP => "ARP",
        EtherType::VLAN_TAGGED_FRAME => "VLAN tag",
        EtherType::PROVIDER_BRIDGING => "service VLAN tag",
        other => return format!("EtherType {:#06x}", other.0),
    };
    name.to_owned()
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.header {
            Header::Ethernet { destination, source, ether_type } => {
                write!(f, "Ethernet {source} → {destination}, {}", ether_type_name(*ether_type))
            }
            Header::Vlan { id, priority, ether_type } => {
                write!(f, "VLAN {id}, priority {priority}, {}", ether_type_name(*ether_type))
            }
            Header::Arp { operation: 1, sender, target } => {
                write!(f, "ARP {sender} asks who has {target}")
            }
            Header::Arp { operation: 2, sender, target } => {
                write!(f, "ARP {sender} answers {target}")
            }
            Header::Arp { operation, sender, target } => {
                write!(f, "ARP operation {operation}, {sender} → {target}")
            }
            Header::Ipv4 {
                source,
                destination,
                protocol,
                ttl,
                total_length,
                checksum_right,
                fragment,
            } => {
                write!(f, "IPv4 {source} → {destination}, {}", protocol_name(*protocol))?;
                write!(f, ", TTL {ttl}, {total_length} bytes")?;
                f.write_str(if *fragment { ", a fragment" } else { "" })?;
                f.write_str(if *checksum_right { "" } else { ", wrong header checksum" })
            }
            Header::Ipv6 { source, destination, next_header, hop_limit, payload_length } => {
                write!(f, "IPv6 {source} → {destination}, {}", protocol_name(*next_header))?;
                write!(f, ", hop limit {hop_limit}, {payload_length} bytes")
            }
            Header::Udp { source, destination, udp_length } => {
                write!(f, "UDP {source} → {destination}, {udp_length} bytes")
            }
            Header::Tcp { source, destination, flags } => {
                write!(f, "TCP {source} → {destination}")?;
                if flags.is_empty() { Ok(()) } else { write!(f, ", {flags}") }
            }
            Header::Icmp { icmp_type, code } => write!(f, "ICMP type {icmp_type}, code {code}"),
            Header::Vxlan { vni, vni_valid } => {
                write!(f, "VXLAN VNI {vni}")?;
                f.write_str(if *vni_valid { "" } else { ", the I flag is not set" })
            }
            Header::Payload => match self.length {
                1 => f.write_str("1 byte more"),
                length => write!(f, "{length} bytes more"),
            },
        }
    }
}

fn protocol_name(protocol: u8) -> String {
    match IpNumber(protocol) {
        IpNumber::UDP => "UDP".to_owned(),
        IpNumber::TCP => "TCP".to_owned(),
        IpNumber::ICMP => "ICMP".to_owned(),
        IpNumber::IPV6_ICMP => "ICMPv6".to_owned(),
        IpNumber::SCTP => "SCTP".to_owned(),
        other => format!("protocol {}", other.0),
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn said(frame: &[u8]) -> Vec<String> {
        decode(frame, &[]).iter().map(ToString::to_string).collect()
    }

    fn built() -> Vec<u8> {
        let mut inner = Vec::new();
        PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4([203, 0, 113, 1], [203, 0, 113, 2], 64)
            .udp(1, 2)
            .write(&mut inner, b"hello")
            .unwrap();
        let payload = [&[8, 0, 0, 0, 0, 0, 100, 0], &inner[..]].concat();
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2, 0, 0, 0, 0, 3], [2, 0, 0, 0, 0, 4])
            .ipv4([198, 51, 100, 2], [198, 51, 100, 1], 64)
            .udp(50_000, 4789)
            .write(&mut frame, &payload)
            .unwrap();
        frame
    }

    #[test]
    fn a_tunnel_frame_is_decoded_to_its_core() {
        let mut frame = built();
        frame.extend([0; 4]);
        let text = said(&frame);
        assert_eq!(text[0], "Ethernet 02:00:00:00:00:03 → 02:00:00:00:00:04, IPv4");
        assert_eq!(text[3], "VXLAN VNI 100");
        assert_eq!(text[6], "UDP 1 → 2, 13 bytes");
        assert_eq!(text[7], "9 bytes more", "with the padding of the outer frame");
        let layers = decode(&frame, &[]);
        assert_eq!(layers.iter().map(|layer| layer.length).sum::<usize>(), frame.len());
        let json = serde_json::to_value(&layers[3]).unwrap();
        assert_eq!(json["layer"], "vxlan");
        assert_eq!((json["at"].as_u64(), json["vni"].as_u64()), (Some(42), Some(100)));
    }

    #[test]
    fn whatever_the_bytes_every_one_of_them_is_in_a_layer() {
        let whole = built();
        for len in 0..whole.len() {
            for flipped in [None, Some(14), Some(23), Some(46)] {
                let mut frame = whole[..len].to_vec();
                if let Some(byte) = flipped.and_then(|at: usize| frame.get_mut(at)) {
                    *byte ^= 0x0f;
                }
                let layers = decode(&frame, &[]);
                let mut at = 0;
                for layer in &layers {
                    assert_eq!(layer.at, at, "{layers:?}");
                    at += layer.length;
                }
                assert_eq!(at, len, "{layers:?}");
            }
        }
    }
}
