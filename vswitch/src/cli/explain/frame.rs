//! The frame to explain: in hexadecimal, from a capture file, or built from addresses.
//!
//! etherparse builds frames, with correct lengths and checksums. The crate `pcap-file` reads files.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use clap::Args;
use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, Ethernet2Header, IpNumber, PacketBuilder,
    SingleVlanHeader, VlanId,
};
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};

use crate::api::routes::explain::MAX_FRAME;
use crate::control::rows::VtepRow;
use crate::ids::MacAddr;
use crate::text::count;

/// The shortest frame on a wire, without FCS, in bytes (IEEE 802.3, 4.2.3.3).
const LEAST_LEN: usize = 60;
/// The EtherType of built frames without an IP header: IEEE's "local experimental 1".
const EXPERIMENTAL: u16 = 0x88b5;
/// The protocol of built datagrams without a transport header: "for experimentation" (RFC 3692).
const EXPERIMENTATION: u8 = 253;
/// The outer UDP source port of tunnel frames: the first in the range of RFC 7348.
const OUTER_SOURCE: u16 = 49_152;
/// The first bytes of a pcapng file.
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// The options that give a frame.
#[derive(Clone, Debug, Default, Args)]
#[group(skip)]
#[command(group = clap::ArgGroup::new("building").multiple(true),
    group = clap::ArgGroup::new("network"), group = clap::ArgGroup::new("ip"),
    group = clap::ArgGroup::new("transport"))]
pub struct FrameOptions {
    /// The bytes of the frame in hexadecimal, from the Ethernet header on. Blanks and colons are
    /// ignored.
    #[arg(long, value_name = "HEX", group = "frame", conflicts_with = "building")]
    pub hex: Option<String>,
    /// A frame of a pcap or pcapng file of Ethernet frames.
    #[arg(long, value_name = "FILE", group = "frame", conflicts_with = "building")]
    pub pcap: Option<PathBuf>,
    /// The number of the frame in the file, counted from 1.
    #[arg(
        long,
        value_name = "N",
        conflicts_with_all = ["hex", "dst"],
        default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..),
    )]
    pub index: u64,
    /// Build a frame to this MAC address.
    #[arg(long, value_name = "MAC", group = "frame", requires = "src")]
    pub dst: Option<String>,
    /// … from this MAC address.
    #[arg(long, value_name = "MAC", requires = "dst", group = "building")]
    pub src: Option<String>,
    /// … with a VLAN tag.
    #[arg(long, value_name = "ID", requires = "dst", group = "building")]
    pub vlan: Option<u16>,
    /// … with this EtherType, such as 0x88b5, which is the default.
    #[arg(
        long,
        value_name = "TYPE",
        requires = "dst",
        group = "building",
        value_parser = ether_type,
        conflicts_with = "network",
    )]
    pub ether_type: Option<u16>,
    /// … with an IPv4 header: source and destination, such as 203.0.113.1,203.0.113.2.
    #[arg(
        long,
        value_name = "SRC,DST",
        requires = "dst",
        groups = ["building", "network", "ip"],
        value_parser = pair::<Ipv4Addr>,
    )]
    pub ipv4: Option<(Ipv4Addr, Ipv4Addr)>,
    /// … with an IPv6 header: source and destination.
    #[arg(
        long,
        value_name = "SRC,DST",
        requires = "dst",
        groups = ["building", "network", "ip"],
        value_parser = pair::<Ipv6Addr>,
    )]
    pub ipv6: Option<(Ipv6Addr, Ipv6Addr)>,
    /// … with an ARP request: the IPv4 addresses of sender and target.
    #[arg(
        long,
        value_name = "SRC,DST",
        requires = "dst",
        groups = ["building", "network"],
        value_parser = pair::<Ipv4Addr>,
    )]
    pub arp: Option<(Ipv4Addr, Ipv4Addr)>,
    /// … with a UDP header: source port and destination port.
    #[arg(
        long,
        value_name = "SRC,DST",
        requires = "ip",
        groups = ["building", "transport"],
        value_parser = pair::<u16>,
    )]
    pub udp: Option<(u16, u16)>,
    /// … with a TCP header (a SYN): source port and destination port.
    #[arg(
        long,
        value_name = "SRC,DST",
        requires = "ip",
        groups = ["building", "transport"],
        value_parser = pair::<u16>,
    )]
    pub tcp: Option<(u16, u16)>,
    /// … with an ICMP echo request.
    #[arg(long, requires = "ip", groups = ["building", "transport"])]
    pub icmp: bool,
    /// … of this length in bytes, without FCS. With --vxlan, the length of the inner frame.
    #[arg(
        long = "len",
        value_name = "N",
        requires = "dst",
        group = "building",
        value_parser = clap::value_parser!(u16).range(14..=10_000),
    )]
    pub length: Option<u16>,
    /// Put the frame into a tunnel frame with this VNI, as a remote VTEP sends it to the VTEP of
    /// the port.
    #[arg(
        long,
        value_name = "VNI",
        requires = "from_vtep",
        value_parser = clap::value_parser!(u32).range(0..=0xff_ffff),
    )]
    pub vxlan: Option<u32>,
    /// The address of the remote VTEP.
    #[arg(long, value_name = "ADDRESS", requires = "vxlan")]
    pub from_vtep: Option<Ipv4Addr>,
}

