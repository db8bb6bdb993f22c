//! Networks with their members, static MACs and remote VTEPs.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::response::{Answer, changed, created, list, with_etag};
use crate::api::app::App;
use crate::api::apply::{Change, edit_and_apply};
use crate::api::conflict::index_of;
use crate::api::edit::{self, Migration};
use crate::api::extract::{JsonBody, MergePatch, NoQuery, PathParams};
use crate::api::precondition::Precondition;
use crate::api::problem::{Problem, Source};
use crate::config::document::{MacDocument, MemberDocument, NetworkDocument};

/// The address of a remote VTEP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RemoteVtep {
    /// The IPv4 address.
    #[schema(example = "198.51.100.2")]
    address: String,
}

/// Responds with a list that belongs to a network of the running configuration.
async fn list_in_network<T: Serialize + Send + 'static>(
    app: &App,
    name: String,
    list_of: fn(NetworkDocument) -> Vec<T>,
) -> Answer {
    let found = app.control.ask(move |switch| {
        let config = switch.config();
        let names = config.networks.iter().map(|network| network.name.as_str());
        let index = index_of("network", &name, names, Source::Path, "/name")?;
        let network = NetworkDocument::of(&config.networks[index], config);
        Ok::<_, Problem>((switch.generation(), network))
    });
    let (generation, network) = found.await??;
    Ok(with_etag(list(list_of(network)).await?, generation))
}

/// Creates a network.
#[utoipa::path(post, path = "/v1/networks", tag = "networks", request_body = NetworkDocument,
    responses((status = 201, description = "Created", body = Change)))]
pub(super) async fn create_network(
    State(app): State<App>,
    _: NoQuery,
    precondition: Precondition,
    JsonBody(new): JsonBody<NetworkDocument>,
) -> Answer {
    let name = new.name.clone();
    let edit = move |document: &mut _| edit::add_network(document, new.clone());
    created(edit_and_apply(&app.control, precondition, edit).await?, &["networks", &name]).await
}

/// Changes keys of a network by a JSON merge patch (RFC 7396) of its configuration.
#[utoipa::path(patch, path = "/v1/networks/{name}", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    request_body(content(
        (serde_json::Value = "application/merge-patch+json",
            example = json!({"mac-ageing-secs": 60})),
        (serde_json::Value = "application/json"))),
    responses((status = 200, description = "Changed", body = Change)))]
pub(super) async fn patch_network(
    State(app): State<App>,
    PathParams(name): PathParams<String>,
    _: NoQuery,
    precondition: Precondition,
    MergePatch(patch): MergePatch,
) -> Answer {
    let edit = move |document: &mut _| edit::patch_network(document, &name, &patch);
    changed(edit_and_apply(&app.control, precondition, edit).await?).await
}

/// Removes a network with its members and static MACs.
#[utoipa::path(delete, path = "/v1/networks/{name}", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    responses((status = 200, description = "Removed", body = Change)))]
pub(super) async fn delete_network(
    State(app): State<App>,
    PathParams(name): PathParams<String>,
    _: NoQuery,
    precondition: Precondition,
) -> Answer {
    let edit = move |document: &mut _| edit::remove_network(document, &name);
    changed(edit_and_apply(&app.control, precondition, edit).await?).await
}

/// The ports of a network.
#[utoipa::path(get, path = "/v1/networks/{name}/members", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    responses((status = 200, description = "The ports", body = Vec<MemberDocument>)))]
pub(super) async fn get_members(
    State(app): State<App>,
    PathParams(name): PathParams<String>,
    _: NoQuery,
) -> Answer {
    list_in_network(&app, name, |network| network.port).await
}

/// Adds a port to a network.
#[utoipa::path(post, path = "/v1/networks/{name}/members", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    request_body = MemberDocument,
    responses((status = 201, description = "Added", body = Change)))]
pub(super) async fn add_member(
    State(app): State<App>,
    PathParams(name): PathParams<String>,
    _: NoQuery,
    precondition: Precondition,
    JsonBody(new): JsonBody<MemberDocument>,
) -> Answer {
    let path = [name.clone(), new.port.clone()];
    let edit = move |document: &mut _| edit::add_member(document, &name, new.clone());
    let change = edit_and_apply(&app.control, precondition, edit).await?;
    created(change, &["networks", &path[0], "members", &path[1]]).await
}

/// Removes a port from a network.
#[utoipa::path(delete, path = "/v1/networks/{name}/members/{port}", tag = "networks",
    params(("name" = String, Path, description = "Name of the network"),
        ("port" = String, Path, description = "Name of the port")),
    responses((status = 200, description = "Removed", body = Change)))]
pub(super) async fn remove_member(
    State(app): State<App>,
    PathParams((name, port)): PathParams<(String, String)>,
    _: NoQuery,
    precondition: Precondition,
) -> Answer {
    let edit = move |document: &mut _| edit::remove_member(document, &name, &port);
    changed(edit_and_apply(&app.control, precondition, edit).await?).await
}

