//! The page on the metrics' address: a picture of the overlay with live rates, the drops with their meaning, and the
//! frames that were dropped last. It shows, and changes nothing.
//!
//! | file | what it owns |
//! |---|---|
//! | `mod` | the routes, and the headers that keep a browser from doing anything else |
//! | `seen` | the switch as it was a moment ago, the same for everybody who looks |
//! | `view` | what of that is sent, and never more than a browser can show |
//! | `site/` | the page itself: HTML, CSS and modules of JavaScript, as they are |
//!
//! Nothing is built and nothing is fetched from elsewhere: the files in `site/` are in the binary and are served as they
//! stand there. They never make HTML from text, and the browser is told to refuse it if they did (trusted types).
//!
//! # Who may see it
//! Nobody has to say who they are, as with the metrics. So contents of tenants' frames are sent only if the
//! address is a loopback one, the configuration does not forbid it, and no proxy says that it asks for somebody else; and
//! then only to a browser that was given an address or `localhost`: a name that
//! somebody else's DNS leads here would let their pages read ours.
//!
//! Runs as tasks on the control thread; answers are written on a thread of the runtime's pool.

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

use super::control::{Control, aside};
use super::problem::Problem;
use snapshot::SnapshotCache;
use view::View;

pub use view::{MAX_FRAMES, MAX_NETWORKS, MAX_PORTS};

/// A longer filter selects what its beginning selects.
const MAX_FILTER: usize = 64;

/// What of the switch is older is asked for anew. Less than the page's second, so that each of its
/// questions has an answer of its own, and however many look cost no more than two.
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

/// What every answer of the page carries.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// What a proxy adds to a request that it passes on.
const OF_PROXIES: [&str; 5] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

#[derive(Clone)]
struct Page {
    snapshots: Arc<SnapshotCache>,
    /// Why nobody is told what frames say.
    withheld: Option<Arc<str>>,
}

/// The routes of the page, to be served at `address` beside the metrics; `frames`: whether the configuration lets it
/// tell what dropped frames say.
pub(super) fn router(control: Control, address: Option<SocketAddr>, frames: bool) -> Router {
    let is_of_this_host = address.is_some_and(|address| address.ip().is_loopback());
    let withheld = match address {
        _ if !frames => Some("the configuration says `page-frames = false`".into()),
        _ if is_of_this_host => None,
        Some(address) => {
            let text = format!("the metrics' address, {address}, can be reached from other hosts");
            Some(text.into())
        }
        None => Some("the system does not tell the metrics' address".into()),
    };
    let snapshots = Arc::new(SnapshotCache::new(control, PERIOD));
    let page = Page { snapshots, withheld };
    let mut router = Router::new().route("/page.json", get(json));
    for (path, kind, content) in SITE {
        router = router
            .route(path, get(move || async move { ([(header::CONTENT_TYPE, kind)], content) }));
    }
    router.layer(middleware::from_fn_with_state(is_of_this_host, guard)).with_state(page)
}

/// What may be asked for.
#[derive(Deserialize)]
struct Params {
    /// Only networks with this in their names, with this VNI, port or remote VTEP.
    #[serde(default)]
    network: String,
}

async fn json(
    State(page): State<Page>,
    headers: HeaderMap,
    Query(params): Query<Params>,
) -> Result<Response, Problem> {
    let proxied = OF_PROXIES.iter().find(|name| headers.contains_key(**name));
    let proxied = proxied.map(|name| format!("a proxy asks for somebody else (`{name}`)").into());
    let withheld = page.withheld.or(proxied);
    let snapshot = page.snapshots.recent().await?;
    let body = aside(move || {
        let filter: String = params.network.trim().chars().take(MAX_FILTER).collect();
        // Rows, numbers and strings: writing them cannot fail.
        serde_json::to_vec(&View::of(&snapshot, &filter, withheld.as_deref())).unwrap_or_default()
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], body.await?).into_response())
}

/// Refuses names that could be anybody's, and adds the headers.
async fn guard(State(is_of_this_host): State<bool>, request: Request, next: Next) -> Response {
    let mut response = match named(&request) {
        Some(name) if is_of_this_host && !is_plain(&name) => (
            StatusCode::FORBIDDEN,
            "This page shows what only this host may see. Ask for it by an IP address or as localhost, not by another name.\n",
        )
            .into_response(),
        _ => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The host that the request was meant for.
fn named(request: &Request) -> Option<String> {
    let said = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or("?"));
    said.or_else(|| request.uri().authority().map(|authority| authority.as_str()))
        .map(str::to_owned)
}

/// Whether it is an address or `localhost`, with or without a port.
fn is_plain(host: &str) -> bool {
    let is_address = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    is_address(host) || (is_port && (is_address(name) || name.eq_ignore_ascii_case("localhost")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_nobody_elses_name() {
        for plain in [
            "127.0.0.1",
            "127.0.0.1:9144",
            "[::1]:9144",
            "::1",
            "[::1]",
            "localhost:80",
            "LOCALHOST",
        ] {
            assert!(is_plain(plain), "{plain}");
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
            assert!(!is_plain(name), "{name}");
        }
    }

    #[test]
    fn every_file_that_is_named_in_the_page_is_served() {
        let files = SITE.map(|(path, _, _)| path);
        for (path, _, content) in SITE {
            for quoted in content.split(['"', '\'']).filter(|text| text.starts_with("/page/")) {
                assert!(files.contains(&quoted), "{path} wants {quoted}");
            }
            for module in
                content.split('"').filter(|text| text.starts_with("./") && text.ends_with(".js"))
            {
                let wanted = format!("/page/{}", &module[2..]);
                assert!(files.contains(&wanted.as_str()), "{path} imports {module}");
            }
            assert!(!content.contains("https://"), "{path} leads elsewhere");
            for maker in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
            {
                assert!(!content.contains(maker), "{path} makes HTML from text: {maker}");
            }
        }
    }
}
