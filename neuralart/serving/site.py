"""What is at which address of the server; docs/serve.md lists them."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from neuralart.machine.words import short
from neuralart.serving.browser_page import BrowserPage
from neuralart.serving.catalogue import Catalogue
from neuralart.serving.easel import MOST_BYTES, MOST_PIXELS, Easel, Order, open_upload
from neuralart.serving.guard import Refusal
from neuralart.serving.server import Answer, Request
from neuralart.serving.watching import WatchedRun
from neuralart.serving.workbench import Workbench

PAGES = Path(__file__).parent / "pages"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".onnx": "application/octet-stream",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}

# The page of `export --format web` has a policy of its own in its HTML. With these two headers it
# may use threads.
_PAGE_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


class Site:
    """Answers requests; `respond` may be called by several threads at once."""

    def __init__(
        self,
        catalogue: Catalogue,
        easel: Easel,
        page: BrowserPage,
        run: WatchedRun | None,
        workbench: Workbench,
    ) -> None:
        self._catalogue, self._easel, self._workbench = catalogue, easel, workbench
        self._page, self._run = page, run
        self._files: dict[str, Path] = {path.name: path for path in PAGES.iterdir()}
        self._fixed: dict[str, Callable[[], Answer]] = {
            "/": lambda: self._own("index.html"),
            "/about.json": lambda: _json(self._about()),
        }
        if run is not None:
            self._fixed |= {
                "/run/": lambda: self._own("run.html"),
                "/run/state.json": lambda: _json(run.state()),
                "/run/curves.json": lambda: _json(run.curves()),
                "/run/evaluation.json": lambda: _json({"html": run.evaluation()}),
            }

    def respond(self, request: Request) -> Answer:
        """The answer. Raises Refusal."""
        path = request.path
        if path == "/paint":
            if request.method != "POST":
                raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "POST a photo to /paint")
            return self._paint(request)
        if request.method == "POST":
            raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "only /paint takes a POST")
        if path in self._fixed:
            return self._fixed[path]()
        found = self._below(path)
        if found is None:
            raise Refusal(HTTPStatus.NOT_FOUND, f"nothing at {short(path, 100)}")
        return found

    def _below(self, path: str) -> Answer | None:
        """A file below one of the folders; None if there is none of that exact name."""
        folder, _, name = path.removeprefix("/").partition("/")
        if folder == "assets" and name in self._files:
            return self._own(name)
        if folder == "thumbnails":
            return self._thumbnail(name)
        if folder == "page":
            file = self._page.file(name or "index.html")
            return None if file is None else _file(file, _PAGE_HEADERS)
        if folder == "run" and self._run is not None:
            data = self._run.picture(name.removeprefix("samples/"))
            if data is not None:
                return Answer(_TYPES[Path(name).suffix], data)
        return None

    def _own(self, name: str) -> Answer:
        return _file(self._files[name], {})

    def _about(self) -> dict[str, Any]:
        return {
            "models": self._catalogue.facts(),
            "most_bytes": MOST_BYTES,
            "most_pixels": MOST_PIXELS,
            "page": self._page.can_be_written,
            "run": self._run is not None,
        }

    def _thumbnail(self, name: str) -> Answer | None:
        model, _, index = name.partition("/")
        served = self._catalogue.models.get(model)
        if served is None or not (index.isascii() and index.isdigit() and len(index) < 6):
            return None
        styles = served.chain.styles
        if int(index) >= len(styles) or not styles[int(index)].thumbnail:
            return None
        return Answer("image/png", styles[int(index)].thumbnail)

    def _paint(self, request: Request) -> Answer:
        order = Order.of(request.parameters, self._catalogue)
        with self._workbench.place():
            file = open_upload(request.read(MOST_BYTES))
            try:
                media, data = self._workbench.do(
                    lambda: self._easel.paint(file, order), request.is_there
                )
            finally:
                file.close()
        return Answer(media, data)


def _json(data: Any) -> Answer:
    return Answer("application/json", json.dumps(data).encode())


def _file(path: Path, headers: dict[str, str]) -> Answer:
    return Answer(_TYPES.get(path.suffix, "application/octet-stream"), path.read_bytes(), headers)
