//! Known MAC addresses: listed in pages, and forgotten.

use std::net::Ipv4Addr;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, App, list, one, percent_encoded};
use crate::api::extract::Params;
use crate::api::problem::{Kind, Place, Problem, ValueProblem};
use crate::api::refusal::absent;
use crate::config::Config;
use crate::control::fdb_pages::{FdbFilter, FdbPage, FdbScan, cursor, key_of};
use crate::control::rows::{EntryKind, FdbRow};
use crate::ids::MacAddr;

/// Entries of a page, if the client does not say.
pub const DEFAULT_LIMIT: u32 = 1000;
/// The most entries of a page.
pub const MAX_LIMIT: u32 = 10_000;

/// Which entries, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "kebab-case")]
pub(super) struct FdbQuery {
    /// Those of this network.
    network: Option<String>,
    /// Those of this MAC address.
    #[param(example = "02:00:00:00:00:09")]
    mac: Option<String>,
    /// Those on this port.
    port: Option<String>,
    /// Those behind this remote VTEP.
    #[param(example = "198.51.100.2")]
    remote_vtep: Option<String>,
    /// Those of this kind.
    #[param(inline)]
    kind: Option<EntryKind>,
    /// The most entries to answer with; 1000 if absent.
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<u32>,
    /// Where the page begins; it stands in the link to the next page.
    cursor: Option<String>,
}

/// Which learned entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "kebab-case")]
pub(super) struct FlushQuery {
    /// Those of this network.
    network: Option<String>,
    /// Those of this MAC address.
    #[param(example = "02:00:00:00:00:09")]
    mac: Option<String>,
    /// Those on this port.
    port: Option<String>,
    /// Those behind this remote VTEP.
    #[param(example = "198.51.100.2")]
    remote_vtep: Option<String>,
}

/// What was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(super) struct Flushed {
    /// How many learned MAC addresses.
    flushed: u64,
}

fn wrong(name: &str, detail: String, help: String) -> Problem {
    Problem::new(Kind::BadRequest, "a query parameter is not understood")
        .because(ValueProblem::new(Place::Query, format!("/{name}"), detail, help))
}

fn mac(text: &str) -> Result<MacAddr, Problem> {
    text.parse().map_err(|_| {
        let detail = format!("`{}` is not a MAC address", text.escape_debug());
        wrong("mac", detail, "write it as `02:00:00:00:00:09`".to_owned())
    })
}

fn address(text: &str) -> Result<Ipv4Addr, Problem> {
    text.parse().map_err(|_| {
        let detail = format!("`{}` is not an IPv4 address", text.escape_debug());
        wrong("remote-vtep", detail, "write it as `198.51.100.2`".to_owned())
    })
}

impl FlushQuery {
    fn filter(self) -> Result<FdbFilter, Problem> {
        Ok(FdbFilter {
            network: self.network,
            mac: self.mac.as_deref().map(mac).transpose()?,
            port: self.port,
            remote_vtep: self.remote_vtep.as_deref().map(address).transpose()?,
            kind: None,
        })
    }
}

/// A name that nothing has is an error, and not an empty list: it is a typing mistake.
fn known(config: &Config, filter: &FdbFilter) -> Result<(), Problem> {
    let networks = || config.networks.iter().map(|network| network.name.as_str());
    if let Some(name) = &filter.network
        && !networks().any(|network| network == name)
    {
        return Err(absent("network", name, networks(), Place::Query, "/network"));
    }
    let ports = || config.ports.iter().map(|port| port.name.as_str());
    if let Some(name) = &filter.port
        && !ports().any(|port| port == name)
    {
        return Err(absent("port", name, ports(), Place::Query, "/port"));
    }
    Ok(())
}

/// Known MAC addresses, static and learned, by network and address, a page at a time. If there are more,
/// the header `Link` has the path of the next page as `rel="next"` (RFC 8288).
#[utoipa::path(get, path = "/v1/fdb", tag = "fdb", params(FdbQuery),
    responses((status = 200, description = "A page of the FDB", body = Vec<FdbRow>,
        headers(("Link" = String, description = "The next page, if there is one")))))]
pub(super) async fn get_fdb(State(app): State<App>, Params(query): Params<FdbQuery>) -> Answer {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let detail = format!("{limit} entries are not from 1 to {MAX_LIMIT}");
        return Err(wrong("limit", detail, format!("write a number from 1 to {MAX_LIMIT}")));
    }
    let after = query.cursor.as_deref().map(|text| {
        key_of(text).ok_or_else(|| {
            let detail = format!("`{}` is no cursor of this API", text.escape_debug());
            let help = "take the one in the header Link of the page before, or leave it out";
            wrong("cursor", detail, help.to_owned())
        })
    });
    let after = after.transpose()?;
    let FdbQuery { network, mac, port, remote_vtep, kind, .. } = query;
    let filter = FlushQuery { network, mac, port, remote_vtep }.filter()?;
    let filter = FdbFilter { kind, ..filter };
    let link = |next| next_page(&filter, limit, next);

    let mut scan = FdbScan::new(filter.clone(), after, limit as usize);
    let FdbPage { rows, next } = loop {
        let scanned = app.control.ask(move |switch| {
            known(switch.config(), scan.filter())?;
            switch.scan_fdb(&mut scan);
            Ok::<_, Problem>(scan.into_page())
        });
        match scanned.await?? {
            Ok(page) => break page,
            Err(same) => scan = *same,
        }
    };
    let next = next.and_then(|next| HeaderValue::from_str(&link(next)).ok());
    let mut response = list(rows).await?;
    if let Some(next) = next {
        response.headers_mut().insert(header::LINK, next);
    }
    Ok(response)
}

fn next_page(filter: &FdbFilter, limit: u32, next: u64) -> String {
    let kind = filter.kind.map(|kind| match kind {
        EntryKind::Static => "static".to_owned(),
        EntryKind::Learned => "learned".to_owned(),
    });
    let given = [
        ("network", filter.network.clone()),
        ("mac", filter.mac.map(|mac| mac.to_string())),
        ("port", filter.port.clone()),
        ("remote-vtep", filter.remote_vtep.map(|address| address.to_string())),
        ("kind", kind),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let query: String =
        given.map(|(name, value)| format!("{name}={}&", percent_encoded(&value))).collect();
    format!("</v1/fdb?{query}limit={limit}&cursor={}>; rel=\"next\"", cursor(next))
}

/// Forgets learned MAC addresses; each is learned anew from its next frame. Static ones stay.
#[utoipa::path(post, path = "/v1/fdb/flush", tag = "fdb", params(FlushQuery),
    responses((status = 200, description = "Forgotten", body = Flushed)))]
pub(super) async fn flush_fdb(State(app): State<App>, Params(query): Params<FlushQuery>) -> Answer {
    let filter = query.filter()?;
    let flushed = app.control.ask(move |switch| {
        known(switch.config(), &filter)?;
        Ok::<_, Problem>(switch.flush(&filter))
    });
    Ok(one(&Flushed { flushed: flushed.await?? }))
}
