//! Captured frames as pcapng (draft-ietf-opsawg-pcapng): one section with interfaces, commented
//! packets and statistics.
//!
//! Interface 0, `vswitch`, has no packets. Its description is the request; its statistics, at the
//! end, say how many frames were captured and missed. Each port and stage becomes an interface
//! when its first packet comes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::interface_statistics::{
    InterfaceStatisticsBlock, InterfaceStatisticsOption,
};
use pcap_file::pcapng::{Block, PcapNgBlock as _, PcapNgWriter};
use pcap_file::{DataLink, PcapError};

use crate::datapath::capture::Missed;
use crate::text::count;

/// The media type.
pub const CONTENT_TYPE: &str = "application/x-pcapng";
/// The resolution of time stamps: 10⁻⁹ seconds.
const NANOSECONDS: u8 = 9;

/// A packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The name of its interface: port and stage.
    pub interface: (&'a str, &'static str),
    /// Nanoseconds since 1970 (UTC).
    pub unix_nanos: u64,
    /// Length of the whole frame in bytes.
    pub len: usize,
    /// Its first bytes.
    pub bytes: &'a [u8],
    /// The comment.
    pub comment: &'a str,
}

/// Writes a section to memory, from where it is taken in pieces.
pub struct Writer {
    writer: PcapNgWriter<Vec<u8>>,
    snaplen: u32,
    interfaces: HashMap<String, u32>,
    began: u64,
    packets: u64,
}

impl Writer {
    /// Begins a section. `what` describes the request.
    ///
    /// # Errors
    /// None: it writes to memory.
    pub fn new(what: &str, snaplen: usize, unix_nanos: u64) -> Result<Self, PcapError> {
        let writer = PcapNgWriter::new(Vec::new())?;
        let snaplen = u32::try_from(snaplen).unwrap_or(u32::MAX);
        let (interfaces, began) = (HashMap::new(), unix_nanos);
        let mut made = Self { writer, snaplen, interfaces, began, packets: 0 };
        made.interface("vswitch".to_owned(), what)?;
        Ok(made)
    }

    fn interface(&mut self, name: String, what: &str) -> Result<u32, PcapError> {
        let number = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        let options = vec![
            InterfaceDescriptionOption::IfName(Cow::Owned(name.clone())),
            InterfaceDescriptionOption::IfDescription(Cow::Borrowed(what)),
            InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
        ];
        let linktype = DataLink::ETHERNET;
        let block = InterfaceDescriptionBlock { linktype, snaplen: self.snaplen, options };
        self.write(&block.into_block())?;
        self.interfaces.insert(name, number);
        Ok(number)
    }

    fn write(&mut self, block: &Block<'_>) -> Result<(), PcapError> {
        self.writer.write_block(block).map(|_| ())
    }

    /// Adds a packet.
    ///
    /// # Errors
    /// None: it writes to memory.
    pub fn packet(&mut self, packet: Packet<'_>) -> Result<(), PcapError> {
        let Packet { interface: (port, point), unix_nanos, len, bytes, comment } = packet;
        let name = format!("{port}/{point}");
        let interface_id = match self.interfaces.get(&name) {
            Some(number) => *number,
            None => self.interface(name, &format!("port {port}, {point}"))?,
        };
        self.packets += 1;
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(unix_nanos),
            original_len: u32::try_from(len).unwrap_or(u32::MAX),
            data: Cow::Borrowed(bytes),
            options: vec![EnhancedPacketOption::Comment(Cow::Borrowed(comment))],
        };
        self.write(&block.into_block())
    }

    /// Ends the section with the numbers of captured and missed frames.
    ///
    /// # Errors
    /// None: it writes to memory.
    pub fn end(&mut self, missed: Missed, unix_nanos: u64) -> Result<(), PcapError> {
        let block = InterfaceStatisticsBlock {
            interface_id: 0,
            timestamp: halves(unix_nanos),
            options: vec![
                InterfaceStatisticsOption::Comment(Cow::Owned(summary(self.packets, missed))),
                InterfaceStatisticsOption::IsbStartTime(halves(self.began)),
                InterfaceStatisticsOption::IsbEndTime(halves(unix_nanos)),
                InterfaceStatisticsOption::IsbIfRecv(self.packets + missed.sum()),
                InterfaceStatisticsOption::IsbIfDrop(missed.sum()),
            ],
        };
        self.write(&block.into_block())
    }

    /// The number of packets so far.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// The number of bytes that can be taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.writer.get_ref().len()
    }

    /// Whether no bytes can be taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the bytes that were written since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.writer.get_mut())
    }
}

/// A time stamp of a statistics block has its upper half first, in any byte order. The crate
/// writes a single number instead.
fn halves(nanos: u64) -> u64 {
    if cfg!(target_endian = "little") { nanos.rotate_left(32) } else { nanos }
}

/// As in `812 frames captured, 90 missed (no room: 40, over budget: 50)`. It stands in the
/// statistics, and `vswitch capture` prints it at the end.
#[must_use]
pub fn summary(captured: u64, missed: Missed) -> String {
    let Missed { no_room, over_budget } = missed;
    format!(
        "{} captured, {} missed (no room: {no_room}, over budget: {over_budget})",
        count(captured, "frame"),
        missed.sum()
    )
}
