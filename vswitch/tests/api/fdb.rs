//! The FDB in pages, selected, and forgotten.

use serde_json::{Value, json};
use vswitch::cli::client::Client;
use vswitch::control::events::Whereabouts;
use vswitch::control::rows::FdbRow;
use vswitch::ids::MacAddr;

use crate::served::{Said, Served, fake};

/// Entries of each of the two networks that were learned.
const LEARNED: u64 = 700;

fn served() -> Served {
    let mut fake = fake();
    for n in 0..LEARNED {
        // In no order.
        let mac = MacAddr::from_u64(0x0200_0000_1000 + n * 331 % LEARNED);
        let port = |name: &str| Whereabouts { port: Some(name.to_owned()), remote_vtep: None };
        let remote =
            Whereabouts { port: None, remote_vtep: Some(format!("198.51.100.{}", 2 + n % 2)) };
        fake.learn(("red".to_owned(), mac, port("b")));
        fake.learn(("blue".to_owned(), mac, if n % 7 == 0 { port("a") } else { remote }));
    }
    Served::new(fake)
}

fn next(said: &Said) -> Option<String> {
    let link = said.header("link")?;
    let path = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
    Some(path.unwrap_or_else(|| panic!("{link}")).to_owned())
}

/// All pages, and how many.
fn all(served: &Served, path: &str) -> (Vec<FdbRow>, usize) {
    let (mut rows, mut pages, mut path) = (Vec::new(), 0, Some(path.to_owned()));
    while let Some(this) = path {
        let said = served.get(&this).ok();
        rows.extend(serde_json::from_str::<Vec<FdbRow>>(&said.body).unwrap());
        path = next(&said);
        pages += 1;
    }
    (rows, pages)
}

#[test]
fn pages_have_every_entry_once_and_in_order() {
    let served = served();
    let (rows, pages) = all(&served, "/v1/fdb?limit=100");
    assert_eq!((rows.len(), pages), (1401, 15));
    let order: Vec<_> = rows.iter().map(|row| (row.vni, row.mac.clone())).collect();
    let mut sorted = order.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(order, sorted);
    assert_eq!(all(&served, "/v1/fdb").1, 2, "the default is a thousand");
    assert_eq!(all(&served, "/v1/fdb?limit=10000"), (rows, 1));
}

#[test]
fn conditions_hold_on_every_page() {
    let served = served();
    let count = |query: &str, is_right: &dyn Fn(&FdbRow) -> bool| {
        let (rows, _) = all(&served, &format!("/v1/fdb?limit=50&{query}"));
        assert!(rows.iter().all(is_right), "{query}: {rows:?}");
        rows.len()
    };
    assert_eq!(count("network=red", &|row| row.network == "red"), 700);
    assert_eq!(count("kind=static", &|row| row.age_secs.is_none()), 1);
    assert_eq!(count("kind=learned", &|row| row.age_secs.is_some()), 1400);
    assert_eq!(count("port=a", &|row| row.port.as_deref() == Some("a")), 100);
    assert_eq!(count("port=spare", &|_| false), 0);
    let remote = |row: &FdbRow| row.remote_vtep.as_deref() == Some("198.51.100.3");
    assert_eq!(count("remote-vtep=198.51.100.3&network=blue", &remote), 300);
    assert_eq!(count("mac=02:00:00:00:10:05", &|row| row.mac == "02:00:00:00:10:05"), 2);
    assert_eq!(count("mac=02:00:00:00:10:05&network=red&kind=static", &|_| false), 0);
}

#[test]
fn the_command_line_follows_the_pages() {
    let served = served();
    let client = Client::new(&served.path).unwrap();
    let pages = client.list("/v1/fdb?limit=99", || {}).unwrap();
    let (rows, _) = all(&served, "/v1/fdb");
    assert_eq!(serde_json::from_str::<Vec<FdbRow>>(&pages).unwrap(), rows);
    let ports = client.list("/v1/ports", || {}).unwrap();
    assert_eq!(ports, served.get("/v1/ports").body);
}

#[test]
fn learned_entries_are_forgotten_and_static_ones_stay() {
    let served = served();
    let flush =
        |query: &str| served.ask("POST", &format!("/v1/fdb/flush{query}"), &[], "").ok().json();
    let flushed = |count: u64| json!({ "flushed": count });
    assert_eq!(flush("?mac=02:00:00:00:00:09"), flushed(0));
    assert_eq!(flush("?mac=02:00:00:00:10:05&network=red"), flushed(1));
    assert_eq!(flush("?port=a"), flushed(100));
    assert_eq!(flush("?remote-vtep=198.51.100.2"), flushed(300));
    assert_eq!(flush("?network=red"), flushed(699));
    assert_eq!(flush(""), flushed(300));
    let left: Value = served.get("/v1/fdb").ok().json();
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(left[0]["kind"], "static");
    assert_eq!(served.get("/v1/config").ok().etag(), "\"1\"", "no configuration was changed");
}
