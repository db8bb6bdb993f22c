//! Keeps the kernel's IP stack from answering on an interface that the switch reads.
//!
//! A packet socket (`net_af_packet`) copies frames, so the kernel's stack receives them as well. The
//! kernel has the VTEPs' addresses on their host interfaces, and by default answers for them on every
//! interface: ARP and ping twice, and each tunnel frame with "port unreachable". Tenants could also
//! reach the host. NICs under DPDK, AF_XDP and TAPs have no second reader.
//!
//! The control thread makes a silencer with the port; dropping it restores the former settings. After
//! SIGKILL the settings stay, which does no harm on an interface without addresses.

use std::fs;
use std::path::{Path, PathBuf};

use tracing::warn;

/// What is written below `/proc/sys/net/ipv4/conf/NAME/` (Linux `ip-sysctl`): no ARP reply for any
/// local address; and nothing is taken whose sender the kernel would answer by another interface,
/// which is every sender, where the interface has neither address nor route.
const SETTINGS: [(&str, &str); 2] = [("arp_ignore", "8"), ("rp_filter", "1")];

/// An interface on which the kernel is quiet.
#[derive(Debug)]
pub struct StackSilencer {
    before: Vec<(PathBuf, String)>,
}

impl StackSilencer {
    /// Makes the kernel quiet on the interface, as far as it can be: a refused setting is logged.
    /// (What overrules them is [`crate::doctor`]'s to find.)
    #[must_use]
    pub fn new(interface: &str) -> Self {
        let all = Path::new("/proc/sys/net/ipv4/conf");
        let mut before = Vec::new();
        for (key, value) in SETTINGS {
            let path = all.join(interface).join(key);
            let set =
                fs::read_to_string(&path).and_then(|old| fs::write(&path, value).map(|()| old));
            match set {
                Ok(old) => before.push((path, old)),
                Err(error) => warn!(interface, key, %error, "cannot keep the kernel quiet"),
            }
        }
        Self { before }
    }
}

impl Drop for StackSilencer {
    fn drop(&mut self) {
        for (path, value) in &self.before {
            // The interface may be gone.
            let _ = fs::write(path, value);
        }
    }
}