/// Two values, separated by a comma.
fn pair<T: std::str::FromStr>(text: &str) -> Result<(T, T), String>
where
    T::Err: std::fmt::Display,
{
    let (one, other) =
        text.split_once(',').ok_or("write two values, separated by a comma: SRC,DST")?;
    let read = |text: &str| text.trim().parse::<T>().map_err(|error| format!("{text:?}: {error}"));
    Ok((read(one)?, read(other)?))
}

fn ether_type(text: &str) -> Result<u16, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u16::from_str_radix(digits, 16).map_err(|error| format!("{error}: write it as 0x88b5"))
}

/// A frame, and a note about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How the frame differs from the original.
    pub note: Option<String>,
}

impl From<Vec<u8>> for Given {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, note: None }
    }
}

impl FrameOptions {
    /// The frame. `None`: it is given in hexadecimal, which the switch parses itself.
    ///
    /// # Errors
    /// What is wrong with an option or the file, with a hint.
    pub fn given(&self) -> Result<Option<Given>, String> {
        if let Some(file) = &self.pcap {
            return Ok(Some(frame_of(file, self.index)?));
        }
        match (&self.src, &self.dst) {
            (Some(src), Some(dst)) => {
                Ok(Some(self.built(mac(src, "src")?, mac(dst, "dst")?)?.into()))
            }
            _ => Ok(None),
        }
    }

    fn built(&self, src: MacAddr, dst: MacAddr) -> Result<Vec<u8>, String> {
        let tag = match self.vlan {
            Some(id) => Some(VlanId::try_new(id).map_err(|_| {
                format!(
                    "--vlan {id}: a VLAN ID is at most 4095\nhelp: write a number from 0 to 4095"
                )
            })?),
            None => None,
        };
        let before = Ethernet2Header::LEN + tag.map_or(0, |_| SingleVlanHeader::LEN);
        let len = self.length.map_or(LEAST_LEN, usize::from);
        let (ether_type, payload) = self.payload(src, len.saturating_sub(before))?;
        let outer = if tag.is_some() { EtherType::VLAN_TAGGED_FRAME } else { ether_type };
        let header = Ethernet2Header {
            source: src.to_bytes(),
            destination: dst.to_bytes(),
            ether_type: outer,
        };
        let mut frame = header.to_bytes().to_vec();
        if let Some(vlan_id) = tag {
            let tag = SingleVlanHeader { vlan_id, ether_type, ..SingleVlanHeader::default() };
            frame.extend(tag.to_bytes());
        }
        frame.extend(payload);
        if self.length.is_some_and(|length| frame.len() > usize::from(length)) {
            return Err(format!(
                "--len {len}: the headers alone have {} bytes\nhelp: ask for at least as many, \
                 or omit --len",
                frame.len()
            ));
        }
        frame.resize(frame.len().max(len), 0);
        Ok(frame)
    }

