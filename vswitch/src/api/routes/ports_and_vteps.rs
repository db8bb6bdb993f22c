//! Adding and removing ports and VTEPs.

use axum::extract::State;

use super::response::{Answer, changed, created};
use crate::api::app::App;
use crate::api::apply::{Change, edit_and_apply};
use crate::api::edit;
use crate::api::extract::{JsonBody, NoQuery, PathParams};
use crate::api::precondition::Precondition;
use crate::config::document::{PortDocument, VtepDocument};

/// Adds a port. No frames pass it until it belongs to a network or is a VTEP's uplink.
#[utoipa::path(post, path = "/v1/ports", tag = "ports", request_body = PortDocument,
    responses((status = 201, description = "Added", body = Change)))]
pub(super) async fn create_port(
    State(app): State<App>,
    _: NoQuery,
    precondition: Precondition,
    JsonBody(new): JsonBody<PortDocument>,
) -> Answer {
    let name = new.name.clone();
    let edit = move |document: &mut _| edit::add_port(document, new.clone());
    created(edit_and_apply(&app.control, precondition, edit).await?, &["ports", &name]).await
}

/// Removes a port that nothing uses.
#[utoipa::path(delete, path = "/v1/ports/{name}", tag = "ports",
    params(("name" = String, Path, description = "Name of the port")),
    responses((status = 200, description = "Removed", body = Change)))]
pub(super) async fn delete_port(
    State(app): State<App>,
    PathParams(name): PathParams<String>,
    _: NoQuery,
    precondition: Precondition,
) -> Answer {
    let edit = move |document: &mut _| edit::remove_port(document, &name);
    changed(edit_and_apply(&app.control, precondition, edit).await?).await
}

/// Adds a VTEP.
#[utoipa::path(post, path = "/v1/vteps", tag = "vteps", request_body = VtepDocument,
    responses((status = 201, description = "Added", body = Change)))]
pub(super) async fn create_vtep(
    State(app): State<App>,
    _: NoQuery,
    precondition: Precondition,
    JsonBody(new): JsonBody<VtepDocument>,
) -> Answer {
    let name = new.name.clone();
    let edit = move |document: &mut _| edit::add_vtep(document, new.clone());
    created(edit_and_apply(&app.control, precondition, edit).await?, &["vteps", &name]).await
}

/// Removes a VTEP that no network uses.
#[utoipa::path(delete, path = "/v1/vteps/{name}", tag = "vteps",
    params(("name" = String, Path, description = "Name of the VTEP")),
    responses((status = 200, description = "Removed", body = Change)))]
pub(super) async fn delete_vtep(
    State(app): State<App>,
    PathParams(name): PathParams<String>,
    _: NoQuery,
    precondition: Precondition,
) -> Answer {
    let edit = move |document: &mut _| edit::remove_vtep(document, &name);
    changed(edit_and_apply(&app.control, precondition, edit).await?).await
}
