"""Follows `/v1/events`: server-sent events, as a browser reads them."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from .api import connection
from .wait import until


class Events:
    """Everything that happened since it was made."""

    def __init__(self, path: Path):
        self._connection = connection(path, timeout=30)
        self._connection.request("GET", "/v1/events")
        # The head of the answer comes when the switch has us on its list.
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.status
        self._seen: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        name = number = ""
        try:
            for line in self._response:
                field, _, value = line.decode().rstrip("\n").partition(": ")
                if field == "id":
                    number = value
                elif field == "event":
                    name = value
                elif field == "data":
                    data = json.loads(value)
                    assert name == "missed" or (data["kind"], str(data["sequence"])) == (name, number), data
                    self._seen.append({"kind": name, **data})
        except (OSError, ValueError, AttributeError):  # closed
            return

    def seen(self, kind: str = "", **fields: object) -> list[dict[str, Any]]:
        """Those of a kind (`mac-…`: the kinds that begin so) with these values, in order; what counts is left out."""
        return [
            {key: value for key, value in event.items() if key not in ("sequence", "unix_millis")}
            for event in list(self._seen)
            if event["kind"].startswith(kind) and fields.items() <= event.items()
        ]

    def wait(self, kind: str, *, seconds: float = 3.0, **fields: object) -> None:
        until(f"{kind} with {fields}", lambda: self.seen(kind, **fields), seconds=seconds)

    def sequences(self) -> list[int]:
        return [event["sequence"] for event in list(self._seen) if "sequence" in event]

    def close(self) -> None:
        if self._connection.sock is not None:
            self._connection.sock.shutdown(2)
        self._thread.join(timeout=2)
        self._connection.close()