    /// What follows the Ethernet header, padded to `len` bytes.
    fn payload(&self, src: MacAddr, len: usize) -> Result<(EtherType, Vec<u8>), String> {
        let failed = |error: etherparse::err::packet::BuildWriteError| {
            format!("the frame cannot be built: {error}")
        };
        let mut bytes = Vec::new();
        if let Some((sender, target)) = self.arp {
            let asks = ArpPacket::new(
                ArpHardwareId::ETHERNET,
                EtherType::IPV4,
                ArpOperation::REQUEST,
                &src.to_bytes(),
                &sender.octets(),
                &[0; 6],
                &target.octets(),
            );
            let asks = asks.map_err(|error| format!("the frame cannot be built: {error}"))?;
            return Ok((EtherType::ARP, asks.to_bytes().to_vec()));
        }
        let (ether_type, builder) = match (self.ipv4, self.ipv6) {
            (Some((from, to)), _) => {
                (EtherType::IPV4, PacketBuilder::ipv4(from.octets(), to.octets(), 64))
            }
            (None, Some((from, to))) => {
                (EtherType::IPV6, PacketBuilder::ipv6(from.octets(), to.octets(), 64))
            }
            (None, None) => {
                bytes.resize(len, 0);
                return Ok((EtherType(self.ether_type.unwrap_or(EXPERIMENTAL)), bytes));
            }
        };
        // Without --len, only the wire's padding is added, behind the datagram.
        let fill = |headers: usize| match self.length {
            Some(_) => vec![0; len.saturating_sub(headers)],
            None => Vec::new(),
        };
        if let Some((from, to)) = self.udp {
            let builder = builder.udp(from, to);
            let payload = fill(builder.size(0));
            builder.write(&mut bytes, &payload).map_err(failed)?;
        } else if let Some((from, to)) = self.tcp {
            let builder = builder.tcp(from, to, 0, 65_535).syn();
            let payload = fill(builder.size(0));
            builder.write(&mut bytes, &payload).map_err(failed)?;
        } else if self.icmp && self.ipv6.is_some() {
            let builder = builder.icmpv6_echo_request(1, 1);
            let payload = fill(builder.size(0));
            builder.write(&mut bytes, &payload).map_err(failed)?;
        } else if self.icmp {
            let builder = builder.icmpv4_echo_request(1, 1);
            let payload = fill(builder.size(0));
            builder.write(&mut bytes, &payload).map_err(failed)?;
        } else {
            let payload = fill(builder.size(0));
            builder.write(&mut bytes, IpNumber(EXPERIMENTATION), &payload).map_err(failed)?;
        }
        Ok((ether_type, bytes))
    }
}

fn mac(text: &str, option: &str) -> Result<MacAddr, String> {
    text.parse().map_err(|_| {
        format!(
            "--{option} {text}: this is not a MAC address\nhelp: write it like 02:00:00:00:00:09"
        )
    })
}

