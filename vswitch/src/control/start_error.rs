//! Why the switch does not start, or does not take up something new.

use std::io;

use super::memory::Need;
use super::state::StateError;
use crate::config::Config;
use crate::dpdk;
use crate::dpdk::lcore::LaunchError;
use crate::kernel::host_interface::HostInterfaceError;
use crate::kernel::underlay::UnderlayError;
use crate::table::TableFull;
use crate::topology::TooMany;

/// Puts an error into words for a user. The cause of an error of DPDK lies in the state of the
/// host, which is examined above this layer.
pub type Explain = fn(&StartError, &Config) -> String;

/// Why the switch did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text is its documentation")]
pub enum StartError {
    #[error("memory-mib is too small: {} MiB are needed\n  help: raise it", .0.dpdk_mib())]
    Memory(Box<Need>),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error("cannot handle signals: {0}")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Dpdk(#[from] dpdk::Error),
    #[error("port {name:?}: {source}")]
    Port { name: String, source: dpdk::Error },
    #[error(transparent)]
    HostInterface(#[from] HostInterfaceError),
    #[error(transparent)]
    Underlay(#[from] UnderlayError),
    #[error("static MACs: {0}\n  help: raise [fdb] capacity")]
    StaticMacs(#[from] TableFull),
    #[error("worker: {0}")]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    State(#[from] StateError),
}
