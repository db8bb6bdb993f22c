//! The hash of a frame's flow, from which the outer UDP source port is made (RFC 7348 §5), so that
//! ECMP in the underlay spreads flows and keeps each flow in order.

use super::ethernet::{self, ethertype};
use super::ipv4::{self, Ipv4, protocol};
use super::{be16, ne32, ne64};

/// Length of an IPv6 header without extensions (RFC 8200 §3).
const IPV6_HEADER_LEN: usize = 40;
/// Odd constants with well-spread bits: the fractions of pi and of e.
const SEED: u64 = 0x243f_6a88_85a3_08d3;
const MULTIPLIER: u64 = 0xb7e1_5162_8aed_2a6b;

/// A hash of the flow that a frame of at least 14 bytes belongs to.
///
/// IPv4 and IPv6 count with addresses, protocol and, for TCP, UDP and SCTP, ports; fragments of
/// IPv4 without ports, so that all fragments of a datagram stay together. Everything else counts
/// with its MAC addresses and EtherType. Shorter input hashes as it stands.
#[inline(always)]
#[must_use]
pub fn hash(frame: &[u8]) -> u32 {
    match frame.first_chunk::<PLAIN_LEN>() {
        Some(start) if is_plain(start) => {
            let ip = &start[ethernet::HEADER_LEN..];
            let ports = ne32(ip, ipv4::HEADER_LEN);
            mix(ne64(ip, 12), u64::from(ip[9]) << 32 | u64::from(ports))
        }
        _ => other(frame),
    }
}

/// Up to the ports of a datagram or segment in IPv4 without options.
const PLAIN_LEN: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN + 4;

/// IPv4 without options, no fragment, with ports: the way most frames are.
#[inline(always)]
fn is_plain(start: &[u8; PLAIN_LEN]) -> bool {
    let ip = &start[ethernet::HEADER_LEN..];
    be16(start, 12) == ethertype::IPV4
        && ip[0] == 0x45
        && be16(ip, 6) & ipv4::FRAGMENT_MASK == 0
        && matches!(ip[9], protocol::TCP | protocol::UDP | protocol::SCTP)
}

#[inline(never)]
fn other(frame: &[u8]) -> u32 {
    let Some(payload) = frame.get(ethernet::HEADER_LEN..) else {
        return frame.iter().fold(0, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(*b)));
    };
    let ethertype = be16(frame, 12);
    if ethertype == ethertype::IPV4
        && let Some(ip) = Ipv4::new(payload)
        && ip.header_len() >= ipv4::HEADER_LEN
    {
        let ports =
            if ip.is_fragment() { 0 } else { ports(ip.protocol(), payload, ip.header_len()) };
        return mix(ne64(payload, 12), u64::from(ip.protocol()) << 32 | u64::from(ports));
    }
    if ethertype == ethertype::IPV6 && payload.len() >= IPV6_HEADER_LEN {
        let next_header = payload[6];
        let addresses = [8, 16, 24, 32].into_iter().fold(0, |h, at| fold(h, ne64(payload, at)));
        let ports = ports(next_header, payload, IPV6_HEADER_LEN);
        return mix(addresses, u64::from(next_header) << 32 | u64::from(ports));
    }
    mix(ne64(frame, 0), u64::from(ne32(frame, 8)) << 16 | u64::from(ethertype))
}

/// The outer UDP source port for a flow's hash: in 49152–65535, the range for such ports
/// (RFC 7348 §5, RFC 6335 §6).
#[inline(always)]
#[must_use]
pub const fn source_port(hash: u32) -> u16 {
    #[allow(clippy::cast_possible_truncation, reason = "14 bits")]
    let low = (hash >> 18) as u16;
    0xc000 | low
}

#[inline(always)]
fn ports(protocol: u8, payload: &[u8], at: usize) -> u32 {
    match protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP if payload.len() >= at + 4 => {
            ne32(payload, at)
        }
        _ => 0,
    }
}

/// One 64×64→128 multiplication, halves folded: every input bit reaches every output bit.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the halves of a 128-bit product")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ SEED).wrapping_mul(u128::from(b ^ MULTIPLIER));
    product as u64 ^ (product >> 64) as u64
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the high half is wanted")]
fn mix(a: u64, b: u64) -> u32 {
    (fold(a, b).wrapping_mul(MULTIPLIER) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp_frame(source_port: u16, flags_offset: u16) -> Vec<u8> {
        let mut frame = vec![0; 14 + 28];
        ethernet::emit(&mut frame, mac(1), mac(2), ethertype::IPV4);
        ipv4::emit_partial(
            &mut frame[14..],
            &ipv4::Header {
                source: 0xcb00_7101,
                destination: 0xcb00_7102,
                protocol: protocol::UDP,
                ttl: 64,
                total_len: 28,
            },
        );
        frame[20..22].copy_from_slice(&flags_offset.to_be_bytes());
        super::super::udp::emit(&mut frame[34..], source_port, 53, 8);
        frame
    }

    fn mac(n: u64) -> crate::ids::MacAddr {
        crate::ids::MacAddr::from_u64(0x0200_0000_0000 | n)
    }

    #[test]
    fn source_ports_are_dynamic_ones() {
        assert_eq!(source_port(0), 49_152);
        assert_eq!(source_port(u32::MAX), 65_535);
    }

    #[test]
    fn flows_spread_over_the_range() {
        let mut buckets = [0u32; 16];
        for port in 0..16_000 {
            buckets[usize::from(source_port(hash(&udp_frame(port, 0))) >> 10 & 0xf)] += 1;
        }
        // 1,000 expected in each; 800..1200 is more than six standard deviations.
        assert!(buckets.iter().all(|n| (800..1200).contains(n)), "{buckets:?}");
    }

    #[test]
    fn fragments_of_a_datagram_stay_together() {
        let first = hash(&udp_frame(1000, ipv4::FLAG_MF));
        assert_eq!(first, hash(&udp_frame(2000, 185)), "ports of a fragment do not count");
        assert_ne!(hash(&udp_frame(1000, 0)), hash(&udp_frame(2000, 0)));
    }

    #[test]
    fn any_length_hashes() {
        let frame = udp_frame(1, 0);
        for len in 0..frame.len() {
            let _ = hash(&frame[..len]);
        }
        let mut v6 = vec![0; 14 + 44];
        v6[12..14].copy_from_slice(&ethertype::IPV6.to_be_bytes());
        v6[20] = protocol::TCP;
        let before = hash(&v6);
        v6[57] = 1;
        assert_ne!(before, hash(&v6), "IPv6 ports count");
        v6[57] = 0;
        v6[30] = 1;
        assert_ne!(before, hash(&v6), "IPv6 addresses count");
    }
}