/// A frame inside a tunnel frame, as a remote VTEP sends it to a VTEP of the switch.
///
/// # Errors
/// The switch reports a VTEP that cannot be understood, or the frame is too long.
pub fn tunnelled(inner: &[u8], vni: u32, from: Ipv4Addr, to: &VtepRow) -> Result<Vec<u8>, String> {
    let odd = |what: &str| {
        format!("cannot understand what the switch reports of VTEP {}: {what}", to.name)
    };
    let address = to.address.split('/').next().unwrap_or_default();
    let address: Ipv4Addr = address.parse().map_err(|_| odd(&to.address))?;
    let our_mac: MacAddr = to.mac.parse().map_err(|_| odd(&to.mac))?;
    let remote = to.remotes.iter().find(|remote| remote.address == from.to_string());
    let known = remote.and_then(|remote| remote.next_hop_mac.as_ref()?.parse().ok());
    let next_hop = known.unwrap_or(MacAddr::from_bytes([2, 0, 0, 0, 0, 1]));
    let vni = vni.to_be_bytes();
    let payload = [&[8, 0, 0, 0, vni[1], vni[2], vni[3], 0], inner].concat();
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(next_hop.to_bytes(), our_mac.to_bytes())
        .ipv4(from.octets(), address.octets(), 64)
        .udp(OUTER_SOURCE, to.udp_port)
        .write(&mut frame, &payload)
        .map_err(|error| format!("the tunnel frame cannot be built: {error}"))?;
    Ok(frame)
}

/// A frame of a capture file.
fn frame_of(path: &Path, index: u64) -> Result<Given, String> {
    let name = path.display();
    let unreadable = |error: &dyn std::fmt::Display| {
        format!("{name}: error: {error}\nhelp: name a pcap or pcapng file of Ethernet frames")
    };
    let mut file = BufReader::new(File::open(path).map_err(|error| unreadable(&error))?);
    let mut magic = [0; 4];
    let read = file.read_exact(&mut magic).and_then(|()| file.rewind());
    read.map_err(|_| unreadable(&"it is too short for a capture file"))?;
    let mut seen = 0;
    let found = if magic == PCAPNG {
        in_pcapng(file, index, &mut seen)
    } else {
        in_pcap(file, index, &mut seen)
    };
    let found = found.map_err(|error| unreadable(&error))?;
    let (link, bytes, length) = found.ok_or_else(|| {
        format!(
            "{name}: error: there is no frame {index}\nhelp: the file has {}",
            count(seen, "frame")
        )
    })?;
    if link != DataLink::ETHERNET {
        return Err(unreadable(&format!("frame {index} is not Ethernet, but {link:?}")));
    }
    let mut given = Given::from(bytes);
    let kept = given.bytes.len();
    if length.max(kept) > MAX_FRAME {
        return Err(format!(
            "{name}: error: frame {index} has {} bytes\nhelp: the longest that can be explained \
             has {MAX_FRAME}",
            length.max(kept)
        ));
    }
    if length > kept {
        given.bytes.resize(length, 0);
        let note = format!(
            "{name}: frame {index}: the file has {kept} of its {length} bytes; the others \
             count as zero"
        );
        given.note = Some(note);
    }
    Ok(given)
}

/// Link type, bytes and length of a frame.
type Found = Option<(DataLink, Vec<u8>, usize)>;

fn in_pcap(
    file: BufReader<File>,
    index: u64,
    seen: &mut u64,
) -> Result<Found, pcap_file::PcapError> {
    let mut reader = PcapReader::new(file)?;
    let link = reader.header().datalink;
    // Raw: the checked reader refuses frames longer than the file's snaplen, which some tools set
    // wrongly.
    while let Some(packet) = reader.next_raw_packet() {
        let packet = packet?;
        *seen += 1;
        if *seen == index {
            return Ok(Some((link, packet.data.to_vec(), packet.orig_len as usize)));
        }
    }
    Ok(None)
}

