//! Problems with named objects: an object does not exist, exists already, or is still in use.
//!
//! Each problem lists what exists, so that the client need not ask.

use super::problem::{Kind, Problem, Source, ValueProblem, pointer};
use crate::config::document::Document;
use crate::config::{Config, listed, nearest, quoted};

/// The most uses of one object that a problem lists; further ones are counted.
const MAX_USES: usize = 20;

/// Finds the index of a named object.
///
/// # Errors
/// No object of that kind has the name.
pub fn index_of<'n>(
    what: &str,
    name: &str,
    names: impl Iterator<Item = &'n str> + Clone,
    source: Source,
    pointer: &str,
) -> Result<usize, Problem> {
    let index = names.clone().position(|other| other == name);
    index.ok_or_else(|| not_found(what, name, names, source, pointer))
}

/// No object of that kind has the name.
#[must_use]
pub fn not_found<'k>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'k str>,
    source: Source,
    pointer: &str,
) -> Problem {
    let known: Vec<_> = known.into_iter().collect();
    let suggestion = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean {}? ", quoted(near)),
        None => String::new(),
    };
    let help = suggestion + &list_known(&format!("known {what}s"), &known);
    let detail = format!("there is no {what} {}", quoted(name));
    Problem::of_value(Kind::NotFound, source, pointer, detail, help)
}

/// A network has no object of that kind with the name or address.
#[must_use]
pub fn not_found_in<'k>(
    network: &str,
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'k str>,
    source: Source,
    pointer: &str,
) -> Problem {
    let known: Vec<_> = known.into_iter().collect();
    let detail = format!("network {} has no {what} {}", quoted(network), quoted(name));
    let help = list_known(&format!("its {what}s"), &known);
    Problem::of_value(Kind::NotFound, source, pointer, detail, help)
}

/// Checks that the objects named in a query exist: a wrong name is more likely a typing mistake
/// than a query for nothing.
///
/// # Errors
/// No object has the name.
pub fn check_names(
    config: &Config,
    port: Option<&str>,
    network: Option<&str>,
    vtep: Option<&str>,
) -> Result<(), Problem> {
    if let Some(name) = network {
        let names = config.networks.iter().map(|network| network.name.as_str());
        index_of("network", name, names, Source::Query, "/network")?;
    }
    if let Some(name) = port {
        let names = config.ports.iter().map(|port| port.name.as_str());
        index_of("port", name, names, Source::Query, "/port")?;
    }
    if let Some(name) = vtep {
        let names = config.vteps.iter().map(|vtep| vtep.name.as_str());
        index_of("VTEP", name, names, Source::Query, "/vtep")?;
    }
    Ok(())
}

/// Detail and help for an unknown drop reason.
#[must_use]
pub fn no_such_reason(label: &str) -> (String, &'static str) {
    (format!("there is no drop reason `{}`", label.escape_debug()), "GET /v1/drops lists them all")
}

fn list_known(label: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return "there is none".to_owned();
    }
    format!("{label}: {}", listed(known.iter().copied(), known.len()))
}

/// The name is taken.
#[must_use]
pub fn already_exists(what: &str, name: &str, pointer: &str) -> Problem {
    let detail = format!("there is a {what} {} already", quoted(name));
    conflict(detail, "choose another name, or change the existing one", pointer)
}

/// The network already has the object.
#[must_use]
pub fn already_exists_in(network: &str, what: &str, name: &str, pointer: &str) -> Problem {
    let detail = format!("network {} has {what} {} already", quoted(network), quoted(name));
    conflict(detail, "to add it with other values, remove it first", pointer)
}

/// The request is valid, but contradicts the running configuration.
#[must_use]
pub fn conflict(detail: String, help: &str, pointer: &str) -> Problem {
    Problem::of_value(Kind::Conflict, Source::Body, pointer, detail, help)
}

