//! Networks and what belongs to them: read, made, changed, removed, moved.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, App, created, done, list, with_etag};
use crate::api::change::{Change, change};
use crate::api::edit::{self, Edited, Migration};
use crate::api::extract::{JsonBody, MergePatch, Names, NoParams, Precondition};
use crate::api::problem::{Place, Problem};
use crate::api::refusal::absent;
use crate::config::document::{Document, MacDocument, MemberDocument, NetworkDocument};
use crate::control::requests::ApplyOptions;

/// The address of a remote VTEP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RemoteVtep {
    /// Its IPv4 address.
    #[schema(example = "198.51.100.2")]
    address: String,
}

async fn changed(
    app: &App,
    precondition: Precondition,
    edit: impl Fn(&mut Document) -> Edited + Clone + Send + 'static,
) -> Result<Change, Problem> {
    change(&app.control, precondition, ApplyOptions::default(), edit).await
}

/// A network as the configuration has it, and its generation.
async fn configured(app: &App, name: &str) -> Result<(u64, NetworkDocument), Problem> {
    let name = name.to_owned();
    let found = app.control.ask(move |switch| {
        let config = switch.config();
        let Some(network) = config.networks.iter().find(|network| network.name == name) else {
            let known = config.networks.iter().map(|network| network.name.as_str());
            return Err(absent("network", &name, known, Place::Path, "/name"));
        };
        Ok((switch.generation(), NetworkDocument::of(network, config)))
    });
    found.await?
}

/// Makes a network.
#[utoipa::path(post, path = "/v1/networks", tag = "networks", request_body = NetworkDocument,
    responses((status = 201, description = "Made", body = Change)))]
pub(super) async fn create_network(
    State(app): State<App>,
    _: NoParams,
    precondition: Precondition,
    JsonBody(new): JsonBody<NetworkDocument>,
) -> Answer {
    let name = new.name.clone();
    let edit = move |document: &mut _| edit::add_network(document, new.clone());
    created(changed(&app, precondition, edit).await?, &["networks", &name]).await
}

/// Changes some keys of a network, by a JSON merge patch (RFC 7396) of what the configuration has.
#[utoipa::path(patch, path = "/v1/networks/{name}", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    request_body(content(
        (serde_json::Value = "application/merge-patch+json", example = json!({"mac-ageing-secs": 60})),
        (serde_json::Value = "application/json"))),
    responses((status = 200, description = "Changed", body = Change)))]
pub(super) async fn patch_network(
    State(app): State<App>,
    Names(name): Names<String>,
    _: NoParams,
    precondition: Precondition,
    MergePatch(patch): MergePatch,
) -> Answer {
    let edit = move |document: &mut _| edit::patch_network(document, &name, &patch);
    done(changed(&app, precondition, edit).await?).await
}

/// Removes a network, with its members and static MACs.
#[utoipa::path(delete, path = "/v1/networks/{name}", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    responses((status = 200, description = "Removed", body = Change)))]
pub(super) async fn delete_network(
    State(app): State<App>,
    Names(name): Names<String>,
    _: NoParams,
    precondition: Precondition,
) -> Answer {
    let edit = move |document: &mut _| edit::remove_network(document, &name);
    done(changed(&app, precondition, edit).await?).await
}

/// The ports of a network.
#[utoipa::path(get, path = "/v1/networks/{name}/members", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    responses((status = 200, description = "Its ports", body = Vec<MemberDocument>)))]
pub(super) async fn get_members(
    State(app): State<App>,
    Names(name): Names<String>,
    _: NoParams,
) -> Answer {
    let (generation, network) = configured(&app, &name).await?;
    Ok(with_etag(list(network.port).await?, generation))
}

/// Adds a port to a network.
#[utoipa::path(post, path = "/v1/networks/{name}/members", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    request_body = MemberDocument,
    responses((status = 201, description = "Added", body = Change)))]
pub(super) async fn add_member(
    State(app): State<App>,
    Names(name): Names<String>,
    _: NoParams,
    precondition: Precondition,
    JsonBody(new): JsonBody<MemberDocument>,
) -> Answer {
    let place = [name.clone(), new.port.clone()];
    let edit = move |document: &mut _| edit::add_member(document, &name, new.clone());
    let change = changed(&app, precondition, edit).await?;
    created(change, &["networks", &place[0], "members", &place[1]]).await
}

/// Takes a port out of a network.
#[utoipa::path(delete, path = "/v1/networks/{name}/members/{port}", tag = "networks",
    params(("name" = String, Path, description = "Name of the network"),
        ("port" = String, Path, description = "Name of the port")),
    responses((status = 200, description = "Taken out", body = Change)))]
pub(super) async fn remove_member(
    State(app): State<App>,
    Names((name, port)): Names<(String, String)>,
    _: NoParams,
    precondition: Precondition,
) -> Answer {
    let edit = move |document: &mut _| edit::remove_member(document, &name, &port);
    done(changed(&app, precondition, edit).await?).await
}

