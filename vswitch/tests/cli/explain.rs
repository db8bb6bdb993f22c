//! `vswitch explain`: the stages in lines, the frame by options or from a file.

use std::path::PathBuf;

use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter, RawPcapPacket};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;
use std::time::Duration;

use crate::served::Served;

const TO_9: &str = "explain --port a --src 02:00:00:00:00:01 --dst 02:00:00:00:00:09";

#[test]
fn the_stages_and_what_leaves() {
    let served = Served::default();
    let said = served.types(&format!("{TO_9} --ipv4 203.0.113.1,203.0.113.9 --udp 1000,2000")).ok();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], "The frame leaves by port uplink, encapsulated for 198.51.100.2.");
    for line in [
        "frame     60 bytes on port a",
        "            Ethernet 02:00:00:00:00:01 → 02:00:00:00:00:09, IPv4",
        "            IPv4 203.0.113.1 → 203.0.113.9, UDP, TTL 64, 28 bytes",
        "            UDP 1000 → 2000, 8 bytes",
        "rx        60 bytes on port a, which accepts up to 1514",
        "parse     port a is in network blue (VNI 100)",
        "learn     sender 02:00:00:00:00:01 is unknown: would be learned on port a",
        "forward   receiver 02:00:00:00:00:09 is behind remote VTEP 198.51.100.2 (static)",
        "encap     adds 50 bytes of outer headers with VNI 100",
        "tx        leaves by port uplink",
        "leaves    by port uplink, encapsulated for 198.51.100.2 with VNI 100: 110 bytes",
        "            VXLAN VNI 100",
    ] {
        assert!(lines.contains(&line), "{line}\n{said}");
    }
    assert!(said.contains("\n            + 50 bytes at 0: 02ee0000000102ff"), "{said}");
    assert!(!said.contains('\u{1b}'), "no colours but on a terminal");
}

#[test]
fn a_drop_is_a_reason_a_setting_and_a_way_out() {
    let served = Served::default();
    let said = served
        .types("explain --port uplink --src 02:00:00:00:00:05 --dst 02:00:00:00:00:01 --vxlan 100 --from-vtep 198.51.100.7")
        .ok();
    assert!(said.starts_with(
            "The frame is dropped, unknown_remote_vtep: network blue: remote-vteps are 198.51.100.2.\n\n"
        ), "{said}");
    for line in [
        "parse     a VXLAN frame for VTEP fabric, with VNI 100, from 198.51.100.7",
        "decap     dropped: unknown_remote_vtep",
        "dropped   unknown_remote_vtep: 110 bytes, counted at port uplink, network blue",
        "  because network blue: remote-vteps are 198.51.100.2 (/network/0/remote-vteps)",
        "  change  if 198.51.100.7 should be one of them: `vswitch network remote-vtep add blue 198.51.100.7`",
    ] {
        assert!(said.lines().any(|said| said == line), "{line}\n{said}");
    }
    served.types("network remote-vtep add blue 198.51.100.7").ok();
    let again = served
        .types("explain --port uplink --src 02:00:00:00:00:05 --dst 02:00:00:00:00:01 --vxlan 100 --from-vtep 198.51.100.7")
        .ok();
    assert!(again.starts_with("The frame is flooded in network blue: 1 copy leaves.\n"), "{again}");
    assert!(again.contains("\n            - 50 bytes at 0: "), "{again}");
}

#[test]
fn what_it_was_dropped_for_is_explained_beside_what_would_happen_now() {
    let served = Served::default();
    let said = served.types(&format!("{TO_9} --was transmit_queue_full")).ok();
    assert!(said.starts_with("The frame leaves by port uplink"), "{said}");
    assert!(said.contains("\nwas       transmit_queue_full, earlier\n"), "{said}");
    assert!(said.contains("(/port/0/queues)\n"), "{said}");
}

#[test]
fn json_is_the_apis_own() {
    let served = Served::default();
    let told = served.types(&format!("{TO_9} --json")).json();
    let hex = told["frame"]["hex"].as_str().unwrap().to_owned();
    let body = serde_json::json!({"from": {"port": "a"}, "frame": hex}).to_string();
    let json = [("content-type", "application/json")];
    assert_eq!(served.ask("POST", "/v1/explain", &json, &body).ok().json(), told);
    let same = served.types(&format!("explain --port a --hex {hex} --json")).json();
    assert_eq!(same, told);
    let relayed = served.types(&format!("explain --from-host fabric --hex {hex} --json")).json();
    assert_eq!(relayed["verdict"], "relayed");
}

fn frame(last: u8) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, last, 2, 0, 0, 0, 0, 1, 0x88, 0xb5][..], &[0; 46]].concat()
}

