"""A terminal that somebody looks at: what a program draws there, and keys for it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
from typing import Callable

import pyte

from .wait import until


class Terminal:
    """Runs a program on a terminal of its own, an emulator of which reads along."""

    def __init__(self, *command: str, columns: int = 120, lines: int = 40):
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self._lock = threading.Lock()
        self.output = b""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._modes = termios.tcgetattr(slave)
        self._slave = slave
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env=os.environ | {"TERM": "xterm-256color", "NO_COLOR": ""},
            preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self.output += data
                self._stream.feed(data)

    def text(self) -> str:
        """What is on the screen now."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self.screen.display)

    def sees(self, what: str, wanted: Callable[[str], bool], seconds: float = 5.0) -> str:
        """Waits until the screen shows what is wanted; what it shows then."""
        until(f"the screen shows {what}", lambda: wanted(self.text()), seconds=seconds)
        return self.text()

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def ends(self, seconds: float = 5.0) -> int:
        """Waits for the program's end: its exit status. The terminal's modes must be as before."""
        status = self.process.wait(timeout=seconds)
        assert termios.tcgetattr(self._slave) == self._modes, "the terminal is left in another mode"
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._slave)
        self._thread.join(timeout=1)
        os.close(self._master)
