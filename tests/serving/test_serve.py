"""``serve`` over HTTP: paintings by value, and everything that is refused."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import fails, run_cli
from PIL import Image as Pillow
from servers import Serving, start

from neuralart.chain.model import load_chain
from neuralart.chain.shipped import shipped, shipped_styles
from neuralart.serving.catalogue import Catalogue
from neuralart.serving.easel import MOST_BYTES


def stylized(serving: Serving, out: Path, *options: object) -> np.ndarray:
    model = serving.folder / "duo.neuralart"
    result = run_cli(
        "stylize", serving.folder / "photo.png", out, "--model", model, *options, "--overwrite"
    )
    assert result.exit_code == 0, result.output
    return np.asarray(Pillow.open(out).convert("RGB"))


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("model=duo", ()),
        ("style=green", ("--style", "green")),
        ("model=duo&style=red%3D0.3,green%3D0.7", ("--style", "red=0.3,green=0.7")),
        ("model=duo&strength=0.3", ("--strength", 0.3)),
        ("model=duo&preserve_colors=1", ("--preserve-colors",)),
        ("model=duo&size=30", ("--size", 30)),
    ],
)
def test_a_painting_is_that_of_stylize(
    serving: Serving, tmp_path: Path, query: str, options: tuple[object, ...]
) -> None:
    photo = (serving.folder / "photo.png").read_bytes()
    reply = serving.ask(f"/paint?{query}", "POST", photo)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "image/png"), reply.body
    expected = stylized(serving, tmp_path / "painting.png", *options)
    assert reply.image.shape == expected.shape
    assert np.abs(reply.image.astype(int) - expected).max() <= 1
    assert np.abs(reply.image.astype(int) - np.resize(128, expected.shape)).max() > 30


def test_the_format_of_a_painting(serving: Serving) -> None:
    photo = (serving.folder / "photo.png").read_bytes()
    reply = serving.ask("/paint?model=duo&format=jpg", "POST", photo)
    assert reply.headers["Content-Type"] == "image/jpeg" and reply.body[:2] == b"\xff\xd8"
    # It is never enlarged.
    assert serving.ask("/paint?model=duo&size=9000", "POST", photo).image.shape == (40, 48, 3)


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("model=nope", 400, "no model nope; there are "),
        ("model=duoo", 400, "did you mean duo?"),
        ("model=duo&style=blue", 400, "style blue: the model has no such style; it has red, green"),
        ("model=duo&style=gren", 400, "did you mean green?"),
        ("model=duo&style=red%3Dx", 400, "is no weight"),
        ("model=duo&style=../secret.style", 400, "name a style of the model"),
        ("strength=2", 400, "strength=2: not a number from 0 to 1"),
        ("strength=nan", 400, "strength=nan"),
        ("size=0", 400, "size=0: not a number of pixels"),
        ("size=1e99", 400, "size=1e99"),
        ("preserve_colors=yes", 400, "not 0 or 1"),
        ("format=exe", 400, "format=exe: not one of jpg, png, webp"),
        ("mask=/etc/passwd", 400, "no parameter mask"),
        ("size=1&size=2", 400, "size is there 2 times"),
        ("%ff%1b=1", 400, ""),
    ],
)
def test_a_wrong_order_is_one_line(serving: Serving, query: str, status: int, words: str) -> None:
    photo = (serving.folder / "photo.png").read_bytes()
    reply = serving.ask(f"/paint?{query}", "POST", photo)
    assert reply.status == status, reply.body
    assert reply.json.keys() == {"error"} and words in reply.json["error"]
    assert reply.body.count(b"\n") == 1 and reply.headers["Content-Type"] == "application/json"


def test_an_upload_that_is_no_picture_or_too_large(serving: Serving) -> None:
    def refused(body: bytes, status: int, words: str) -> None:
        reply = serving.ask("/paint?model=duo", "POST", body)
        assert reply.status == status and words in reply.json["error"], reply.body

    png = (serving.folder / "photo.png").read_bytes()
    refused(b"", 415, "the photo: the file is empty")
    refused(b"not a photo", 415, "the photo: not a picture")
    refused(png[: len(png) // 2], 415, "the photo: cut short or damaged")
    size = (60_000).to_bytes(4, "big")
    header = b"IHDR" + size + size + png[24:29]
    bomb = png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:]
    refused(bomb, 413, "60000x60000, over the limit of 50 megapixels")
    # A larger one is not even read.
    reply = serving.ask("/paint", "POST", b"x" * (MOST_BYTES + 1))
    assert reply.status == 413 and "over the limit of 50 MB" in reply.json["error"]
    claim = {"Content-Length": str(10**15)}
    assert serving.ask("/paint", "POST", b"x", claim).status == 413
    claim = {"Content-Length": "1" * 5000}
    assert serving.ask("/paint", "POST", b"x", claim).status == 413
    assert serving.ask("/paint", "POST", None, {"Content-Length": "-1"}).status == 400
    assert serving.ask("/paint", "POST", None, {"Transfer-Encoding": "chunked"}).status == 411
    # The server goes on.
    assert serving.ask("/paint?model=duo", "POST", png).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:{port}"}, 421),
        ({"Host": "127.0.0.1.evil.example:{port}"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "[::1"}, 421),
        ({"Host": "localhost:{port}"}, 200),
        ({"Host": "[::1]:{port}"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Host": "localhost:{port}", "Origin": "http://127.0.0.1:{port}"}, 403),
    ],
)
def test_foreign_requests_are_refused(
    serving: Serving, headers: dict[str, str], status: int
) -> None:
    given = {name: value.format(port=serving.port) for name, value in headers.items()}
    photo = (serving.folder / "photo.png").read_bytes()
    assert serving.ask("/about.json", headers=given).status == status
    assert serving.ask("/paint?model=duo", "POST", photo, given).status == status


def test_a_request_without_a_host_or_with_two(serving: Serving) -> None:
    def status(text: str) -> int:
        with socket.create_connection(("127.0.0.1", serving.port), timeout=20) as connection:
            connection.sendall(text.encode())
            line = connection.makefile("rb").readline()
        return int(line.split()[1])

    own = f"Host: 127.0.0.1:{serving.port}\r\n"
    assert status(f"GET / HTTP/1.1\r\n{own}\r\n") == 200
    assert status("GET / HTTP/1.1\r\n\r\n") == 400
    assert status(f"GET / HTTP/1.1\r\n{own}Host: evil.example\r\n\r\n") == 400
    assert status(f"GET http://[ HTTP/1.1\r\n{own}\r\n") == 400
    assert status(f"GET / HTTP/9.9\r\n{own}\r\n") == 505
    assert status("nonsense\r\n\r\n") == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_other_methods_are_refused(serving: Serving, method: str) -> None:
    reply = serving.ask("/", method)
    assert reply.status == 405 and reply.headers["Allow"] == "GET, HEAD, POST"
    assert reply.json["error"] == "only GET, HEAD, POST are answered"


def test_only_paint_takes_a_post(serving: Serving) -> None:
    assert serving.ask("/", "POST", b"").status == 405
    assert serving.ask("/paint").status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/assets/../serve.py",
        "/assets/%2e%2e/serve.py",
        "/assets/..%2fserve.py",
        "/page/../../../../etc/passwd",
        "/page//etc/passwd",
        "/page/%2e%2e/duo.neuralart",
        "/run/samples/../config.json",
        "/run/samples/..%2f..%2fphoto.png",
        "/run/config.json",
        "/run/model.neuralart",
        "/run/samples/9-00000001.png",
        "/run/samples/%00",
        "/thumbnails/duo/0",
        "/thumbnails/../0",
        "/nothing",
    ],
)
def test_files_outside_are_unreachable(serving: Serving, path: str) -> None:
    link = serving.folder / "waves" / "samples" / "9-00000001.png"
    with contextlib.suppress(FileExistsError):
        link.symlink_to(serving.folder / "photo.png")
    reply = serving.ask(path)
    assert reply.status == 404 and reply.json["error"].startswith("nothing at /")


def test_every_answer_has_its_headers(serving: Serving) -> None:
    for path in ("/", "/run/", "/about.json", "/assets/paint.js", "/nothing"):
        headers = serving.ask(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
    full, head = serving.ask("/"), serving.ask("/", "HEAD")
    assert head.body == b"" and head.headers["Content-Length"] == str(len(full.body))
    assert not re.search(rb"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", full.body)


def test_what_the_page_is_told(serving: Serving) -> None:
    about = serving.ask("/about.json").json
    assert about["models"][0]["name"] == "duo"
    assert [style["name"] for style in about["models"][0]["styles"]] == ["red", "green"]
    shipped = about["models"][1]
    thumbnail = serving.ask(shipped["styles"][0]["thumbnail"])
    assert thumbnail.headers["Content-Type"] == "image/png" and min(thumbnail.image.shape[:2]) == 96
    assert about["run"] is True and about["most_bytes"] == MOST_BYTES


def test_the_page_that_paints_in_the_browser(serving: Serving) -> None:
    if not serving.ask("/about.json").json["page"]:
        assert serving.ask("/page/").status == 404
        pytest.skip("run scripts/install_web first")
    page = serving.ask("/page/")
    assert page.status == 200 and b"Content-Security-Policy" in page.body
    assert page.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    models = serving.ask("/page/models/models.json").json["models"]
    assert "duo.onnx" in [model["file"] for model in models]
    assert serving.ask("/page/models/duo.onnx").status == 200


def test_the_run(serving: Serving) -> None:
    state = serving.ask("/run/state.json").json
    assert (state["name"], state["state"], state["phase"]) == ("waves", "finished", "stage 2")
    assert (state["step"], state["styles"], state["left"]) == (6, ["waves"], None)
    assert [sheet["label"] for sheet in state["sheets"]][:2] == [
        "stage 2, step 6",
        "stage 2, step 3",
    ]
    name = state["sheets"][0]["name"]
    sheet = serving.ask(f"/run/samples/{name}")
    assert sheet.body == (serving.folder / "waves" / "samples" / name).read_bytes()
    assert serving.ask("/run/style.jpg").image.shape == (240, 240, 3)
    curves = serving.ask("/run/curves.json").json
    assert curves["total"].startswith("<svg ") and curves["terms"].count("<polyline") > 2
    assert "Held-out losses" in serving.ask("/run/evaluation.json").json["html"]


# A server whose main thread is in a library for minutes, as while it paints a large photo.
BUSY = """
import hashlib
from pathlib import Path
from neuralart.serving.workbench import Workbench
def run(self):
    Path("mark").touch()
    hashlib.pbkdf2_hmac("sha512", b"x", b"y", 10**9)
