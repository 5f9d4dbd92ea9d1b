"""For all tests: float32 everywhere, a chat endpoint on this machine, and readers of pages."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import agents.models.options


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps what runs record of this user out of the user's own state."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


Answer = tuple[int, str]


class ChatServer:
    """Notes each request, and answers by calling `answer` on its body.

    `headers` go with every answer; as they are, a refusal asks to be sent again after 1 ms.
    """

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any]], Answer] = lambda body: self.completion("Hi.")
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers = {"retry-after-ms": "1"}
        noted = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                noted.bodies.append(body)
                noted.paths.append(self.path)
                status, text = noted.answer(body)
                self.send_response(status)
                self.send_header("content-type", "application/json")
                for header in noted.headers.items():
                    self.send_header(*header)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *arguments: Any) -> None:
                """Says nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    @staticmethod
    def completion(text: str | None, finish_reason: str = "stop") -> Answer:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason}
        return 200, json.dumps({"id": "1", "object": "chat.completion", "created": 0, "model": "m",
                                "choices": [choice]})  # fmt: skip

    def in_turn(self, *answers: Answer) -> None:
        """Gives these answers one after the other."""
        left = list(answers)
        self.answer = lambda body: left.pop(0)

    def start(self) -> None:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[ChatServer]:
    server = ChatServer()
    server.start()
    yield server
    server.stop()


_VOID = {"meta", "link", "input", "br", "wbr", "col", "hr", "img"}


class Page(HTMLParser):
    """Collects what a browser would make of a page: elements, attributes, texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((tuple(self.open), data))

    def with_class(self, name: str) -> list[dict[str, str]]:
        return [a for _, a in self.elements if name in a.get("class", "").split()]

    def ids(self) -> list[str]:
        return [a["id"] for _, a in self.elements if "id" in a]


@pytest.fixture(scope="session")
def read_page() -> type[Page]:
    """Parses a page of HTML, and fails where an element is not closed."""
    return Page


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    """A real browser."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    found = shutil.which("chromedriver")
    if browser is None or found is None:
        pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=service.Service(found))
    yield driver
    driver.quit()


@pytest.fixture
def open_page(driver: Any) -> Callable[..., Any]:
    """Opens a page at a size, in a colour scheme."""

    def show(url: str, size: tuple[int, int] = (1280, 900), scheme: str = "light") -> Any:
        width, height = size
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )
        driver.get(url)
        return driver

    return show


@pytest.fixture(scope="session")
def find_lowest_contrast() -> Callable[[Any], dict[str, Any]]:
    """Returns WCAG 2's contrast of the word of an open page that has the lowest."""

    def find(page: Any) -> dict[str, Any]:
        lowest: dict[str, Any] = page.execute_script(_CONTRAST)
        return lowest

    return find


@pytest.fixture(scope="session", autouse=True)
def _in_float32() -> Iterator[None]:
    """Laws and golden values hold in float32: a processor that gains by bfloat16 is not asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agents.models.options, "_cpu_flags", set)
        yield


@pytest.fixture(scope="session", autouse=True)
def _with_signals() -> Iterator[None]:
    """A shell that starts the tests in the background has them ignore Ctrl-C; here it counts."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


_CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgb = (color) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = (color) => {
  const [r, g, b] = rgb(color).map((c) => {
    const s = c / 255;
    return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const color = getComputedStyle(one).backgroundColor;
    if (rgb(color)[3] > 0) return color;
  }
};
let lowest = { ratio: 99 };
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
  if (element.closest("script, style, .vh")) continue;
  const style = getComputedStyle(element);
  const ink = element.closest("svg") ? style.fill : style.color;
  const [a, b] = [luminance(ink), luminance(behind(element))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < lowest.ratio) lowest = { ratio, text: walker.currentNode.data, ink };
}
return lowest;
"""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Keeps lone surrogates out of reports, which pytest-xdist sends as UTF-8."""
    report = yield
    report.sections = [(name, _encodable(text)) for name, text in report.sections]
    if report.failed and _encodable(said := str(report.longrepr)) != said:
        report.longrepr = _encodable(said)
    return report


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