/// The static MACs of a network.
#[utoipa::path(get, path = "/v1/networks/{name}/macs", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    responses((status = 200, description = "Its static MACs", body = Vec<MacDocument>)))]
pub(super) async fn get_macs(
    State(app): State<App>,
    Names(name): Names<String>,
    _: NoParams,
) -> Answer {
    let (generation, network) = configured(&app, &name).await?;
    Ok(with_etag(list(network.mac).await?, generation))
}

/// Gives a network a static MAC.
#[utoipa::path(post, path = "/v1/networks/{name}/macs", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    request_body = MacDocument,
    responses((status = 201, description = "Added", body = Change)))]
pub(super) async fn add_mac(
    State(app): State<App>,
    Names(name): Names<String>,
    _: NoParams,
    precondition: Precondition,
    JsonBody(new): JsonBody<MacDocument>,
) -> Answer {
    let place = [name.clone(), new.address.clone()];
    let edit = move |document: &mut _| edit::add_mac(document, &name, new.clone());
    let change = changed(&app, precondition, edit).await?;
    created(change, &["networks", &place[0], "macs", &place[1]]).await
}

/// Takes a static MAC from a network.
#[utoipa::path(delete, path = "/v1/networks/{name}/macs/{address}", tag = "networks",
    params(("name" = String, Path, description = "Name of the network"),
        ("address" = String, Path, description = "The MAC address")),
    responses((status = 200, description = "Taken", body = Change)))]
pub(super) async fn remove_mac(
    State(app): State<App>,
    Names((name, address)): Names<(String, String)>,
    _: NoParams,
    precondition: Precondition,
) -> Answer {
    let edit = move |document: &mut _| edit::remove_mac(document, &name, &address);
    done(changed(&app, precondition, edit).await?).await
}

/// The remote VTEPs that a network floods to.
#[utoipa::path(get, path = "/v1/networks/{name}/remote-vteps", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    responses((status = 200, description = "Their addresses", body = Vec<String>)))]
pub(super) async fn get_remote_vteps(
    State(app): State<App>,
    Names(name): Names<String>,
    _: NoParams,
) -> Answer {
    let (generation, network) = configured(&app, &name).await?;
    Ok(with_etag(list(network.remote_vteps).await?, generation))
}

/// Has a network flood to another host.
#[utoipa::path(post, path = "/v1/networks/{name}/remote-vteps", tag = "networks",
    params(("name" = String, Path, description = "Name of the network")),
    request_body = RemoteVtep,
    responses((status = 201, description = "Added", body = Change)))]
pub(super) async fn add_remote_vtep(
    State(app): State<App>,
    Names(name): Names<String>,
    _: NoParams,
    precondition: Precondition,
    JsonBody(new): JsonBody<RemoteVtep>,
) -> Answer {
    let place = [name.clone(), new.address.clone()];
    let edit = move |document: &mut _| edit::add_remote_vtep(document, &name, new.address.clone());
    let change = changed(&app, precondition, edit).await.map_err(|mut problem| {
        // The configuration has a text where the request has an object with one.
        for error in problem.errors.iter_mut().filter(|error| error.place == Place::Body) {
            if error.pointer.is_empty() {
                "/address".clone_into(&mut error.pointer);
            }
        }
        problem
    })?;
    created(change, &["networks", &place[0], "remote-vteps", &place[1]]).await
}

/// Has a network no longer flood to another host.
#[utoipa::path(delete, path = "/v1/networks/{name}/remote-vteps/{address}", tag = "networks",
    params(("name" = String, Path, description = "Name of the network"),
        ("address" = String, Path, description = "The IPv4 address")),
    responses((status = 200, description = "Removed", body = Change)))]
pub(super) async fn remove_remote_vtep(
    State(app): State<App>,
    Names((name, address)): Names<(String, String)>,
    _: NoParams,
    precondition: Precondition,
) -> Answer {
    let edit = move |document: &mut _| edit::remove_remote_vtep(document, &name, &address);
    done(changed(&app, precondition, edit).await?).await
}

/// Moves a port to another network, or a static MAC to another home, as one change.
#[utoipa::path(post, path = "/v1/migrate", tag = "networks", request_body = Migration,
    responses((status = 200, description = "Moved", body = Change)))]
pub(super) async fn migrate(
    State(app): State<App>,
    _: NoParams,
    precondition: Precondition,
    JsonBody(migration): JsonBody<Migration>,
) -> Answer {
    let within = if matches!(migration, Migration::Mac(_)) { "/mac" } else { "" };
    let edit = move |document: &mut _| edit::migrate(document, &migration);
    let change = changed(&app, precondition, edit).await.map_err(|mut problem| {
        // What `check` finds wrong with the new home is in the same keys, one object further in.
        for error in problem.errors.iter_mut().filter(|error| error.place == Place::Body) {
            if !error.pointer.starts_with(within) {
                error.pointer.insert_str(0, within);
            }
        }
        problem
    })?;
    done(change).await
}
