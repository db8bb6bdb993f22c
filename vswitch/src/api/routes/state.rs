//! The state of the switch as rows with counters.

use axum::extract::State;

use super::response::{Answer, list, object, with_etag};
use crate::api::app::App;
use crate::api::conflict::index_of;
use crate::api::extract::{NoQuery, PathParams};
use crate::api::problem::{Problem, Source};
use crate::control::requests::LiveSwitch;
use crate::control::rows::{DropRow, NetworkRow, PortRow, Status, VtepRow, WorkerRow};

/// Responds with all rows.
async fn all<T: serde::Serialize + Send + 'static>(
    app: &App,
    rows: fn(&dyn LiveSwitch) -> Vec<T>,
) -> Answer {
    let (generation, rows) = app.control.ask(move |s| (s.generation(), rows(s))).await?;
    Ok(with_etag(list(rows).await?, generation))
}

/// Responds with the row of that name.
async fn named<T: serde::Serialize + Send + 'static>(
    app: &App,
    (what, name): (&'static str, String),
    rows: fn(&dyn LiveSwitch) -> Vec<T>,
    name_of: fn(&T) -> &str,
) -> Answer {
    let (generation, row) = app
        .control
        .ask(move |s| {
            let mut rows = rows(s);
            let index = index_of(what, &name, rows.iter().map(name_of), Source::Path, "/name")?;
            Ok::<_, Problem>((s.generation(), rows.swap_remove(index)))
        })
        .await??;
    Ok(with_etag(object(&row), generation))
}

/// Version, host, generation, start, and the totals of dropped and unaccounted frames.
#[utoipa::path(get, path = "/v1/status", tag = "state",
    responses((status = 200, description = "The switch", body = Status)))]
pub(super) async fn get_status(State(app): State<App>, _: NoQuery) -> Answer {
    Ok(object(&app.control.ask(|switch| switch.status()).await?))
}

/// All ports.
#[utoipa::path(get, path = "/v1/ports", tag = "ports",
    responses((status = 200, description = "The ports", body = Vec<PortRow>)))]
pub(super) async fn get_ports(State(app): State<App>, _: NoQuery) -> Answer {
    all(&app, |switch| switch.port_rows()).await
}

/// One port.
#[utoipa::path(get, path = "/v1/ports/{name}", tag = "ports",
    params(("name" = String, Path, description = "Name of the port")),
    responses((status = 200, description = "The port", body = PortRow)))]
pub(super) async fn get_port(
    State(app): State<App>,
    PathParams(name): PathParams<String>,
    _: NoQuery,
) -> Answer {
    named(&app, ("port", name), |switch| switch.port_rows(), |row| &row.name).await
}

/// All local VTEPs, with their remote VTEPs.
#[utoipa::path(get, path = "/v1/vteps", tag = "vteps",
    responses((status = 200, description = "The VTEPs", body = Vec<VtepRow>)))]
pub(super) async fn get_vteps(State(app): State<App>, _: NoQuery) -> Answer {
    all(&app, |switch| switch.vtep_rows()).await
}

/// One local VTEP, with its remote VTEPs.
#[utoipa::path(get, path = "/v1/vteps/{name}", tag = "vteps",
    params(("name" = String, Path, description = "Name of the VTEP")),
    responses((status = 200, description = "The VTEP", body = VtepRow)))]
pub(super) async fn get_vtep(
    State(app): State<App>,
    PathParams(name): PathParams<String>,
    _: NoQuery,
) -> Answer {
    named(&app, ("VTEP", name), |switch| switch.vtep_rows(), |row| &row.name).await
}

/// All networks.
#[utoipa::path(get, path = "/v1/networks", tag = "networks",
    responses((status = 200, description = "The networks", body = Vec<NetworkRow>)))]
pub(super) async fn get_networks(State(app): State<App>, _: NoQuery) -> Answer {
    all(&app, |switch| switch.network_rows()).await
}

/// One network.
#[utoipa::path(get, path = "/v1/networks/{name}", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    responses((status = 200, description = "The network", body = NetworkRow)))]
pub(super) async fn get_network(
    State(app): State<App>,
    PathParams(name): PathParams<String>,
    _: NoQuery,
) -> Answer {
    named(&app, ("network", name), |switch| switch.network_rows(), |row| &row.name).await
}

/// The workers.
#[utoipa::path(get, path = "/v1/workers", tag = "state",
    responses((status = 200, description = "The workers", body = Vec<WorkerRow>)))]
pub(super) async fn get_workers(State(app): State<App>, _: NoQuery) -> Answer {
    list(app.control.ask(|switch| switch.worker_rows()).await?).await
}

/// Dropped frames by reason, port and network. Reasons without a drop are included, unless the list
/// would have more than 10,000 rows.
#[utoipa::path(get, path = "/v1/drops", tag = "state",
    responses((status = 200, description = "The drops", body = Vec<DropRow>)))]
pub(super) async fn get_drops(State(app): State<App>, _: NoQuery) -> Answer {
    list(app.control.ask(|switch| switch.drop_rows()).await?).await
}