fn in_pcapng(
    file: BufReader<File>,
    index: u64,
    seen: &mut u64,
) -> Result<Found, pcap_file::PcapError> {
    let mut reader = PcapNgReader::new(file)?;
    let mut links = Vec::new();
    while let Some(block) = reader.next_block() {
        let (interface, data, length) = match block? {
            Block::SectionHeader(_) => {
                links.clear();
                continue;
            }
            Block::InterfaceDescription(interface) => {
                links.push(interface.linktype);
                continue;
            }
            Block::EnhancedPacket(packet) => {
                (packet.interface_id, packet.data.to_vec(), packet.original_len)
            }
            Block::SimplePacket(packet) => (0, packet.data.to_vec(), packet.original_len),
            _ => continue,
        };
        *seen += 1;
        if *seen == index {
            let link = links.get(interface as usize).copied().unwrap_or(DataLink::NULL);
            return Ok(Some((link, data, length as usize)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    use super::*;

    fn options() -> FrameOptions {
        FrameOptions {
            src: Some("02:00:00:00:00:01".to_owned()),
            dst: Some("02:00:00:00:00:02".to_owned()),
            ..FrameOptions::default()
        }
    }

    fn bytes(options: &FrameOptions) -> Vec<u8> {
        options.given().unwrap().unwrap().bytes
    }

    #[test]
    fn without_options_it_is_a_minimal_experimental_frame() {
        let frame = bytes(&options());
        assert_eq!(frame.len(), 60);
        assert_eq!(frame[..14], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
        let tagged = bytes(&FrameOptions { vlan: Some(10), ..options() });
        assert_eq!((tagged.len(), &tagged[12..18]), (60, &[0x81, 0, 0, 10, 0x88, 0xb5][..]));
    }

    #[test]
    fn built_headers_have_correct_lengths_and_checksums() {
        let ipv4 = Some(([203, 0, 113, 1].into(), [203, 0, 113, 2].into()));
        let with = FrameOptions { ipv4, udp: Some((7, 9)), length: Some(200), ..options() };
        let frame = bytes(&with);
        let sliced = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(NetSlice::Ipv4(ip)) = &sliced.net else { panic!("{sliced:?}") };
        assert_eq!((frame.len(), ip.header().total_len()), (200, 186));
        let Some(TransportSlice::Udp(udp)) = &sliced.transport else { panic!("{sliced:?}") };
        assert_eq!((udp.source_port(), udp.destination_port(), udp.length()), (7, 9, 166));
        let header = ip.header().to_header();
        assert_eq!(header.calc_header_checksum(), header.header_checksum);
        let tcp =
            bytes(&FrameOptions { tcp: Some((7, 9)), udp: None, length: None, ..with.clone() });
        let Some(TransportSlice::Tcp(_)) = SlicedPacket::from_ethernet(&tcp).unwrap().transport
        else {
            panic!("{tcp:?}")
        };
        assert_eq!(tcp.len(), 60);
        let arp = FrameOptions { arp: ipv4, ipv4: None, udp: None, length: None, ..with };
        assert!(matches!(
            SlicedPacket::from_ethernet(&bytes(&arp)).unwrap().net,
            Some(NetSlice::Arp(_))
        ));
    }

    #[test]
    fn a_frame_that_cannot_be_built_is_explained() {
        let ipv4 = Some(([203, 0, 113, 1].into(), [203, 0, 113, 2].into()));
        for (options, words) in [
            (FrameOptions { src: Some("x".to_owned()), ..options() }, "--src x: this is not a MAC"),
            (FrameOptions { vlan: Some(4096), ..options() }, "at most 4095"),
            (FrameOptions { ipv4, length: Some(20), ..options() }, "headers alone have 34 bytes"),
        ] {
            let error = options.given().unwrap_err();
            assert!(error.contains(words) && error.contains("help: "), "{error}");
        }
    }

    #[test]
    fn two_values_are_read() {
        assert_eq!(pair::<u16>("1,2"), Ok((1, 2)));
        assert!(pair::<u16>("1").unwrap_err().contains("SRC,DST"));
        assert!(pair::<Ipv4Addr>("1.2.3.4,x").unwrap_err().contains("\"x\""));
        assert_eq!(ether_type("0x88b5"), Ok(0x88b5));
        assert!(ether_type("zz").is_err());
    }
}
