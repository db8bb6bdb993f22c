//! What there is, with its counters.

use axum::extract::State;

use super::{Answer, App, list, one, with_etag};
use crate::api::extract::{Names, NoParams};
use crate::api::problem::{Place, Problem};
use crate::api::refusal::absent;
use crate::control::rows::{DropRow, NetworkRow, PortRow, Status, VtepRow, WorkerRow};

fn named<'r, T>(
    what: &str,
    name: &str,
    rows: &'r [T],
    name_of: impl Fn(&T) -> &String,
) -> Result<&'r T, Problem> {
    let found = rows.iter().find(|row| name_of(row) == name);
    let known = || rows.iter().map(|row| name_of(row).as_str());
    found.ok_or_else(|| absent(what, name, known(), Place::Path, "/name"))
}

/// The switch itself: whether it is another run of it, and whether it has lost a frame without a trace.
#[utoipa::path(get, path = "/v1/status", tag = "state",
    responses((status = 200, description = "The switch", body = Status)))]
pub(super) async fn get_status(State(app): State<App>, _: NoParams) -> Answer {
    Ok(one(&app.control.ask(|switch| switch.status()).await?))
}

/// All ports.
#[utoipa::path(get, path = "/v1/ports", tag = "ports",
    responses((status = 200, description = "The ports", body = Vec<PortRow>)))]
pub(super) async fn get_ports(State(app): State<App>, _: NoParams) -> Answer {
    let (generation, rows) = app.control.ask(|s| (s.generation(), s.port_rows())).await?;
    Ok(with_etag(list(rows).await?, generation))
}

/// One port.
#[utoipa::path(get, path = "/v1/ports/{name}", tag = "ports",
    params(("name" = String, Path, description = "Name of the port")),
    responses((status = 200, description = "The port", body = PortRow)))]
pub(super) async fn get_port(
    State(app): State<App>,
    Names(name): Names<String>,
    _: NoParams,
) -> Answer {
    let (generation, rows) = app.control.ask(|s| (s.generation(), s.port_rows())).await?;
    let row = named("port", &name, &rows, |row| &row.name)?;
    Ok(with_etag(one(row), generation))
}

/// All local VTEPs, with the remote ones that they know.
#[utoipa::path(get, path = "/v1/vteps", tag = "vteps",
    responses((status = 200, description = "The VTEPs", body = Vec<VtepRow>)))]
pub(super) async fn get_vteps(State(app): State<App>, _: NoParams) -> Answer {
    let (generation, rows) = app.control.ask(|s| (s.generation(), s.vtep_rows())).await?;
    Ok(with_etag(list(rows).await?, generation))
}

/// One local VTEP, with the remote ones that it knows.
#[utoipa::path(get, path = "/v1/vteps/{name}", tag = "vteps",
    params(("name" = String, Path, description = "Name of the VTEP")),
    responses((status = 200, description = "The VTEP", body = VtepRow)))]
pub(super) async fn get_vtep(
    State(app): State<App>,
    Names(name): Names<String>,
    _: NoParams,
) -> Answer {
    let (generation, rows) = app.control.ask(|s| (s.generation(), s.vtep_rows())).await?;
    let row = named("VTEP", &name, &rows, |row| &row.name)?;
    Ok(with_etag(one(row), generation))
}

/// All networks.
#[utoipa::path(get, path = "/v1/networks", tag = "networks",
    responses((status = 200, description = "The networks", body = Vec<NetworkRow>)))]
pub(super) async fn get_networks(State(app): State<App>, _: NoParams) -> Answer {
    let (generation, rows) = app.control.ask(|s| (s.generation(), s.network_rows())).await?;
    Ok(with_etag(list(rows).await?, generation))
}

/// One network.
#[utoipa::path(get, path = "/v1/networks/{name}", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    responses((status = 200, description = "The network", body = NetworkRow)))]
pub(super) async fn get_network(
    State(app): State<App>,
    Names(name): Names<String>,
    _: NoParams,
) -> Answer {
    let (generation, rows) = app.control.ask(|s| (s.generation(), s.network_rows())).await?;
    let row = named("network", &name, &rows, |row| &row.name)?;
    Ok(with_etag(one(row), generation))
}

/// The workers.
#[utoipa::path(get, path = "/v1/workers", tag = "state",
    responses((status = 200, description = "The workers", body = Vec<WorkerRow>)))]
pub(super) async fn get_workers(State(app): State<App>, _: NoParams) -> Answer {
    list(app.control.ask(|switch| switch.worker_rows()).await?).await
}

/// Dropped frames by reason, port and network, wherever each reason can happen: those included that never did, unless
/// there would be more than 10,000 of them.
#[utoipa::path(get, path = "/v1/drops", tag = "state",
    responses((status = 200, description = "The drops", body = Vec<DropRow>)))]
pub(super) async fn get_drops(State(app): State<App>, _: NoParams) -> Answer {
    list(app.control.ask(|switch| switch.drop_rows()).await?).await
}
