//! The memory that a configuration needs, as far as is known before a device is opened.

use super::host::Host;
use super::mtu;
use crate::config::Config;
use crate::control::memory::Foreseen;

pub(super) fn foreseen(host: &Host, config: &Config) -> Foreseen {
    Foreseen::of(config, |port| mtu::known(host, port))
}
