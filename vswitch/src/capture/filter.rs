//! Filters in tcpdump's language, pcap-filter(7), compiled and run by libpcap.
//!
//! A filter is compiled on a separate thread, because libpcap may look up host names in it. Workers
//! run it.

#[cfg(feature = "dpdk")]
use crate::datapath::capture::Filter;

/// The longest expression, in bytes.
const MAX_LEN: usize = 4096;

/// The most instructions of a program. A worker may run all of them for each frame.
const MAX_INSTRUCTIONS: u32 = 1000;

/// Why an expression is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// libpcap refuses it.
    #[error("{0}")]
    Syntax(String),
    /// It is too long.
    #[error("it has more than {MAX_LEN} bytes")]
    TooLong,
    /// It has too many instructions.
    #[error("it compiles to {0} instructions, and {MAX_INSTRUCTIONS} are the most")]
    TooCostly(u32),
    /// Its running time would have no bound.
    #[error("`protochain` makes a loop, whose time has no bound")]
    Loop,
    /// This binary has no libpcap.
    #[error("this vswitch was built without libpcap")]
    Absent,
}

/// A compiled program. Several threads run it.
#[cfg(feature = "dpdk")]
struct Program(pcap::BpfProgram);

// SAFETY: `pcap_offline_filter` reads the program and the frame, and writes to its own stack only
// (libpcap, bpf_filter.c). Nothing else is done with the program before it is freed.
#[cfg(feature = "dpdk")]
unsafe impl Sync for Program {}

#[cfg(feature = "dpdk")]
impl Program {
    fn matches(&self, frame: &[u8]) -> bool {
        self.0.filter(frame)
    }
}

/// Compiles an expression for Ethernet frames.
///
/// # Errors
/// See [`FilterError`].
#[cfg(feature = "dpdk")]
pub fn compile(expression: &str) -> Result<Filter, FilterError> {
    check(expression)?;
    let refused = |error: pcap::Error| match error {
        pcap::Error::PcapError(text) => FilterError::Syntax(text),
        pcap::Error::InvalidString | pcap::Error::MalformedError(_) => {
            FilterError::Syntax("it has characters that no expression has".to_owned())
        }
        other => FilterError::Syntax(other.to_string()),
    };
    let ethernet = pcap::Capture::dead(pcap::Linktype::ETHERNET).map_err(refused)?;
    if expression.contains('\0') {
        return Err(refused(pcap::Error::InvalidString));
    }
    let program = Program(ethernet.compile(expression, true).map_err(refused)?);
    let instructions = u32::try_from(program.0.get_instructions().len()).unwrap_or(u32::MAX);
    if instructions > MAX_INSTRUCTIONS {
        return Err(FilterError::TooCostly(instructions));
    }
    Ok(Filter { test: Box::new(move |frame| program.matches(frame)), instructions })
}

/// Refuses every expression: this binary has no libpcap.
///
/// # Errors
/// Always.
#[cfg(not(feature = "dpdk"))]
pub fn compile(expression: &str) -> Result<crate::datapath::capture::Filter, FilterError> {
    check(expression)?;
    Err(FilterError::Absent)
}

fn check(expression: &str) -> Result<(), FilterError> {
    if expression.len() > MAX_LEN {
        return Err(FilterError::TooLong);
    }
    let mut words = expression.split(|c: char| !c.is_ascii_alphanumeric());
    // libpcap compiles `protochain` to a jump backwards.
    if words.any(|word| word == "protochain") { Err(FilterError::Loop) } else { Ok(()) }
}

#[cfg(all(test, feature = "dpdk"))]
mod tests {
    use super::*;

    const ARP: [u8; 60] = {
        let mut frame = [0; 60];
        (frame[12], frame[13]) = (0x08, 0x06);
        frame
    };

    #[test]
    fn expressions_of_tcpdump_are_accepted() {
        let arp = compile("arp").unwrap();
        assert!((arp.test)(&ARP) && !(arp.test)(&[0; 60]) && !(arp.test)(&[]));
        let long = compile("udp port 4789 and greater 100 or icmp6").unwrap();
        assert!(long.instructions > arp.instructions && !(long.test)(&ARP));
        assert!((compile("").unwrap().test)(&ARP), "an empty one selects everything");
    }

    #[test]
    fn refusals_quote_libpcap() {
        let refusal = |expression: &str| match compile(expression) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{expression} is accepted"),
        };
        // Some versions of libpcap take an unknown word for a host name, others for a syntax error.
        assert!(refusal("icmp6p").contains("filter expression"), "{}", refusal("icmp6p"));
        assert!(refusal("port (").contains("syntax error"), "{}", refusal("port ("));
        assert!(refusal("tcp\0").contains("characters"));
        assert!(refusal("ip6 protochain 6").contains("loop"));
        let ports: Vec<_> = (1000..1290).map(|n| format!("port {n}")).collect();
        assert!(refusal(&ports.join(" or ")).contains("instructions"));
        assert!(refusal(&" ".repeat(5000)).contains("4096"));
    }
}
