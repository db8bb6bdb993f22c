"""A real browser in a namespace: Debian's Chromium without a window, driven through its own driver.

Everything happens on one thread that has entered the namespace: what it starts lives there, and so do its sockets.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, TypeVar

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from .netns import enter
from .wait import until

T = TypeVar("T")

_WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


class Browser:
    """One browser with one page, in the namespace of that name. `directory` is its profile's."""

    def __init__(self, namespace: str, directory: Path, *, width: int = 1280, height: int = 800, dark: bool = False):
        self._thread = ThreadPoolExecutor(1, initializer=enter, initargs=(namespace,))
        self._size = (width, height)
        self._dark = dark
        try:
            self._driver = self.do(lambda: self._start(directory))
        except BaseException:
            self._thread.shutdown()
            raise

    def _start(self, directory: Path) -> webdriver.Chrome:
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        # As root there is no sandbox to be had, and /dev/shm may be small.
        for argument in (
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            f"--user-data-dir={directory}",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        driver.set_page_load_timeout(30)
        scheme = "dark" if self._dark else "light"
        driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        # What the browser asked and said for its own first page is not ours.
        driver.get("about:blank")
        for log in ("browser", "performance"):
            driver.get_log(log)
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH})
        return driver

    def do(self, what: Callable[[], T]) -> T:
        """Does something with the driver, on its thread."""
        return self._thread.submit(what).result(timeout=60)

    def close(self) -> None:
        self.do(self._driver.quit)
        self._thread.shutdown()

    # --- what a user does ---------------------------------------------------------------------

    def open(self, url: str) -> "Browser":
        self.resize(*self._size)
        self.do(lambda: self._driver.get(url))
        return self

    def resize(self, width: int, height: int) -> None:
        """The size of the page, in pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.do(lambda: self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics))

    def press(self, key: str) -> None:
        self.do(lambda: self._driver.switch_to.active_element.send_keys(key))

    def type(self, selector: str, text: str) -> None:
        def typed() -> None:
            field = self._driver.find_element("css selector", selector)
            field.clear()
            field.send_keys(text)

        self.do(typed)

    # --- what a user sees ---------------------------------------------------------------------

    def script(self, body: str, *arguments: object) -> Any:
        """The value of a piece of JavaScript, which `return`s it."""
        return self.do(lambda: self._driver.execute_script(body, *arguments))

    def text(self, selector: str) -> str:
        """What can be read in the first element that the selector selects; nothing if there is none or it is hidden."""
        return self.script(
            "const found = document.querySelector(arguments[0]); return found?.checkVisibility() ? found.innerText : ''",
            selector,
        )

    def texts(self, selector: str) -> list[str]:
        return self.script("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector)

    def attributes(self, selector: str, name: str) -> list[str]:
        return self.script(
            "return [...document.querySelectorAll(arguments[0])].map((e) => e.getAttribute(arguments[1]))", selector, name
        )

    def until_text(self, selector: str, wanted: Callable[[str], object], *, seconds: float = 15.0) -> str:
        """Waits until the text of an element is as wanted, and returns it."""

        def is_wanted() -> str | None:
            text = self.text(selector)
            return text if wanted(text) else None

        try:
            return until(f"the text of {selector} is as wanted", is_wanted, seconds=seconds, every=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.text(selector)!r}") from None

    def picture(self) -> bytes:
        """The page as PNG."""
        return self.do(self._driver.get_screenshot_as_png)

    # --- what a user does not see ---------------------------------------------------------------

    def complaints(self) -> list[str]:
        """What the browser has complained about since it was asked last: errors, warnings, breaches of the policy."""
        console = [f"{entry['level']}: {entry['message']}" for entry in self.do(lambda: self._driver.get_log("browser"))]
        return console + self.script("return window.violations.splice(0)")

    def requests(self) -> list[str]:
        """The addresses that the page has asked since it was asked last."""
        entries = self.do(lambda: self._driver.get_log("performance"))
        messages = (json.loads(entry["message"])["message"] for entry in entries)
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
