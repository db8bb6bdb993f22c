//! Tables of small configurations, as text, for tests.
//!
//! Unit tests use this module; integration tests include the file by its path.
#![allow(dead_code, reason = "no test program needs all of it")]

/// `[[port]]` tables with these names, on devices `net_null0`, `net_null1`, …
pub fn ports(names: &[&str]) -> String {
    let tables = names.iter().enumerate();
    tables.map(|(number, name)| port(name, &format!("net_null{number}"))).collect()
}

/// A `[[port]]` table.
pub fn port(name: &str, device: &str) -> String {
    format!("[[port]]\nname = \"{name}\"\ndevice = \"{device}\"\n")
}

/// A `[[vtep]]` table with the address 198.51.100.`number` (1 or more); the host interface of the
/// first is `vtep0`.
pub fn vtep(name: &str, port: &str, number: u8) -> String {
    format!(
        "[[vtep]]\nname = \"{name}\"\nport = \"{port}\"\n\
         address = \"198.51.100.{number}/24\"\nhost-interface = \"vtep{}\"\n",
        number - 1
    )
}

/// A `[[network]]` table with some ports. `more` has further lines.
pub fn network(name: &str, vni: u32, more: &str, ports: &[&str]) -> String {
    let member = |port: &&str| format!("  [[network.port]]\n  port = \"{port}\"\n");
    let members: String = ports.iter().map(member).collect();
    format!("[[network]]\nname = \"{name}\"\nvni = {vni}\n{more}\n{members}")
}
