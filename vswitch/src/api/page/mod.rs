//! The status page on the metrics' address: a picture of the overlay with live rates, the drops
//! with their meaning, and the last dropped frames. The page is read-only.
//!
//! | file | contents |
//! |---|---|
//! | `mod` | the routes, and the headers that restrict what a browser may do |
//! | `snapshot` | a snapshot of the switch, the same for all browsers |
//! | `view` | the part of a snapshot that is sent, bounded in size |
//! | `site/` | the page: HTML, CSS and JavaScript modules, as browsers read them |
//!
//! There is no build step, and nothing is loaded from other hosts: the files in `site/` are
//! embedded in the binary. They never make HTML from text, and trusted types tell the browser to
//! refuse it.
//!
//! # Access
//! There is no authentication, as for the metrics. Contents of tenants' frames are sent only if the
//! address is a loopback address, the configuration allows it, and the request did not pass a
//! proxy. A page on a loopback address is served only under an IP address or `localhost`: another
//! web site could otherwise resolve its own name to 127.0.0.1 and read the page (DNS rebinding).
//!
//! Runs as tasks on the control thread; responses are serialized on a thread of the pool.

mod snapshot;
mod view;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Deserialize;

use super::control::{Control, run_blocking};
use super::problem::Problem;
use snapshot::SnapshotCache;
use view::View;

pub use view::{MAX_FRAMES, MAX_NETWORKS, MAX_PORTS};

/// The longest filter; further characters are ignored.
const MAX_FILTER: usize = 64;

/// The least time between snapshots. A page asks once a second, and so gets a new snapshot each
/// time; any number of pages costs at most two snapshots a second.
const PERIOD: Duration = Duration::from_millis(500);

/// The files of the page: route, content type, content.
const SITE: [(&str, &str, &str); 9] = [
    ("/", "text/html; charset=utf-8", include_str!("site/index.html")),
    ("/page/style.css", "text/css; charset=utf-8", include_str!("site/style.css")),
    ("/page/icon.svg", "image/svg+xml", include_str!("site/icon.svg")),
    ("/page/main.js", JAVASCRIPT, include_str!("site/main.js")),
    ("/page/dom.js", JAVASCRIPT, include_str!("site/dom.js")),
    ("/page/rates.js", JAVASCRIPT, include_str!("site/rates.js")),
    ("/page/layout.js", JAVASCRIPT, include_str!("site/layout.js")),
    ("/page/picture.js", JAVASCRIPT, include_str!("site/picture.js")),
    ("/page/tables.js", JAVASCRIPT, include_str!("site/tables.js")),
];
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The headers of every response.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// The headers that proxies add to a request.
const PROXY_HEADERS: [&str; 5] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

#[derive(Clone)]
struct Page {
    snapshots: Arc<SnapshotCache>,
    /// Why the contents of frames are left out for all clients.
    withheld: Option<Arc<str>>,
}

/// Makes the router of the page, which is served at `address` beside the metrics. `frames` is
/// whether the configuration allows contents of dropped frames.
pub(super) fn router(control: Control, address: Option<SocketAddr>, frames: bool) -> Router {
    let is_loopback = address.is_some_and(|address| address.ip().is_loopback());
    let withheld = match address {
        _ if !frames => Some("the configuration says `page-frames = false`".into()),
        _ if is_loopback => None,
        Some(address) => {
            let text = format!("other hosts can reach the metrics' address {address}");
            Some(text.into())
        }
        None => Some("the metrics' address is not known".into()),
    };
    let snapshots = Arc::new(SnapshotCache::new(control, PERIOD));
    let page = Page { snapshots, withheld };
    let mut router = Router::new().route("/page.json", get(json));
    for (path, kind, content) in SITE {
        router = router
            .route(path, get(move || async move { ([(header::CONTENT_TYPE, kind)], content) }));
    }
    router.layer(middleware::from_fn_with_state(is_loopback, guard)).with_state(page)
}

/// The query parameters.
#[derive(Deserialize)]
struct PageQuery {
    /// Selects networks by a part of their name or a port's, by VNI, or by a remote VTEP.
    #[serde(default)]
    network: String,
}

async fn json(
    State(page): State<Page>,
    headers: HeaderMap,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let proxied = PROXY_HEADERS.iter().find(|name| headers.contains_key(**name));
    let proxied = proxied.map(|name| format!("the request passed a proxy (`{name}`)").into());
    let withheld = page.withheld.or(proxied);
    let snapshot = page.snapshots.recent().await?;
    let body = run_blocking(move || {
        let filter: String = query.network.trim().chars().take(MAX_FILTER).collect();
        // Rows, numbers and strings always serialize.
        serde_json::to_vec(&View::of(&snapshot, &filter, withheld.as_deref())).unwrap_or_default()
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], body.await?).into_response())
}

/// Refuses other names for a loopback address, and adds the headers.
async fn guard(State(is_loopback): State<bool>, request: Request, next: Next) -> Response {
    let mut response = match requested_host(&request) {
        Some(name) if is_loopback && !is_local(&name) => (
            StatusCode::FORBIDDEN,
            "This page is only for this host. Open it under an IP address or localhost.\n",
        )
            .into_response(),
        _ => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The host in the request.
fn requested_host(request: &Request) -> Option<String> {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or("?"));
    host.or_else(|| request.uri().authority().map(|authority| authority.as_str()))
        .map(str::to_owned)
}

/// Whether a host is an IP address or `localhost`, with or without a port.
fn is_local(host: &str) -> bool {
    let is_address = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    is_address(host) || (is_port && (is_address(name) || name.eq_ignore_ascii_case("localhost")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_local() {
        for local in [
            "127.0.0.1",
            "127.0.0.1:9144",
            "[::1]:9144",
            "::1",
            "[::1]",
            "localhost:80",
            "LOCALHOST",
        ] {
            assert!(is_local(local), "{local}");
        }
        for name in [
            "switch.example",
            "switch.example:9144",
            "127.0.0.1.example",
            "localhost.example",
            "",
            "?",
            "localhost:x",
        ] {
            assert!(!is_local(name), "{name}");
        }
    }

    #[test]
    fn every_file_that_the_page_refers_to_is_served() {
        let files = SITE.map(|(path, _, _)| path);
        for (path, _, content) in SITE {
            for quoted in content.split(['"', '\'']).filter(|text| text.starts_with("/page/")) {
                assert!(files.contains(&quoted), "{path} refers to {quoted}");
            }
            for module in
                content.split('"').filter(|text| text.starts_with("./") && text.ends_with(".js"))
            {
                let wanted = format!("/page/{}", &module[2..]);
                assert!(files.contains(&wanted.as_str()), "{path} imports {module}");
            }
            assert!(!content.contains("https://"), "{path} refers to another host");
            for maker in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
            {
                assert!(!content.contains(maker), "{path} makes HTML from text: {maker}");
            }
        }
    }
}