/// Two frames to stations 8 and 9 in a file of either kind, the second one cut to 20 bytes.
fn captures(folder: &tempfile::TempDir) -> [PathBuf; 2] {
    let (pcap, ng) = (folder.path().join("a.pcap"), folder.path().join("a.pcapng"));
    let frames = [(frame(8), 60_usize), (frame(9), 20)];
    let mut writer = PcapWriter::new(std::fs::File::create(&pcap).unwrap()).unwrap();
    for (bytes, kept) in &frames {
        writer.write_packet(&PcapPacket::new(Duration::ZERO, 60, &bytes[..*kept])).unwrap();
    }
    let mut writer = PcapNgWriter::new(std::fs::File::create(&ng).unwrap()).unwrap();
    let interface = InterfaceDescriptionBlock::new(DataLink::ETHERNET, 0xffff);
    writer.write_pcapng_block(interface).unwrap();
    for (bytes, kept) in &frames {
        let packet = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::ZERO,
            original_len: 60,
            data: bytes[..*kept].into(),
            options: Vec::new(),
        };
        writer.write_pcapng_block(packet).unwrap();
    }
    [pcap, ng]
}

#[test]
fn a_frame_of_a_capture_file() {
    let served = Served::default();
    let folder = tempfile::tempdir().unwrap();
    for file in captures(&folder) {
        let line = format!("explain --port a --pcap {}", file.display());
        let first = served.types(&format!("{line} --json")).json();
        assert_eq!(first["lookups"][1]["mac"], "02:00:00:00:00:08");
        let second = served.types(&format!("{line} --index 2 --json"));
        assert!(second.err.contains("has 20 of its 60 bytes"), "{second:?}");
        let second = second.json();
        assert_eq!(
            (&second["verdict"], &second["frame"]["length"]),
            (&"encapsulated".into(), &60.into())
        );
        let absent = served.types(&format!("{line} --index 3")).failed(2);
        assert!(absent.contains("there is no frame 3\nhelp: the file has 2 frames"), "{absent}");
    }
    let mut header = PcapHeader { datalink: DataLink::RAW, ..PcapHeader::default() };
    header.snaplen = 0xffff;
    let raw = folder.path().join("raw.pcap");
    let mut writer = PcapWriter::with_header(std::fs::File::create(&raw).unwrap(), header).unwrap();
    writer.write_packet(&PcapPacket::new(Duration::ZERO, 60, &frame(8))).unwrap();
    drop(writer);
    let text = folder.path().join("text");
    std::fs::write(&text, "no capture at all").unwrap();
    for (file, words) in
        [("raw.pcap", "not Ethernet, but RAW"), ("text", "help: "), ("absent", "help: ")]
    {
        let path = folder.path().join(file);
        let said = served.types(&format!("explain --port a --pcap {}", path.display())).failed(2);
        assert!(said.contains(words) && said.contains(file), "{said}");
    }
}

#[test]
fn a_file_of_frames_that_were_cut_is_read_and_a_frame_too_long_for_any_port_is_not() {
    let served = Served::default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("short.pcap");
    let header = PcapHeader { snaplen: 96, ..PcapHeader::default() };
    let mut writer =
        PcapWriter::with_header(std::fs::File::create(&path).unwrap(), header).unwrap();
    // As `tcpdump -s 96` writes them.
    for length in [1000, 65_536, u32::MAX] {
        let data = frame(8).into();
        let raw = RawPcapPacket { ts_sec: 0, ts_frac: 0, incl_len: 60, orig_len: length, data };
        writer.write_raw_packet(&raw).unwrap();
    }
    drop(writer);
    let line = format!("explain --port a --pcap {}", path.display());
    let told = served.types(&format!("{line} --json"));
    assert!(told.err.contains("has 60 of its 1000 bytes"), "{told:?}");
    assert_eq!(told.json()["frame"]["length"], 1000);
    for (index, length) in [(2, "65536"), (3, "4294967295")] {
        let said = served.types(&format!("{line} --index {index}")).failed(2);
        let words = format!("frame {index} has {length} bytes\nhelp: the longest");
        assert!(said.contains(&words), "{said}");
    }
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    let served = Served::default();
    for (line, status, words) in [
        ("explain --port a --hex 0", 2, "frame: it ends in the middle of a byte\nhelp: "),
        ("explain --port nobody --hex 00", 1, "there is no port `nobody`\nhelp: "),
        ("explain --from-host nobody --hex 00", 1, "there is no VTEP `nobody`\nhelp: "),
        ("explain --port a --hex 00 --was x", 2, "was/reason: there is no drop reason `x`\nhelp: "),
        (
            "explain --port a --src x --dst 02:00:00:00:00:01",
            2,
            "--src x: this is not a MAC address\nhelp: ",
        ),
        (
            "explain --port a --src 02:00:00:00:00:01 --dst 02:00:00:00:00:02 --vxlan 100 --from-vtep 198.51.100.2",
            2,
            "port a is the uplink of no VTEP\nhelp: tunnel frames arrive at uplinks: uplink",
        ),
        ("explain --port uplink --hex 00 --vxlan 100 --from-vtep 198.51.100.2", 2, "--vxlan: "),
    ] {
        let said = served.types(line).failed(status);
        assert!(said.starts_with("vswitch: error: ") && said.contains(words), "{line}: {said}");
    }
}
