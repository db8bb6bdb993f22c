//! Why something single is not read or changed: it is not there, it is there already, or it is in use.
//!
//! Pure. Each names what there is, so that nobody has to ask for it next.

use super::problem::{Kind, Place, Problem, ValueProblem, pointer};
use crate::config::document::Document;
use crate::config::{listed, nearest, quoted};

/// More uses of one thing are counted and not listed.
const MAX_USES: usize = 20;

/// There is nothing of that name.
#[must_use]
pub fn absent<'k>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'k str>,
    place: Place,
    at: &str,
) -> Problem {
    let known: Vec<_> = known.into_iter().collect();
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean {}? ", quoted(near)),
        None => String::new(),
    };
    let help = help + &there_are(&format!("known {what}s"), &known);
    because(Kind::NotFound, format!("there is no {what} {}", quoted(name)), help, place, at)
}

/// What is wrong, and what helps, where there is no drop reason with such a label.
#[must_use]
pub fn no_such_reason(label: &str) -> (String, &'static str) {
    (format!("there is no drop reason `{}`", label.escape_debug()), "GET /v1/drops lists them all")
}

/// A network has nothing of that name or address.
#[must_use]
pub fn absent_in<'k>(
    network: &str,
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'k str>,
    place: Place,
    at: &str,
) -> Problem {
    let known: Vec<_> = known.into_iter().collect();
    let detail = format!("network {} has no {what} {}", quoted(network), quoted(name));
    because(Kind::NotFound, detail, there_are(&format!("its {what}s"), &known), place, at)
}

fn there_are(whose: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return "there is none".to_owned();
    }
    format!("{whose}: {}", listed(known.iter().copied(), known.len()))
}

/// The name is taken.
#[must_use]
pub fn exists(what: &str, name: &str, at: &str) -> Problem {
    let detail = format!("there is a {what} {} already", quoted(name));
    conflict(detail, "choose another name, or change the one that is there", at)
}

/// The network has it.
#[must_use]
pub fn exists_in(network: &str, what: &str, name: &str, at: &str) -> Problem {
    let detail = format!("network {} has {what} {} already", quoted(network), quoted(name));
    conflict(detail, "leave it, or remove it first to add it in another way", at)
}

/// What was sent is right in itself, but the running configuration does not allow it.
#[must_use]
pub fn conflict(detail: String, help: &str, at: &str) -> Problem {
    because(Kind::Conflict, detail, help.to_owned(), Place::Body, at)
}

fn because(kind: Kind, detail: String, help: String, place: Place, at: &str) -> Problem {
    let error = ValueProblem::new(place, at, detail.clone(), help);
    Problem::new(kind, detail).because(error)
}

/// Whether a port can go.
///
/// # Errors
/// What uses it.
pub fn port_is_free(document: &Document, name: &str) -> Result<(), Problem> {
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
    in_use(vteps.chain(members))
}

/// Whether a VTEP can go.
///
/// # Errors
/// What uses it.
pub fn vtep_is_free(document: &Document, name: &str) -> Result<(), Problem> {
    let networks = document.network.iter().enumerate();
    in_use(networks.filter(|(_, network)| network.vtep.as_deref() == Some(name)).map(
        |(index, network)| Use {
            pointer: format!("/network/{index}/vtep"),
            detail: format!("VTEP {} carries network {}", quoted(name), quoted(&network.name)),
            help: "remove the network first, or give it another VTEP",
        },
    ))
}

/// Whether a port can leave a network.
///
/// # Errors
/// The static MACs that are on it.
pub fn member_is_free(document: &Document, network: usize, port: &str) -> Result<(), Problem> {
    let macs = document.network[network].mac.iter().enumerate();
    in_use(macs.filter(|(_, mac)| mac.port.as_deref() == Some(port)).map(|(index, mac)| Use {
        pointer: pointer(["network", &network.to_string(), "mac", &index.to_string(), "port"]),
        detail: format!("static MAC {} is on port {}", quoted(&mac.address), quoted(port)),
        help: "remove the MAC first, or migrate the port, which takes its MACs along",
    }))
}

/// A value of the configuration that would be wrong without what it names.
struct Use {
    pointer: String,
    detail: String,
    help: &'static str,
}

fn in_use(uses: impl Iterator<Item = Use>) -> Result<(), Problem> {
    let mut uses = uses.peekable();
    let Some(first) = uses.peek() else { return Ok(()) };
    let first = first.detail.clone();
    let (mut errors, mut more) = (Vec::new(), 0_usize);
    for Use { pointer, detail, help } in uses {
        if errors.len() < MAX_USES {
            errors.push(ValueProblem::new(Place::Configuration, pointer, detail, help));
        }
        more += 1;
    }
    let detail = match more - 1 {
        0 => first,
        more => format!("{first}; and {more} more"),
    };
    Err(Problem::new(Kind::Conflict, detail).because_of(errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_stands_beside_what_there_is_not() {
        let help = |name, known: &[&'static str]| {
            let problem = absent("port", name, known.iter().copied(), Place::Path, "/name");
            assert!(problem.is(Kind::NotFound), "{problem:?}");
            problem.errors[0].help.clone()
        };
        assert_eq!(
            help("tenant-b", &["up", "tenant-a"]),
            "did you mean `tenant-a`? known ports: `up`, `tenant-a`"
        );
        assert_eq!(help("x9", &["uplink"]), "known ports: `uplink`");
        assert_eq!(help("x9", &[]), "there is none");
        let problem = absent_in("blue", "remote VTEP", "1", ["2"], Place::Path, "/address");
        assert_eq!(problem.errors[0].help, "its remote VTEPs: `2`");
    }

    #[test]
    fn a_thousand_uses_are_counted_and_a_few_listed() {
        let uses =
            (0..1000).map(|n| Use { pointer: String::new(), detail: n.to_string(), help: "" });
        let problem = in_use(uses).unwrap_err();
        assert_eq!((problem.detail.as_str(), problem.errors.len()), ("0; and 999 more", MAX_USES));
        assert!(in_use(std::iter::empty()).is_ok());
    }
}