Workbench.run = run
from neuralart.__main__ import run
run()
"""


def test_it_stops_while_it_paints(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, "serve"], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    while not (tmp_path / "mark").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=20)[1]
    assert (process.returncode, stderr) == (0, "note: Ctrl-C ends it\nstopped\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_at_once_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    before = set(Path(tempfile.gettempdir()).glob("neuralart-serve-*"))
    process = start()
    assert process.stdout is not None
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\n", process.stdout.readline())
    time.sleep(0.3)  # until the line is said to be written
    begun = time.monotonic()
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=20)
    assert time.monotonic() - begun < 4 and process.returncode == 0
    assert (stdout, stderr) == ("", "note: Ctrl-C ends it\nstopped\n")
    assert set(Path(tempfile.gettempdir()).glob("neuralart-serve-*")) <= before


def test_bad_input_is_one_line(serving: Serving, tmp_path: Path) -> None:
    port = serving.port
    fails(run_cli("serve", "--port", port), 2, f"--port {port}: taken by another program; choose")
    fails(run_cli("serve", "--host", "no.such.invalid"), 2, "--host no.such.invalid: no address")
    fails(run_cli("serve", "--host", "203.0.113.9"), 2, "--host 203.0.113.9: ")
    fails(run_cli("serve", "--run", tmp_path), 1, f"--run {tmp_path}: no run there")
    fails(run_cli("serve", "--run", tmp_path / "x"), 1, "no run there (no config.json); name the")
    (tmp_path / "config.json").write_text("{")
    fails(run_cli("serve", "--run", tmp_path), 1, "config.json: cannot be read")
    fails(run_cli("serve", "--model", "nope"), 1, "model nope: no such file or run")
    (tmp_path / "bad.neuralart").write_bytes(b"PK")
    fails(run_cli("serve", "--model", tmp_path / "bad.neuralart"), 1, "bad.neuralart")


def test_beyond_loopback_it_warns_and_knows_its_names() -> None:
    process = start("--host", "0.0.0.0")
    assert process.stdout is not None and process.stderr is not None
    port = int(process.stdout.readline().split(":")[2].strip("/\n"))
    assert process.stderr.readline().startswith("warning: everybody who reaches 0.0.0.0 can paint")
    other = Serving(port, Path(), process)
    for host, status in (("evil.example", 421), ("192.0.2.7:80", 200), ("127.0.0.1", 200)):
        assert other.ask("/about.json", headers={"Host": host}).status == status
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)


def test_it_opens_the_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho $1 > {tmp_path}/opened\n")
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    process = start("--open")
    assert process.stdout is not None
    address, until = process.stdout.readline(), time.monotonic() + 20
    while not (tmp_path / "opened").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert (tmp_path / "opened").read_text() == address


def test_a_run_and_a_style_file_are_models(serving: Serving, tmp_path: Path) -> None:
    catalogue = Catalogue([str(serving.folder / "waves")], tmp_path)
    assert catalogue.first == "waves"
    copy = load_chain(catalogue.models["waves"].path)
    assert copy.digest == load_chain(serving.folder / "waves").digest
    name, path = next(iter(shipped_styles().items()))
    assert list(Catalogue([name], tmp_path).models) == list(shipped())
    load_chain(path).save_style(tmp_path / "mine.style", name)
    catalogue = Catalogue([str(tmp_path / "mine.style")], tmp_path)
    assert [each["name"] for each in catalogue.facts()] == ["mine", *shipped()]
    assert catalogue.find("mine", name)[1] == name