/// Checks that nothing uses a port.
///
/// # Errors
/// Lists what uses the port.
pub fn check_port_unused(document: &Document, name: &str) -> Result<(), Problem> {
    let vteps = document.vtep.iter().enumerate().filter(|(_, vtep)| vtep.port == name);
    let vteps = vteps.map(|(index, vtep)| Use {
        pointer: format!("/vtep/{index}/port"),
        detail: format!("port {} is the uplink of VTEP {}", quoted(name), quoted(&vtep.name)),
        help: "remove the VTEP first",
    });
    let members = document.network.iter().enumerate().flat_map(|(index, network)| {
        let members = network.port.iter().enumerate().filter(|(_, member)| member.port == name);
        members.map(move |(member, _)| Use {
            pointer: format!("/network/{index}/port/{member}/port"),
            detail: format!("port {} is in network {}", quoted(name), quoted(&network.name)),
            help: "take it out of the network first",
        })
    });
    check_unused(vteps.chain(members))
}

/// Checks that no network uses a VTEP.
///
/// # Errors
/// Lists the networks that use the VTEP.
pub fn check_vtep_unused(document: &Document, name: &str) -> Result<(), Problem> {
    let networks = document.network.iter().enumerate();
    check_unused(networks.filter(|(_, network)| network.vtep.as_deref() == Some(name)).map(
        |(index, network)| Use {
            pointer: format!("/network/{index}/vtep"),
            detail: format!("VTEP {} carries network {}", quoted(name), quoted(&network.name)),
            help: "remove the network first, or give it another VTEP",
        },
    ))
}

/// Checks that no static MAC of a network is on a port.
///
/// # Errors
/// Lists the static MACs on the port.
pub fn check_member_unused(document: &Document, network: usize, port: &str) -> Result<(), Problem> {
    let macs = document.network[network].mac.iter().enumerate();
    check_unused(macs.filter(|(_, mac)| mac.port.as_deref() == Some(port)).map(|(index, mac)| {
        Use {
            pointer: pointer(["network", &network.to_string(), "mac", &index.to_string(), "port"]),
            detail: format!("static MAC {} is on port {}", quoted(&mac.address), quoted(port)),
            help: "remove the MAC first, or migrate the port together with its MACs",
        }
    }))
}

/// A value of the configuration that refers to an object.
struct Use {
    pointer: String,
    detail: String,
    help: &'static str,
}

fn check_unused(uses: impl Iterator<Item = Use>) -> Result<(), Problem> {
    let (mut errors, mut total) = (Vec::new(), 0);
    for Use { pointer, detail, help } in uses {
        if errors.len() < MAX_USES {
            errors.push(ValueProblem::new(Source::Configuration, pointer, detail, help));
        }
        total += 1;
    }
    if total == 0 { Ok(()) } else { Err(Problem::of_values(Kind::Conflict, errors, total)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_object_is_reported_with_the_known_ones() {
        let help = |name, known: &[&'static str]| {
            let problem = not_found("port", name, known.iter().copied(), Source::Path, "/name");
            assert!(problem.is(Kind::NotFound), "{problem:?}");
            problem.errors[0].help.clone()
        };
        assert_eq!(
            help("tenant-b", &["up", "tenant-a"]),
            "did you mean `tenant-a`? known ports: `up`, `tenant-a`"
        );
        assert_eq!(help("x9", &["uplink"]), "known ports: `uplink`");
        assert_eq!(help("x9", &[]), "there is none");
        let problem = not_found_in("blue", "remote VTEP", "1", ["2"], Source::Path, "/address");
        assert_eq!(problem.errors[0].help, "its remote VTEPs: `2`");
    }

    #[test]
    fn a_thousand_uses_are_counted_and_a_few_listed() {
        let uses =
            (0..1000).map(|n| Use { pointer: String::new(), detail: n.to_string(), help: "" });
        let problem = check_unused(uses).unwrap_err();
        assert_eq!((problem.detail.as_str(), problem.errors.len()), ("0; and 999 more", MAX_USES));
        assert!(check_unused(std::iter::empty()).is_ok());
    }
}
