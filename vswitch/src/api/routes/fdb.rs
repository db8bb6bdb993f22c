//! The FDB: its entries in pages, and flushing learned ones.

use std::net::Ipv4Addr;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::response::{Answer, list, object};
use crate::api::app::App;
use crate::api::conflict::check_names;
use crate::api::extract::{QueryParams, check_range};
use crate::api::problem::Problem;
use crate::api::uri::percent_encoded;
use crate::control::fdb_pages::{FdbFilter, FdbPage, FdbScan, cursor, key_of};
use crate::control::rows::{EntryKind, FdbRow};
use crate::ids::MacAddr;

/// The default number of entries in a page.
pub const DEFAULT_LIMIT: u32 = 1000;
/// The most entries in a page.
pub const MAX_LIMIT: u32 = 10_000;

/// A filter, and a page of the entries that match.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "kebab-case")]
pub(super) struct FdbQuery {
    /// Entries of this network.
    network: Option<String>,
    /// Entries with this MAC address.
    #[param(example = "02:00:00:00:00:09")]
    mac: Option<String>,
    /// Entries on this port.
    port: Option<String>,
    /// Entries behind this remote VTEP.
    #[param(example = "198.51.100.2")]
    remote_vtep: Option<String>,
    /// Entries of this kind.
    #[param(inline)]
    kind: Option<EntryKind>,
    /// The most entries in the response; by default 1000.
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<u32>,
    /// Where the page begins, from the link to the next page.
    cursor: Option<String>,
}

/// A filter for learned entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "kebab-case")]
pub(super) struct FlushQuery {
    /// Entries of this network.
    network: Option<String>,
    /// Entries with this MAC address.
    #[param(example = "02:00:00:00:00:09")]
    mac: Option<String>,
    /// Entries on this port.
    port: Option<String>,
    /// Entries behind this remote VTEP.
    #[param(example = "198.51.100.2")]
    remote_vtep: Option<String>,
}

/// The result of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(super) struct Flushed {
    /// The number of flushed entries.
    flushed: u64,
}

fn mac(text: &str) -> Result<MacAddr, Problem> {
    text.parse().map_err(|_| {
        let detail = format!("`{}` is not a MAC address", text.escape_debug());
        Problem::of_query("mac", detail, "send it in the form `02:00:00:00:00:09`")
    })
}

fn address(text: &str) -> Result<Ipv4Addr, Problem> {
    text.parse().map_err(|_| {
        let detail = format!("`{}` is not an IPv4 address", text.escape_debug());
        Problem::of_query("remote-vtep", detail, "send it in the form `198.51.100.2`")
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

/// The FDB, static and learned entries, sorted by network and address, in pages. If there are more
/// entries, the header `Link` has the path of the next page as `rel="next"` (RFC 8288).
#[utoipa::path(get, path = "/v1/fdb", tag = "fdb", params(FdbQuery),
    responses((status = 200, description = "A page of the FDB", body = Vec<FdbRow>,
        headers(("Link" = String, description = "The next page, if any")))))]
pub(super) async fn get_fdb(
    State(app): State<App>,
    QueryParams(query): QueryParams<FdbQuery>,
) -> Answer {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    check_range("limit", Some(limit.into()), MAX_LIMIT.into())?;
    let after = query.cursor.as_deref().map(|text| {
        key_of(text).ok_or_else(|| {
            let detail = format!("`{}` is not a cursor of this API", text.escape_debug());
            let help = "use the cursor in the Link header of the previous page, or leave it out";
            Problem::of_query("cursor", detail, help)
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
            let FdbFilter { network, port, .. } = scan.filter();
            check_names(switch.config(), port.as_deref(), network.as_deref(), None)?;
            switch.scan_fdb(&mut scan);
            Ok::<_, Problem>(scan.into_page())
        });
        match scanned.await?? {
            Ok(page) => break page,
            Err(unfinished) => scan = *unfinished,
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
    let params = [
        ("network", filter.network.clone()),
        ("mac", filter.mac.map(|mac| mac.to_string())),
        ("port", filter.port.clone()),
        ("remote-vtep", filter.remote_vtep.map(|address| address.to_string())),
        ("kind", kind),
    ];
    let params = params.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let query: String =
        params.map(|(name, value)| format!("{name}={}&", percent_encoded(&value))).collect();
    format!("</v1/fdb?{query}limit={limit}&cursor={}>; rel=\"next\"", cursor(next))
}

/// Removes learned entries from the FDB. Each address is learned again from its next frame; static
/// entries stay.
#[utoipa::path(post, path = "/v1/fdb/flush", tag = "fdb", params(FlushQuery),
    responses((status = 200, description = "Flushed", body = Flushed)))]
pub(super) async fn flush_fdb(
    State(app): State<App>,
    QueryParams(query): QueryParams<FlushQuery>,
) -> Answer {
    let filter = query.filter()?;
    let flushed = app.control.ask(move |switch| {
        check_names(switch.config(), filter.port.as_deref(), filter.network.as_deref(), None)?;
        Ok::<_, Problem>(switch.flush(&filter))
    });
    Ok(object(&Flushed { flushed: flushed.await?? }))
}
