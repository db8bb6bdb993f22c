//! Arbitrary bytes as a frame in words, as the ring of the last drops has them: tenants choose
//! these bytes, and the switch's process decodes them.
//!
//! The first two bytes of the input are the UDP port of a VTEP (little-endian).

#![no_main]

use libfuzzer_sys::fuzz_target;
use vswitch::decode::{layers, line};

fuzz_target!(|data: &[u8]| {
    let Some((port, frame)) = data.split_first_chunk::<2>() else { return };
    let udp_ports = [u16::from_le_bytes(*port)];
    let text = line(frame, &udp_ports);
    assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
    let layers = layers(frame, &udp_ports);
    assert_eq!(layers.iter().map(|layer| layer.length).sum::<usize>(), frame.len());
});
