"""The page on the metrics' address, in a real browser beside a running switch."""

from __future__ import annotations

import re
from typing import Callable

import pytest
from lib.browser import Browser
from lib.config import Config, Network, Port
from lib.lab import Lab, af_packet, overlay_config
from lib.overlay import OTHER_REMOTE, REMOTE, experimental, probe, resolve, start, uplink_to_probe
from lib.switch import Switch
from lib.tenant import Tenant
from lib.wait import until

URL = "http://127.0.0.1:9144/"
LOST_REMOTE = "198.51.100.77"
"""A remote VTEP that nobody is."""

LOCAL_MAC, NEAR_MAC, FAR_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:fa"

HOSTILE_PORT = "<script>window.pwned=1<!--"
HOSTILE_NETWORK = "'\"><iframe><b>&amp;"
"""Names may have all that is neither space nor slash."""

Open = Callable[..., Browser]


@pytest.fixture
def browse(lab: Lab, tmp_path) -> Open:
    """Opens the page in a browser of its own, beside the switch."""

    def opened(url: str = URL, **options) -> Browser:
        return lab.keep(Browser(lab.namespace("sw").name, tmp_path / "profile", **options)).open(url)

    return opened


def two_tenants(lab: Lab) -> tuple[Config, Tenant, Tenant]:
    """Network `blue` to three remote VTEPs, one of which nobody is, and a network of this host with hostile names."""
    uplink_to_probe(lab, remotes=(REMOTE, OTHER_REMOTE))
    local = lab.local_tenant("ta", "a", "203.0.113.10", LOCAL_MAC)
    near = lab.local_tenant("tb", "b", "203.0.113.11", NEAR_MAC)
    lab.local_tenant("tc", "c", "203.0.113.12", "02:00:00:00:00:0c")
    config = overlay_config([REMOTE, OTHER_REMOTE, LOST_REMOTE], tenant_device=af_packet(1, "ta"))
    config.ports += [Port("tenant-b", af_packet(2, "tb")), Port(HOSTILE_PORT, af_packet(3, "tc"))]
    config.networks[0].ports.append("tenant-b")
    config.networks.append(Network(HOSTILE_NETWORK, 300, [HOSTILE_PORT], vtep=None))
    return config, local, near


@pytest.fixture
def running(lab: Lab) -> tuple[Switch, Tenant, Tenant]:
    config, local, near = two_tenants(lab)
    return start(lab, config), local, near


