//! Ports and VTEPs are added and removed.

use axum::extract::State;

use super::{Answer, App, created, done};
use crate::api::change::{Change, change};
use crate::api::edit;
use crate::api::extract::{JsonBody, Names, NoParams, Precondition};
use crate::config::document::{PortDocument, VtepDocument};
use crate::control::requests::ApplyOptions;

/// Adds a port. Nothing uses it until it belongs to a network, or is a VTEP's uplink.
#[utoipa::path(post, path = "/v1/ports", tag = "ports", request_body = PortDocument,
    responses((status = 201, description = "Added", body = Change)))]
pub(super) async fn create_port(
    State(app): State<App>,
    _: NoParams,
    precondition: Precondition,
    JsonBody(new): JsonBody<PortDocument>,
) -> Answer {
    let name = new.name.clone();
    let edit = move |document: &mut _| edit::add_port(document, new.clone());
    let change = change(&app.control, precondition, ApplyOptions::default(), edit).await?;
    created(change, &["ports", &name]).await
}

/// Removes a port that nothing uses.
#[utoipa::path(delete, path = "/v1/ports/{name}", tag = "ports",
    params(("name" = String, Path, description = "Name of the port")),
    responses((status = 200, description = "Removed", body = Change)))]
pub(super) async fn delete_port(
    State(app): State<App>,
    Names(name): Names<String>,
    _: NoParams,
    precondition: Precondition,
) -> Answer {
    let edit = move |document: &mut _| edit::remove_port(document, &name);
    done(change(&app.control, precondition, ApplyOptions::default(), edit).await?).await
}

/// Adds a VTEP.
#[utoipa::path(post, path = "/v1/vteps", tag = "vteps", request_body = VtepDocument,
    responses((status = 201, description = "Added", body = Change)))]
pub(super) async fn create_vtep(
    State(app): State<App>,
    _: NoParams,
    precondition: Precondition,
    JsonBody(new): JsonBody<VtepDocument>,
) -> Answer {
    let name = new.name.clone();
    let edit = move |document: &mut _| edit::add_vtep(document, new.clone());
    let change = change(&app.control, precondition, ApplyOptions::default(), edit).await?;
    created(change, &["vteps", &name]).await
}

/// Removes a VTEP that no network uses.
#[utoipa::path(delete, path = "/v1/vteps/{name}", tag = "vteps",
    params(("name" = String, Path, description = "Name of the VTEP")),
    responses((status = 200, description = "Removed", body = Change)))]
pub(super) async fn delete_vtep(
    State(app): State<App>,
    Names(name): Names<String>,
    _: NoParams,
    precondition: Precondition,
) -> Answer {
    let edit = move |document: &mut _| edit::remove_vtep(document, &name);
    done(change(&app.control, precondition, ApplyOptions::default(), edit).await?).await
}
