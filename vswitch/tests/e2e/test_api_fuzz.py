"""The API against a fuzzer that knows nothing but its OpenAPI document."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from lib.api import Api
from lib.config import Config, Network, Port, Vtep
from lib.lab import Lab
from lib.netns import run
from lib.switch import ROOT
from lib.wait import until

FUZZER = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target", "tools", "schemathesis", "bin", "schemathesis")
TOKEN = "an-example-that-is-long-enough-for-a-test"


def test_no_server_error_and_no_breach_of_the_contract(lab: Lab, tmp_path: Path) -> None:
    """Every route but the endless ones, with examples, edge cases, random and hostile requests, and sequences."""
    assert FUZZER.exists(), f"{FUZZER} is missing: run scripts/setup"
    certificate, key, token = tmp_path / "certificate.pem", tmp_path / "key.pem", tmp_path / "token"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=vswitch", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate))
    token.write_text(TOKEN)
    for secret in (key, token):
        secret.chmod(0o600)
    namespace = lab.namespace("sw")
    namespace.ip("link set lo up")
    switch = lab.switch(Config(
        ports=[Port("uplink", "net_ring0"), Port("tenant-a", "net_ring1"), Port("tenant-b", "net_ring2")],
        vteps=[Vtep("198.51.100.1/24", mac="02:00:00:00:00:01")],
        networks=[Network("blue", 100, ["tenant-a"], ["198.51.100.2"],
                          macs={"02:00:00:00:00:09": ("port", "tenant-a")})],
        api={"listen": "127.0.0.1:9143", "tls-certificate": str(certificate), "tls-key": str(key),
             "token-file": str(token)},
    ))
    switch.spawn()
    until("metrics answer", lambda: switch.scrape() is not None, seconds=15, every=0.05)
    api = lab.keep(Api(switch.socket))
    first = api.get("/v1/config")
    done = namespace.run(
        str(FUZZER), "--config-file", str(Path(__file__).with_name("schemathesis.toml")), "run",
        "https://127.0.0.1:9143/v1/openapi.json", "-H", f"Authorization: Bearer {TOKEN}", "--tls-verify", "false",
        "--exclude-path", "/v1/events", "--exclude-path", "/v1/capture", "--max-examples", "50", "--request-timeout", "20", "--no-color",
        check=False, timeout=400,
    )
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-2000:]
    api = lab.keep(Api(switch.socket))  # the first connection had to make room
    # It answers as before, and what is left of the configuration is what it says.
    assert api.get("/v1/config")["dpdk"] == first["dpdk"]
    plan = api.ask("POST", "/v1/plan", api.get("/v1/config"))
    assert plan.status == 200 and plan.json["steps"] == [], plan
    switch.idle_mbufs = float("inf")
