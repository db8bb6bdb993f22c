"""A Prometheus of the test's own: Debian's server, in the switch's namespace, with everything below the test's folder."""

from __future__ import annotations

import http.client
import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlencode

from .netns import Namespace
from .switch import ROOT, Switch
from .wait import until

MONITORING = ROOT / "docs" / "monitoring"
ALERTS = MONITORING / "alerts.yml"
DASHBOARD = MONITORING / "dashboard.json"
LISTEN = ("127.0.0.1", 9190)
TOOLS = ROOT / "target" / "tools"


def tool(name: str) -> str:
    """The path of `prometheus` or `promtool`, which scripts/setup gets from Debian's package."""
    found = shutil.which(name) or shutil.which(name, path=str(TOOLS))
    assert found, f"{name} is missing: run scripts/setup, and put target/tools on PATH"
    return found


def promtool(*arguments: str, stdin: str | None = None) -> str:
    """Runs promtool, which must find nothing wrong; what it said."""
    done = subprocess.run(
        [tool("promtool"), *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


class Prometheus:
    """A server that scrapes one switch once a second, under the alerts that are shipped."""

    def __init__(self, switch: Switch, directory: Path):
        self._namespace: Namespace = switch.namespace
        self._log = directory / "prometheus.log"
        config = directory / "prometheus.yml"
        config.write_text(json.dumps({  # JSON is YAML
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(ALERTS)],
            "scrape_configs": [{"job_name": "vswitch", "static_configs": [{"targets": [switch.config.metrics]}]}],
        }))
        with open(self._log, "wb") as log:
            self._process = self._namespace.popen(
                tool("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={directory}/prometheus",
                f"--web.listen-address={LISTEN[0]}:{LISTEN[1]}", "--log.level=warn",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory,
            )
        try:
            until("Prometheus answers", self._is_ready, seconds=30, every=0.2)
        except AssertionError:
            self.close()
            raise

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            return self._request("/-/ready")[0] == 200
        except OSError:
            return False

    def _request(self, path: str) -> tuple[int, bytes]:
        def get() -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(*LISTEN, timeout=10)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()

        return self._namespace.call(get)

    def ask(self, path: str, **parameters: str) -> dict:
        """What an API call answers."""
        status, body = self._request(f"/api/v1/{path}?{urlencode(parameters)}")
        answer = json.loads(body)
        assert status == 200 and answer["status"] == "success", f"{path} {parameters}: {answer}"
        assert not answer.get("warnings"), answer
        return answer["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The values of an expression now, with their labels; those that are not a number left out."""
        result = self.ask("query", query=expression)["result"]
        values = [(sample["metric"], float(sample["value"][1])) for sample in result]
        return [(labels, value) for labels, value in values if not math.isnan(value)]

    def alerts(self) -> dict[str, dict]:
        """The alerts that fire, by name."""
        return {a["labels"]["alertname"]: a for a in self.ask("alerts")["alerts"] if a["state"] == "firing"}

    def close(self) -> None:
        """Ends the server."""
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10)


def dashboard_panels() -> list[dict]:
    """The panels of the dashboard that show something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def dashboard_queries() -> list[tuple[str, str]]:
    """Every query of the dashboard with its panel's title, as Grafana would ask it for all of everything."""
    asked = []
    for panel in dashboard_panels():
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "10s")
            expression = re.sub(r'"\$(instance|port|network)"', '".*"', expression)
            assert "$" not in expression, f"{panel['title']}: a variable that is not replaced: {expression}"
            asked.append((panel["title"], expression))
    return asked
