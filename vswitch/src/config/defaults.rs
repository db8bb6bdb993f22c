//! The value of a key that is left out, where that is neither "none" nor zero.

pub(crate) const SOCKET: &str = "/run/vswitch/vswitch.sock";

pub(super) fn worker_cores() -> Vec<i64> {
    vec![1]
}

pub(super) fn memory_mib() -> i64 {
    512
}

pub(super) fn yes() -> bool {
    true
}

pub(super) fn socket() -> String {
    SOCKET.to_owned()
}

pub(super) fn metrics() -> String {
    "127.0.0.1:9144".to_owned()
}

pub(super) fn fdb_capacity() -> i64 {
    1_048_576
}

/// IANA's port for VXLAN (RFC 7348 §5).
pub(super) fn udp_port() -> i64 {
    4789
}

/// The default of a bridge (IEEE 802.1Q-2018, table 8-6).
pub(super) fn mac_ageing_secs() -> i64 {
    300
}
