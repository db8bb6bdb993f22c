//! A frame as data: one [`Layer`] for each header, and one for the payload.

use std::fmt;

use etherparse::{EtherType, IpNumber};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::headers::{self, Header};
use crate::ids::MacAddr;
use crate::text::count;

/// One layer of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedLayer)]
pub struct Layer {
    /// Where it begins, in bytes from the beginning of the frame.
    pub at: usize,
    /// Its length in bytes, without what it carries.
    pub length: usize,
    /// The fields of its header.
    #[serde(flatten)]
    pub fields: Fields,
}

/// The fields of a header. Numbers are as in the frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "layer", rename_all = "kebab-case")]
#[schema(as = ExplainedHeader)]
#[allow(missing_docs, reason = "the fields are those of the protocols' headers")]
pub enum Fields {
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

/// The layers of a frame, which together have all of its bytes.
///
/// VXLAN is looked for on its well-known UDP ports and on `udp_ports`, those of the VTEPs.
#[must_use]
pub fn layers(frame: &[u8], udp_ports: &[u16]) -> Vec<Layer> {
    let decoded = headers::decode(frame, udp_ports);
    let layer = |(at, length, header)| Layer { at, length, fields: fields(&header) };
    let mut layers: Vec<_> = decoded.headers.into_iter().map(layer).collect();
    let length = decoded.rest.len();
    if length > 0 {
        layers.push(Layer { at: frame.len() - length, length, fields: Fields::Payload });
    }
    layers
}

fn fields(header: &Header<'_>) -> Fields {
    let mac = |bytes| MacAddr::from_bytes(bytes).to_string();
    match header {
        Header::Ethernet(ethernet) => Fields::Ethernet {
            destination: mac(ethernet.destination()),
            source: mac(ethernet.source()),
            ether_type: ethernet.ether_type().0,
        },
        Header::Vlan(tag) => Fields::Vlan {
            id: tag.vlan_identifier().value(),
            priority: tag.priority_code_point().value(),
            ether_type: tag.ether_type().0,
        },
        Header::Arp(arp) => Fields::Arp {
            operation: arp.operation().0,
            sender: protocol_address(arp.sender_protocol_addr()),
            target: protocol_address(arp.target_protocol_addr()),
        },
        Header::Ipv4(ip) => Fields::Ipv4 {
            source: ip.source_addr().to_string(),
            destination: ip.destination_addr().to_string(),
            protocol: ip.protocol().0,
            ttl: ip.ttl(),
            total_length: ip.total_len(),
            checksum_right: ip.to_header().calc_header_checksum() == ip.header_checksum(),
            fragment: ip.is_fragmenting_payload(),
        },
        Header::Ipv6(ip) => Fields::Ipv6 {
            source: ip.source_addr().to_string(),
            destination: ip.destination_addr().to_string(),
            next_header: ip.next_header().0,
            hop_limit: ip.hop_limit(),
            payload_length: ip.payload_length(),
        },
        Header::Udp(udp) => Fields::Udp {
            source: udp.source_port(),
            destination: udp.destination_port(),
            udp_length: udp.length(),
        },
        Header::Tcp(tcp) => {
            let flags = [
                (tcp.syn(), "SYN"),
                (tcp.ack(), "ACK"),
                (tcp.fin(), "FIN"),
                (tcp.rst(), "RST"),
                (tcp.psh(), "PSH"),
            ];
            let flags: Vec<_> = flags.iter().filter(|(set, _)| *set).map(|(_, f)| *f).collect();
            Fields::Tcp {
                source: tcp.source_port(),
                destination: tcp.destination_port(),
                flags: flags.join(" "),
            }
        }
        Header::Icmp { icmp_type, code, .. } => Fields::Icmp { icmp_type: *icmp_type, code: *code },
        Header::Vxlan(vxlan) => Fields::Vxlan { vni: vxlan.vni(), vni_valid: vxlan.has_vni() },
    }
}

fn protocol_address(bytes: &[u8]) -> String {
    match <[u8; 4]>::try_from(bytes) {
        Ok(bytes) => std::net::Ipv4Addr::from(bytes).to_string(),
        Err(_) => crate::hex::text(bytes),
    }
}

/// The name of a common EtherType, otherwise its number.
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
        match &self.fields {
            Fields::Ethernet { destination, source, ether_type } => {
                write!(f, "Ethernet {source} → {destination}, {}", ether_type_name(*ether_type))
            }
            Fields::Vlan { id, priority, ether_type } => {
                write!(f, "VLAN {id}, priority {priority}, {}", ether_type_name(*ether_type))
            }
            Fields::Arp { operation: 1, sender, target } => {
                write!(f, "ARP {sender} asks who has {target}")
            }
            Fields::Arp { operation: 2, sender, target } => {
                write!(f, "ARP {sender} answers {target}")
            }
            Fields::Arp { operation, sender, target } => {
                write!(f, "ARP operation {operation}, {sender} → {target}")
            }
            Fields::Ipv4 {
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
            Fields::Ipv6 { source, destination, next_header, hop_limit, payload_length } => {
                write!(f, "IPv6 {source} → {destination}, {}", protocol_name(*next_header))?;
                write!(f, ", hop limit {hop_limit}, {payload_length} bytes")
            }
            Fields::Udp { source, destination, udp_length } => {
                write!(f, "UDP {source} → {destination}, {udp_length} bytes")
            }
            Fields::Tcp { source, destination, flags } => {
                write!(f, "TCP {source} → {destination}")?;
                if flags.is_empty() { Ok(()) } else { write!(f, ", {flags}") }
            }
            Fields::Icmp { icmp_type, code } => write!(f, "ICMP type {icmp_type}, code {code}"),
            Fields::Vxlan { vni, vni_valid } => {
                write!(f, "VXLAN VNI {vni}")?;
                f.write_str(if *vni_valid { "" } else { ", the I flag is not set" })
            }
            Fields::Payload => write!(f, "{} of payload", count(self.length, "byte")),
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

    fn text_of(frame: &[u8]) -> Vec<String> {
        layers(frame, &[]).iter().map(ToString::to_string).collect()
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
    fn a_tunnel_frame_is_decoded_to_its_inner_frame() {
        let mut frame = built();
        frame.extend([0; 4]);
        let text = text_of(&frame);
        assert_eq!(text[0], "Ethernet 02:00:00:00:00:03 → 02:00:00:00:00:04, IPv4");
        assert_eq!(text[3], "VXLAN VNI 100");
        assert_eq!(text[6], "UDP 1 → 2, 13 bytes");
        assert_eq!(text[7], "9 bytes of payload", "with the padding of the outer frame");
        let decoded = layers(&frame, &[]);
        assert_eq!(decoded.iter().map(|layer| layer.length).sum::<usize>(), frame.len());
        let json = serde_json::to_value(&decoded[3]).unwrap();
        assert_eq!(json["layer"], "vxlan");
        assert_eq!((json["at"].as_u64(), json["vni"].as_u64()), (Some(42), Some(100)));
    }

    #[test]
    fn every_byte_is_in_exactly_one_layer() {
        let whole = built();
        for len in 0..whole.len() {
            for flipped in [None, Some(14), Some(23), Some(46)] {
                let mut frame = whole[..len].to_vec();
                if let Some(byte) = flipped.and_then(|at: usize| frame.get_mut(at)) {
                    *byte ^= 0x0f;
                }
                let decoded = layers(&frame, &[]);
                let mut at = 0;
                for layer in &decoded {
                    assert_eq!(layer.at, at, "{decoded:?}");
                    at += layer.length;
                }
                assert_eq!(at, len, "{decoded:?}");
            }
        }
    }
}