/// The static MACs of a network.
#[utoipa::path(get, path = "/v1/networks/{name}/macs", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    responses((status = 200, description = "The static MACs", body = Vec<MacDocument>)))]
pub(super) async fn get_macs(
    State(app): State<App>,
    PathParams(name): PathParams<String>,
    _: NoQuery,
) -> Answer {
    list_in_network(&app, name, |network| network.mac).await
}

/// Adds a static MAC to a network.
#[utoipa::path(post, path = "/v1/networks/{name}/macs", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    request_body = MacDocument,
    responses((status = 201, description = "Added", body = Change)))]
pub(super) async fn add_mac(
    State(app): State<App>,
    PathParams(name): PathParams<String>,
    _: NoQuery,
    precondition: Precondition,
    JsonBody(new): JsonBody<MacDocument>,
) -> Answer {
    let path = [name.clone(), new.address.clone()];
    let edit = move |document: &mut _| edit::add_mac(document, &name, new.clone());
    let change = edit_and_apply(&app.control, precondition, edit).await?;
    created(change, &["networks", &path[0], "macs", &path[1]]).await
}

/// Removes a static MAC from a network.
#[utoipa::path(delete, path = "/v1/networks/{name}/macs/{address}", tag = "networks",
    params(("name" = String, Path, description = "Name of the network"),
        ("address" = String, Path, description = "The MAC address")),
    responses((status = 200, description = "Removed", body = Change)))]
pub(super) async fn remove_mac(
    State(app): State<App>,
    PathParams((name, address)): PathParams<(String, String)>,
    _: NoQuery,
    precondition: Precondition,
) -> Answer {
    let edit = move |document: &mut _| edit::remove_mac(document, &name, &address);
    changed(edit_and_apply(&app.control, precondition, edit).await?).await
}

/// The remote VTEPs to which a network floods.
#[utoipa::path(get, path = "/v1/networks/{name}/remote-vteps", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    responses((status = 200, description = "Addresses of remote VTEPs", body = Vec<String>)))]
pub(super) async fn get_remote_vteps(
    State(app): State<App>,
    PathParams(name): PathParams<String>,
    _: NoQuery,
) -> Answer {
    list_in_network(&app, name, |network| network.remote_vteps).await
}

/// Adds a remote VTEP to which a network floods.
#[utoipa::path(post, path = "/v1/networks/{name}/remote-vteps", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    request_body = RemoteVtep,
    responses((status = 201, description = "Added", body = Change)))]
pub(super) async fn add_remote_vtep(
    State(app): State<App>,
    PathParams(name): PathParams<String>,
    _: NoQuery,
    precondition: Precondition,
    JsonBody(new): JsonBody<RemoteVtep>,
) -> Answer {
    let path = [name.clone(), new.address.clone()];
    let edit = move |document: &mut _| edit::add_remote_vtep(document, &name, new.address.clone());
    let change =
        edit_and_apply(&app.control, precondition, edit).await.map_err(|mut problem| {
            // The request has an object where the configuration has a string.
            for error in problem.errors.iter_mut().filter(|error| error.source == Source::Body) {
                if error.pointer.is_empty() {
                    "/address".clone_into(&mut error.pointer);
                }
            }
            problem
        })?;
    created(change, &["networks", &path[0], "remote-vteps", &path[1]]).await
}

/// Removes a remote VTEP to which a network floods.
#[utoipa::path(delete, path = "/v1/networks/{name}/remote-vteps/{address}", tag = "networks",
    params(("name" = String, Path, description = "Name of the network"),
        ("address" = String, Path, description = "The IPv4 address")),
    responses((status = 200, description = "Removed", body = Change)))]
pub(super) async fn remove_remote_vtep(
    State(app): State<App>,
    PathParams((name, address)): PathParams<(String, String)>,
    _: NoQuery,
    precondition: Precondition,
) -> Answer {
    let edit = move |document: &mut _| edit::remove_remote_vtep(document, &name, &address);
    changed(edit_and_apply(&app.control, precondition, edit).await?).await
}

/// Moves a port to another network, or a static MAC to another port or remote VTEP, in one change.
#[utoipa::path(post, path = "/v1/migrate", tag = "networks", request_body = Migration,
    responses((status = 200, description = "Moved", body = Change)))]
pub(super) async fn migrate(
    State(app): State<App>,
    _: NoQuery,
    precondition: Precondition,
    JsonBody(migration): JsonBody<Migration>,
) -> Answer {
    let within = if matches!(migration, Migration::Mac(_)) { "/mac" } else { "" };
    let edit = move |document: &mut _| edit::migrate(document, &migration);
    let change =
        edit_and_apply(&app.control, precondition, edit).await.map_err(|mut problem| {
            // The request has the keys of the static MAC one object further in.
            for error in problem.errors.iter_mut().filter(|error| error.source == Source::Body) {
                if !error.pointer.starts_with(within) {
                    error.pointer.insert_str(0, within);
                }
            }
            problem
        })?;
    changed(change).await
}
