//! The `OpenAPI` document. Routes and schemas come from their definitions; this file adds what
//! follows the same rules for all of them, mainly the problems that each route can respond with.

use utoipa::OpenApi as _;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr,
    Required, ResponseBuilder, Type,
};

use super::problem::{CONTENT_TYPE, Details, Kind};

#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(Details)))]
struct Schemas;

/// The name of the token's security scheme.
const TOKEN: &str = "token";

/// The document without its routes.
pub(super) fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("vswitch")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The state and the configuration of a running vswitch. On the Unix socket, file \
             permissions decide who has access; over TCP, requests need a bearer token.",
        ))
        .build();
    let mut head = OpenApiBuilder::new().info(info).build();
    head.merge(Schemas::openapi());
    head.servers = None;
    head
}

/// Completes the description of each route.
pub(super) fn complete(document: &mut OpenApi) {
    if let Some(components) = &mut document.components {
        let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme(TOKEN, token);
    }
    let none = SecurityRequirement::default();
    let token = SecurityRequirement::new::<_, [&str; 0], &str>(TOKEN, []);
    document.security = Some(vec![none, token]);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            let changes = is_change(path, method);
            if changes || accepts_if_match(path) {
                if_match(operation, changes);
            }
            problems(path, method, operation, changes);
            etag(path, operation);
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [
        ("get", &mut item.get),
        ("post", &mut item.post),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Whether the route changes the configuration and requires an If-Match.
fn is_change(path: &str, method: &str) -> bool {
    method != "get"
        && !accepts_if_match(path)
        && !matches!(path, "/v1/plan" | "/v1/fdb/flush" | "/v1/explain" | "/v1/captures/{id}")
}

/// Whether the route accepts an If-Match but does not require one.
fn accepts_if_match(path: &str) -> bool {
    matches!(path, "/v1/confirm" | "/v1/roll-back")
}

fn if_match(operation: &mut Operation, is_needed: bool) {
    let parameter = ParameterBuilder::new()
        .name("If-Match")
        .parameter_in(ParameterIn::Header)
        .required(if is_needed { Required::True } else { Required::False })
        .description(Some("The ETag of the configuration that the change was made for, or `*`"))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .pattern(Some(r#"^(\*|"[0-9]{1,18}"(, ?"[0-9]{1,18}")*)$"#))
                .examples(["*"]),
        ))
        .build();
    operation.parameters.get_or_insert_default().push(RefOr::T(parameter));
}

fn etag(path: &str, operation: &mut Operation) {
    if matches!(path, "/v1/fdb" | "/v1/fdb/flush" | "/v1/status" | "/v1/workers" | "/v1/events")
        || path.starts_with("/v1/drops")
        || path.starts_with("/v1/capture")
        || path.ends_with("openapi.json")
    {
        return;
    }
    let is_success = |status: &str| status.starts_with('2');
    for (_, response) in operation.responses.responses.iter_mut().filter(|(s, _)| is_success(s)) {
        if let RefOr::T(response) = response {
            let header = HeaderBuilder::new()
                .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
                .description(Some("The generation of the configuration"))
                .build();
            response.headers.insert("ETag".to_owned(), RefOr::T(header));
        }
    }
}

fn problems(path: &str, method: &str, operation: &mut Operation, changes: bool) {
    // Every route refuses unknown query parameters.
    let mut kinds = vec![Kind::BadRequest, Kind::Unauthorized, Kind::Timeout, Kind::Unavailable];
    let refers_to_names =
        matches!(path, "/v1/migrate" | "/v1/explain" | "/v1/capture" | "/v1/drops/frames");
    if path.contains('{') || refers_to_names || path.starts_with("/v1/fdb") {
        kinds.push(Kind::NotFound);
    }
    if operation.request_body.is_some() {
        kinds.extend([Kind::TooLarge, Kind::UnsupportedMediaType, Kind::Invalid]);
    }
    if changes {
        kinds.extend([Kind::Conflict, Kind::NeedsRestart, Kind::AwaitsConfirmation]);
        kinds.extend([Kind::PreconditionFailed, Kind::PreconditionRequired]);
        kinds.extend([Kind::Invalid, Kind::Storage]);
    }
    if accepts_if_match(path) {
        kinds.extend([Kind::NothingPending, Kind::PreconditionFailed]);
        if path == "/v1/roll-back" {
            kinds.extend([Kind::Conflict, Kind::Storage]);
        }
    }
    if path == "/v1/capture" {
        kinds.extend([Kind::TooManyCaptures, Kind::BadFilter]);
    }
    if (method, path) == ("get", "/v1/config") {
        kinds.push(Kind::NotAcceptable);
    }
    for kind in Kind::ALL.iter().filter(|kind| kinds.contains(kind)) {
        let problem = Ref::from_schema_name("Problem");
        let response =
            operation.responses.responses.entry(kind.status().to_string()).or_insert_with(|| {
                let content = ContentBuilder::new().schema(Some(problem)).build();
                RefOr::T(ResponseBuilder::new().content(CONTENT_TYPE, content).build())
            });
        if let RefOr::T(response) = response {
            let separator = if response.description.is_empty() { "" } else { " Or: " };
            let text = format!("{separator}`{}`: {}", kind.slug(), kind.title());
            response.description.push_str(&text);
        }
    }
}
