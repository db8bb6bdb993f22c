//! The page on the metrics' address: its files, its headers, and its data.

use std::fmt::Write as _;

use serde_json::Value;
use vswitch::api::connections::Limits;
use vswitch::api::page::{MAX_FRAMES, MAX_NETWORKS, MAX_PORTS};
use vswitch::config;

use crate::fake::Fake;
use crate::served::{CONFIG, Served, fake};

const HOST: &str = "127.0.0.1:9144";

fn data(served: &Served, path: &str) -> Value {
    served.page("GET", path, HOST).ok().json()
}

fn rows<'v>(view: &'v Value, list: &str) -> &'v Vec<Value> {
    view[list]["rows"].as_array().unwrap_or_else(|| panic!("{list}: {view}"))
}

#[test]
fn every_file_comes_with_the_headers_that_keep_it_to_itself() {
    let served = Served::default();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page/style.css", "text/css; charset=utf-8"),
        ("/page/main.js", "text/javascript; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
        ("/page.json", "application/json"),
    ] {
        for method in ["GET", "HEAD"] {
            let said = served.page(method, path, HOST).ok();
            assert_eq!(said.header("content-type"), Some(kind), "{method} {path}");
            assert_eq!(said.body.is_empty(), method == "HEAD", "{method} {path}");
            assert_eq!(said.header("x-content-type-options"), Some("nosniff"), "{path}");
            assert_eq!(said.header("referrer-policy"), Some("no-referrer"), "{path}");
            assert_eq!(said.header("cache-control"), Some("no-store"), "{path}");
            assert_eq!(said.header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
            let policy = said.header("content-security-policy").unwrap();
            for part in [
                "default-src 'none'",
                "script-src 'self'",
                "connect-src 'self'",
                "frame-ancestors 'none'",
            ] {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert!(!policy.contains("unsafe"), "{path}: {policy}");
            for absent in ["set-cookie", "access-control-allow-origin"] {
                assert_eq!(said.header(absent), None, "{path}");
            }
        }
    }
}

#[test]
fn nothing_can_be_changed_there() {
    let served = Served::default();
    for path in ["/", "/page.json", "/page/main.js"] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            assert_eq!(served.page(method, path, HOST).status, 405, "{method} {path}");
        }
    }
    for path in ["/v1/ports", "/v1/apply", "/page/", "/page/../page.json", "/page/nothing.js"] {
        assert_eq!(served.page("GET", path, HOST).status, 404, "{path}");
    }
    assert!(served.page("GET", "/metrics", HOST).ok().body.contains("vswitch_generation 1"));
}