def pps(text: str) -> float:
    """The first rate in a text; -1 if there is none."""
    found = re.search(r"([\d.]+) ([kMGT]?)pps", text)
    return float(found[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[found[2]] if found else -1.0


def drawn(browser: Browser) -> set[str]:
    return set(browser.attributes("#picture [data-key]", "data-key"))


def kept_to_itself(browser: Browser) -> None:
    """No complaint, and nobody else was asked."""
    assert browser.complaints() == []
    asked = browser.requests()
    assert asked and all(url.startswith(URL) for url in asked), asked
    for kind in ("script", "link", "img", "iframe"):
        for source in browser.script(
            "return [...document.querySelectorAll(arguments[0])].map((e) => e.src || e.href)", kind
        ):
            assert source.startswith(URL), source


def test_the_picture_has_everything_and_nothing_runs_from_names(running, browse: Open) -> None:
    switch, _, _ = running
    browser = browse()
    browser.until_text("#state-text", lambda text: text == "live")
    wanted = {f"port {row['name']}" for row in switch.show("ports")}
    wanted |= {f"network {row['name']}" for row in switch.show("networks")}
    wanted |= {"vtep fabric"} | {f"remote fabric {address}" for address in (REMOTE, OTHER_REMOTE, LOST_REMOTE)}
    assert drawn(browser) == wanted
    assert len(wanted) == 4 + 2 + 1 + 3

    # Hostile names are read as they are, in the picture and in the tables, and are nothing but text.
    texts = browser.texts("#picture text")
    assert HOSTILE_NETWORK in texts, texts
    assert any(text.startswith("<script>window") for text in texts), "a long name is cut"
    assert HOSTILE_PORT in browser.texts("#ports-table th")
    assert browser.script("return window.pwned ?? null") is None
    assert browser.script("return document.querySelectorAll('iframe, b, script:not([src])').length") == 0
    kept_to_itself(browser)

    # The keyboard reaches each part, and it says what it is.
    browser.script("document.getElementById('filter').focus()")
    reached = set()
    for _ in wanted:
        browser.press("\ue004")  # Tab
        reached.add(browser.script("return document.activeElement.getAttribute('data-key')"))
    assert reached == wanted
    labels = browser.attributes("#picture [data-key]", "aria-label")
    assert all(labels) and len(set(labels)) == len(wanted), labels
    browser.script("document.querySelector('[data-key=\"network blue\"]').focus()")
    said = browser.until_text("#details", lambda text: "Network blue" in text)
    assert "198.51.100.2" in said and "100" in said

    # The filter, on a desk and on a phone.
    browser.type("#filter", "300")
    browser.until_text("#overlay-count", lambda text: text == "1 of 2 networks")
    assert "network blue" not in drawn(browser) and f"network {HOSTILE_NETWORK}" in drawn(browser)
    browser.type("#filter", "no such")
    browser.until_text("#overlay-count", lambda text: "no network matches" in text)
    browser.type("#filter", "blue")
    browser.until_text("#overlay-count", lambda text: text == "1 of 2 networks")
    for width, height in ((390, 844), (1280, 800), (820, 1180)):
        browser.resize(width, height)
        browser.until_text("#state-text", lambda text: text == "live")
        assert browser.script("return document.documentElement.scrollWidth") <= width
        sizes = browser.script("return [...document.querySelectorAll('#picture text')].map((e) => e.getBoundingClientRect())"
                               ".map((r) => [r.left, r.right, r.height])")
        assert all(0 <= left and right <= width and height >= 11 for left, right, height in sizes), (width, sizes)
    kept_to_itself(browser)


def test_rates_rise_with_traffic_and_fall_to_zero(running, browse: Open) -> None:
    _, local, near = running
    local.reaches(near)
    browser = browse()
    browser.until_text("#state-text", lambda text: text == "live")
    row = "tr[data-row='port tenant-a'] td:nth-of-type(3)"
    tile, wire = "[data-tile='tenants receive'] strong", "[data-wire='wire port tenant-a'] .rate"
    pinging = local.namespace.popen("ping", "-nq", "-i", "0.02", near.address, stdout=-3, stderr=-3)
    try:
        said = browser.until_text(row, lambda text: pps(text) > 20)
        assert pps(said) < 120, f"50 requests, and what ARP needs: {said}"
        browser.until_text(tile, lambda text: pps(text) > 40)
        assert any(pps(text) > 20 for text in browser.texts(wire)), browser.texts(wire)
    finally:
        pinging.kill()
        pinging.wait()
    browser.until_text(row, lambda text: text == "0 pps", seconds=20)
    browser.until_text(tile, lambda text: text == "0 pps", seconds=20)
    assert all("0 pps" in text for text in browser.texts(wire)), browser.texts(wire)
    kept_to_itself(browser)


def test_a_drop_appears_with_its_meaning_and_its_frame(lab: Lab, running, browse: Open) -> None:
    switch, local, _ = running
    far = probe(lab)
    resolve(switch, local, far, (REMOTE, OTHER_REMOTE))
    browser = browse()
    browser.until_text("#state-text", lambda text: text == "live")
    assert "unknown_vni" not in browser.text("#drops-table")

    hostile = b"<img src=x onerror=window.pwned=1>"
    far.sender.send(far.wrap(experimental(LOCAL_MAC, FAR_MAC, hostile), vni=4242))
    row = "tr[data-row='drop unknown_vni uplink ']"
    said = browser.until_text(row, lambda text: "unknown_vni" in text)
    [drop] = [d for d in switch.show("drops") if d["reason"] == "unknown_vni" and d["packets"]]
    assert drop["help"] in said and "uplink" in said
    browser.until_text(row, lambda text: "0 pps" in text and "▲" not in text)
    far.sender.send(*[far.wrap(experimental(LOCAL_MAC, FAR_MAC, hostile), vni=4242) for _ in range(50)])
    browser.until_text(row, lambda text: "▲" in text)
    browser.until_text("#drops-count", lambda text: "none rising" in text, seconds=20)
    assert "51" in browser.text(row)

    frames = browser.until_text("#frames-table", lambda text: "VXLAN 4242" in text)
    assert f"{FAR_MAC} → {LOCAL_MAC}" in frames and REMOTE in frames
    assert browser.script("return window.pwned ?? null") is None

    # The remote VTEP that nobody is: in the picture, and why, as the API has it.
    [vtep] = switch.show("vteps")
    [lost] = [remote for remote in vtep["remotes"] if remote["address"] == LOST_REMOTE]
    assert lost["state"] == "unresolved"
    tunnel = browser.text(f"tr[data-row='fabric {LOST_REMOTE}']")
    assert "✕ unresolved" in tunnel and lost["reason"] in tunnel
    assert "✕ unresolved" in browser.texts(f"[data-key='remote fabric {LOST_REMOTE}'] text")
    assert "✓ resolved" in browser.texts(f"[data-key='remote fabric {REMOTE}'] text")
    unresolved = browser.texts("[data-wire] .wire.unresolved ~ .cross")
    assert unresolved == ["✕"]
    kept_to_itself(browser)


def test_a_switch_that_stops_is_said_to_have_stopped(running, browse: Open) -> None:
    switch, _, _ = running
    browser = browse()
    browser.until_text("#state-text", lambda text: text == "live")
    browser.until_text("[data-tile='tenants receive'] strong", lambda text: pps(text) >= 0)
    assert browser.text("#banner") == ""
    kept_to_itself(browser)
    switch.stop(within=3.0)
    said = browser.until_text("#banner", lambda text: text)
    assert re.match(r"No answer since \d\d:\d\d:\d\d\. That was \d+ s ago", said), said
    assert browser.text("#state-text") == "no answer"
    browser.until_text("[data-tile='tenants receive'] strong", lambda text: text == "–")
    assert "network blue" in drawn(browser), "what was known is still shown"

    switch.start()
    browser.until_text("#state-text", lambda text: text == "live")
    browser.until_text("[data-tile='tenants receive'] strong", lambda text: pps(text) >= 0)
    assert browser.text("#banner") == ""
    told = [line for line in browser.complaints() if "ERR_CONNECTION_REFUSED" not in line and "page.json" not in line]
    assert told == []


def test_an_answer_that_cannot_be_shown_is_said_and_is_not_the_end(running, browse: Open) -> None:
    browser = browse()
    browser.until_text("#state-text", lambda text: text == "live")
    kept_to_itself(browser)
    # The switch's answers, altered on their way.
    browser.script("""
        const ask = window.fetch;
        window.altered = {ports: null};
        window.fetch = async (...what) => {
            const said = await (await ask(...what)).json();
            return new Response(JSON.stringify({...said, ...window.altered}));
        };
    """)
    said = browser.until_text("#banner", lambda text: text)
    assert "not what this page understands" in said, said
    assert browser.text("#state-text") == "not understood"
    assert "network blue" in drawn(browser), "what was known is still shown"
    browser.script("window.altered = null")
    browser.until_text("#state-text", lambda text: text == "not understood")
    browser.script("window.altered = {}")
    browser.until_text("#state-text", lambda text: text == "live")
    assert browser.text("#banner") == ""

    # Another version has other files: the page loads itself anew, and so loses what was put in its way.
    browser.script("window.altered = {version: '99.0.0'}")
    until("the page is loaded anew", lambda: browser.script("return window.altered ?? null") is None)
    browser.until_text("#state-text", lambda text: text == "live")
    assert browser.text("#version") != "99.0.0"
    told = [line for line in browser.complaints() if "TypeError" not in line]
    assert told == []


def test_where_others_can_look_frames_are_left_out(lab: Lab, browse: Open) -> None:
    config, _, _ = two_tenants(lab)
    lab.namespace("sw").ip("addr add 203.0.113.99/32 dev lo")
    config.metrics = "203.0.113.99:9144"
    switch = start(lab, config)
    far = probe(lab)
    far.sender.send(far.wrap(experimental(LOCAL_MAC, FAR_MAC, b"secret"), vni=4242))
    browser = browse("http://203.0.113.99:9144/")
    browser.until_text("#frames-table", lambda text: "unknown_vni" in text)
    said = browser.text("#frames-withheld")
    assert "203.0.113.99:9144" in said and "vswitch show dropped-frames" in said
    assert FAR_MAC not in browser.script("return document.documentElement.outerHTML")
    done = switch.namespace.run("curl", "-s", "http://203.0.113.99:9144/page.json")
    assert FAR_MAC not in done.stdout and "unknown_vni" in done.stdout
    assert browser.complaints() == []


def test_ten_thousand_networks(lab: Lab, browse: Open) -> None:
    """The answer stays small, the switch goes on answering, and the filter finds what is not shown."""
    config, _, _ = two_tenants(lab)
    config.networks += [Network(f"network-{n}", 1000 + n, [], [REMOTE, OTHER_REMOTE]) for n in range(9_998)]
    switch = lab.switch(config)
    switch.spawn()
    until("metrics answer", switch.scrape, seconds=60)
    switch.idle_mbufs = switch.metric("vswitch_mbufs_in_use")
    done = switch.namespace.run(
        "curl", "-s", "-o", "/dev/null", "-w", "%{size_download} %{time_total}", "http://127.0.0.1:9144/page.json"
    )
    size, seconds = (float(word) for word in done.stdout.split())
    assert size < 500_000 and seconds < 2.0, f"{size} bytes after {seconds} s"
    browser = browse()
    browser.until_text("#overlay-count", lambda text: "drawn" in text and "10\u202f000" in text, seconds=30)
    browser.type("#filter", "network-9997")
    browser.until_text("#overlay-count", lambda text: text == "1 of 10\u202f000 networks", seconds=30)
    assert "network network-9997" in drawn(browser)
    kept_to_itself(browser)