#[test]
fn the_data_are_the_apis_rows() {
    let served = Served::default();
    let view = data(&served, "/page.json");
    assert_eq!(view["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(view["generation"], 1);
    assert_eq!(view["ports"]["rows"], served.get("/v1/ports").json());
    assert_eq!(view["workers"], served.get("/v1/workers").json());
    let networks = served.get("/v1/networks").json();
    assert_eq!(rows(&view, "networks").len(), networks.as_array().unwrap().len());
    for (at, (shown, row)) in
        rows(&view, "networks").iter().zip(networks.as_array().unwrap()).enumerate()
    {
        assert_eq!(shown["index"], at);
        for field in ["name", "vni", "vtep", "ports", "remote_vteps", "fdb_entries", "drops"] {
            assert_eq!(shown[field], row[field], "{field}");
        }
    }
    let vteps = served.get("/v1/vteps").json();
    let (shown, row) = (&rows(&view, "vteps")[0], &vteps[0]);
    assert_eq!(shown["address"], row["address"]);
    assert_eq!(shown["unresolved"], 1);
    for field in ["address", "networks", "next_hop", "state", "reason"] {
        assert_eq!(shown["remotes"]["rows"][0][field], row["remotes"][0][field], "{field}");
    }
    // Tenants `a` and `b`, as the switch in memory counts.
    assert_eq!(view["totals"]["tenants"]["receive_packets"], 2);
    assert_eq!(view["totals"]["uplinks"]["transmit_packets"], 2);
}

#[test]
fn on_a_loopback_address_dropped_frames_are_decoded() {
    let served = Served::default();
    let view = data(&served, "/page.json");
    let frames = &view["frames"];
    assert_eq!(frames["withheld"], Value::Null);
    let kept = served.get("/v1/drops/frames").json();
    let kept = kept.as_array().unwrap();
    assert_eq!(frames["count"], kept.len());
    let shown = frames["rows"].as_array().unwrap();
    assert!(!shown.is_empty() && shown.len() <= MAX_FRAMES);
    for (frame, row) in shown.iter().zip(kept.iter().rev()) {
        for field in ["unix_micros", "reason", "port", "network", "len", "summary"] {
            assert_eq!(frame[field], row[field], "{field}");
        }
        assert!(frame["summary"].as_str().unwrap().contains("02:00:00:00:00:01"), "{frame}");
    }
}

#[test]
fn on_any_other_address_what_frames_say_is_left_out() {
    let served = Served::at("0.0.0.0:0", fake(), Limits::default(), None);
    let said = served.page("GET", "/page.json", "switch.example").ok();
    assert!(
        !said.body.contains("02:00:00:00:00:01"),
        "the sender of a dropped frame: {}",
        said.body
    );
    let view = said.json();
    assert!(view["frames"]["withheld"].as_str().unwrap().contains("0.0.0.0"), "{view}");
    let frames = view["frames"]["rows"].as_array().unwrap();
    assert!(!frames.is_empty());
    for frame in frames {
        assert_eq!(frame["summary"], Value::Null);
        assert!(frame["reason"].is_string() && frame["len"] == 60, "{frame}");
    }
}

#[test]
fn what_frames_say_is_left_out_if_the_configuration_says_so() {
    let text = format!("[api]\npage-frames = false\n{CONFIG}");
    let served = Served::new(Fake::new(config::parse("test.toml", &text).unwrap()));
    let view = data(&served, "/page.json");
    assert!(view["frames"]["withheld"].as_str().unwrap().contains("page-frames"), "{view}");
    assert_eq!(view["frames"]["rows"][0]["summary"], Value::Null);
}

/// A reverse proxy on this host asks over loopback for anybody.
#[test]
fn what_frames_say_is_not_told_through_a_proxy() {
    let served = Served::default();
    for header in ["Forwarded: for=203.0.113.9", "x-forwarded-for: 203.0.113.9", "Via: 1.1 proxy"] {
        let said = served.page_with("GET", "/page.json", HOST, &format!("{header}\r\n")).ok();
        assert!(!said.body.contains("02:00:00:00:00:01"), "{header}: {}", said.body);
        assert!(said.json()["frames"]["withheld"].as_str().unwrap().contains("proxy"), "{header}");
    }
}

#[test]
fn what_is_unaccounted_for_is_the_whole_switchs() {
    let mut fake = fake();
    fake.unaccounted = 3;
    let view = data(&Served::new(fake), "/page.json");
    assert_eq!(view["totals"]["unaccounted"], 3);
    assert_eq!(view["workers"][0]["unaccounted"], 0);
}

/// DNS rebinding: a page from `elsewhere.example` whose name comes to mean 127.0.0.1 asks as that
/// name.
#[test]
fn somebody_elses_name_for_this_host_is_refused() {
    let served = Served::default();
    for host in ["elsewhere.example", "elsewhere.example:9144", "127.0.0.1.elsewhere.example", ""] {
        for path in ["/", "/page.json"] {
            let said = served.page("GET", path, host);
            assert_eq!(said.status, 403, "{host} {path}");
            assert!(said.header("content-security-policy").is_some());
        }
    }
    for host in ["127.0.0.1", "localhost:9144", "[::1]:9144"] {
        served.page("GET", "/page.json", host).ok();
    }
    // Prometheus may know us by any name.
    served.page("GET", "/metrics", "elsewhere.example").ok();
}

/// So many networks; the first have a port and 20 of 60 remote VTEPs each, the others one remote
/// VTEP.
fn large(networks: usize, ports: usize) -> Fake {
    let mut text = String::from(
        "[[port]]\nname = \"uplink\"\ndevice = \"net_null0\"\n[[vtep]]\nname = \"fabric\"\nport = \"uplink\"\n\
         address = \"198.51.100.1/24\"\nhost-interface = \"vtep0\"\n",
    );
    for n in 0..networks {
        if n < ports {
            let _ = writeln!(text, "[[port]]\nname = \"port-{n}\"\ndevice = \"net_null{}\"", n + 1);
        }
        let remotes: Vec<_> = (0..if n < ports { 20 } else { 1 })
            .map(|k| format!("\"198.51.100.{}\"", 2 + k + n % 3 * 20))
            .collect();
        let _ = writeln!(
            text,
            "[[network]]\nname = \"network-{n}\"\nvni = {}\nvtep = \"fabric\"\nremote-vteps = [{}]",
            n + 1,
            remotes.join(", "),
        );
        if n < ports {
            let _ = writeln!(text, "[[network.port]]\nport = \"port-{n}\"");
        }
    }
    Fake::new(config::parse("large.toml", &text).unwrap())
}

#[test]
fn ten_thousand_networks_are_an_answer_that_a_browser_can_show() {
    let served = Served::new(large(10_000, 255));
    let said = served.page("GET", "/page.json", HOST).ok();
    assert!(said.body.len() < 500_000, "{} bytes", said.body.len());
    let view = said.json();
    assert_eq!(
        (view["networks"]["count"].as_u64(), rows(&view, "networks").len()),
        (Some(10_000), MAX_NETWORKS)
    );
    assert_eq!(
        (view["ports"]["count"].as_u64(), rows(&view, "ports").len()),
        (Some(256), MAX_PORTS)
    );
    for network in rows(&view, "networks") {
        // The switch in memory says that every port has traffic: those are the ones with something
        // going on.
        assert_eq!(network["port_count"], 1, "{network}");
        assert_eq!(network["remote_vtep_count"], 20);
        assert!(network["remote_vteps"].as_array().unwrap().len() < 20);
    }

    let found = data(&served, "/page.json?network=network-9999");
    assert_eq!(
        (found["networks"]["count"].as_u64(), found["networks"]["matching"].as_u64()),
        (Some(10_000), Some(1))
    );
    assert_eq!(rows(&found, "networks")[0]["index"], 9_999);
    assert_eq!(rows(&found, "ports").len(), 1, "the uplink");
    for (filter, matching) in
        [("PORT-254", 1), ("9321", 2), ("198.51.100.60", 85), ("nothing%20such", 0)]
    {
        let found = data(&served, &format!("/page.json?network={filter}"));
        assert_eq!(found["networks"]["matching"], matching, "{filter}");
    }
}

#[test]
fn however_many_look_the_switch_is_asked_twice_a_second() {
    let served = Served::new(fake());
    let began = std::time::Instant::now();
    let mut seen: Vec<_> = (0..60)
        .map(|n| data(&served, &format!("/page.json?network={n}"))["micros"].as_u64().unwrap())
        .collect();
    assert!(seen.is_sorted(), "{seen:?}");
    seen.dedup();
    let most = 2 + began.elapsed().as_millis() / 500;
    assert!(seen.len() as u128 <= most, "{seen:?}");
}

#[test]
fn a_name_is_sent_as_the_name_that_it_is() {
    let name = "<svg\u{2003}onload=alert(1)>\"'&";
    let text = CONFIG.replace("\"spare\"", &serde_json::to_string("<script>alert(1)").unwrap());
    assert!(
        config::parse("test.toml", &text.replace("<script>alert(1)", name)).is_err(),
        "a name with a space"
    );
    let served = Served::new(Fake::new(config::parse("test.toml", &text).unwrap()));
    let said = served.page("GET", "/page.json", HOST).ok();
    assert_eq!(said.header("content-type"), Some("application/json"));
    assert_eq!(rows(&said.json(), "ports")[3]["name"], "<script>alert(1)");
}
