"""``neuralart features``: fetch from a server with failures, convert, list, info and train."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import fails, run_cli
from weight_files import (
    caffe_names,
    tiny_vgg,
    torch_names,
    write_params,
    write_safetensors,
    write_torch_legacy,
    write_torch_zip,
)

from neuralart.errors import WeightsError
from neuralart.loss.features import fetch
from neuralart.loss.features import store as features
from neuralart.loss.features.store import load_features, read_features

PTH, ZIP = "vgg19-dcbb9e9d.pth", "vgg19-ad2f660d.zip"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty user cache, whose folder does not exist yet."""
    monkeypatch.setattr(
        "platformdirs.user_cache_path", lambda *args, **kwargs: tmp_path / "user cache"
    )
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "user cache" / "features"


def left_in(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir()) if cache.exists() else []


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files``.

    ``behaviour`` gives a file's responses in order, the last of them for all later requests:
    ``whole``, ``404``, ``cut``, ``stall``, or ``lie`` (a wrong byte).
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.behaviour: dict[str, list[str]] = {}
        self.requests: list[str] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/models"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.server.requests.append(name)
        waiting = self.server.behaviour.get(name, [])
        how = waiting.pop(0) if len(waiting) > 1 else (waiting or ["whole"])[0]
        if name not in self.server.files or how == "404":
            self.send_error(404)
            return
        data = self.server.files[name]
        if how == "lie":
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if how in ("cut", "stall"):
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            if how == "stall":
                self.server.closing.wait(30)
            self.close_connection = True
            return
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with a tiny net in each mirror's file, and `MIRRORS` with these files' checksums."""
    with Server() as server:
        write_torch_legacy(tmp_path / PTH, torch_names(tiny_vgg(1)))
        write_params(tmp_path / "a.params", torch_names(tiny_vgg(2)), 2)
        params = (tmp_path / "a.params").read_bytes()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("vgg19-ad2f660d.params", params)
        server.files = {PTH: (tmp_path / PTH).read_bytes(), ZIP: packed.getvalue()}
        checksums = (
            f"sha256:{hashlib.sha256(server.files[PTH]).hexdigest()}",
            f"sha1:{hashlib.sha1(params).hexdigest()}",
        )
        mirrors = tuple(
            fetch.dataclasses.replace(mirror, checksum=checksum)
            for mirror, checksum in zip(fetch.MIRRORS, checksums, strict=True)
        )
        monkeypatch.setattr(fetch, "MIRRORS", mirrors)
        monkeypatch.setattr(fetch, "TRIES", 1)
        monkeypatch.setattr(fetch, "TIMEOUT_SECONDS", 0.3)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


def is_net(cache: Path, seed: int) -> bool:
    weights = load_features("vgg19").weights
    return np.array_equal(weights["conv3_1_weight"], tiny_vgg(seed)["conv3_1_weight"])


def test_fetch_brings_vgg19_into_the_cache_once(server: Server, cache: Path) -> None:
    result = run_cli("features", "fetch", "--url", server.url)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{cache / 'vgg19.npz'}\n"
    assert left_in(cache) == ["vgg19.npz"] and is_net(cache, 1)
    found = load_features("vgg19")
    assert found.name == "vgg19" and found.licence.startswith("BSD-3-Clause")
    assert hashlib.sha256(server.files[PTH]).hexdigest() in found.source
    assert run_cli("features", "fetch", "--url", server.url).stdout == result.stdout
    assert server.requests == [PTH]


@pytest.mark.parametrize("how", ["404", "cut", "stall", "lie"])
def test_fetch_takes_the_second_mirror(server: Server, cache: Path, how: str) -> None:
    server.behaviour[PTH] = [how]
    result = run_cli("features", "fetch", "--url", server.url)
    assert result.exit_code == 0, result.output
    assert left_in(cache) == ["vgg19.npz"] and is_net(cache, 2)
    assert load_features("vgg19").licence.startswith("Apache-2.0")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("404", "HTTP status 404"),
        ("cut", "the connection was cut off"),
        ("stall", "no answer for 0.3 s"),
        ("lie", "another checksum"),
    ],
)
def test_fetch_that_fails_leaves_nothing_and_starts_anew(
    server: Server, cache: Path, how: str, words: str
) -> None:
    server.behaviour = {PTH: [how], ZIP: [how]}
    result = run_cli("features", "fetch", "--url", server.url)
    convert = f"`neuralart features convert {PTH}`"
    fails(result, 1, f"{PTH}: {words}", convert, str(cache), "--features small")
    assert left_in(cache) == []
    assert server.requests == [PTH, ZIP]
    server.behaviour = {}
    assert run_cli("features", "fetch", "--url", server.url).exit_code == 0
    assert left_in(cache) == ["vgg19.npz"]


def test_fetch_of_a_zip_with_other_weights(server: Server, cache: Path, tmp_path: Path) -> None:
    server.behaviour[PTH] = ["404"]
    packed = io.BytesIO()
    write_params(tmp_path / "other.params", torch_names(tiny_vgg(7)), 2)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(tmp_path / "other.params", "vgg19-ad2f660d.params")
    server.files[ZIP] = packed.getvalue()
    fails(run_cli("features", "fetch", "--url", server.url), 1, f"{ZIP}: another checksum")
    assert left_in(cache) == []


def test_fetch_tries_again(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TRIES", 3)
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    server.behaviour[PTH] = ["cut", "lie", "whole"]
    assert run_cli("features", "fetch", "--url", server.url).exit_code == 0
    assert server.requests == [PTH] * 3 and is_net(cache, 1)


def test_fetch_of_another_net_with_the_right_checksum(
    server: Server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = torch_names(tiny_vgg())
    del named["features.0.bias"]
    write_torch_zip(tmp_path / PTH, named)
    data = server.files[PTH] = (tmp_path / PTH).read_bytes()
    checksum = f"sha256:{hashlib.sha256(data).hexdigest()}"
    only = fetch.dataclasses.replace(fetch.MIRRORS[0], checksum=checksum)
    monkeypatch.setattr(fetch, "MIRRORS", (only,))
    fails(run_cli("features", "fetch", "--url", server.url), 1, "missing: features.0.bias")
    assert left_in(cache) == []


def test_fetch_without_a_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TRIES", 1)
    result = run_cli("features", "fetch", "--url", "http://127.0.0.1:9")
    fails(result, 1, "no connection", f"features convert {PTH}", "--features small and random")
    result = run_cli("features", "fetch", "--url", "no-url")
    fails(result, 1, "no-url/vgg19-dcbb9e9d.pth", f"features convert {PTH}")
    assert left_in(cache) == []


def test_fetch_replaces_a_damaged_file_in_the_cache(server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "vgg19.npz").write_bytes(b"half")
    assert run_cli("features", "fetch", "--url", server.url).exit_code == 0
    assert is_net(cache, 1)


def test_fetch_into_a_cache_that_cannot_be_written(
    server: Server, tmp_path: Path, cache: Path
) -> None:
    cache.parent.write_text("a file in the way")
    fails(run_cli("features", "fetch", "--url", server.url), 1, "cannot be written")
    assert server.requests == []


def test_what_a_killed_fetch_left_goes_with_the_next(
    server: Server, cache: Path, tmp_path: Path
) -> None:
    server.behaviour[PTH] = ["stall"]
    code = (
        "import sys, pathlib, platformdirs\n"
        "platformdirs.user_cache_path = lambda *a, **k: pathlib.Path(sys.argv[1])\n"
        "from neuralart.loss.features.fetch import fetch\n"
        "fetch(sys.argv[2])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(cache.parent), server.url],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        deadline = time.monotonic() + 20
        while not (server.requests and list(cache.glob(".fetch-*/*"))):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    assert len(left_in(cache)) == 1 and "vgg19.npz" not in left_in(cache)
    server.behaviour = {}
    assert run_cli("features", "fetch", "--url", server.url).exit_code == 0
    assert left_in(cache) == ["vgg19.npz"] and is_net(cache, 1)


def test_the_mirrors_carry_the_checksums_of_their_names() -> None:
    torchvision, zoo = fetch.MIRRORS
    assert torchvision.file == PTH and torchvision.checksum.startswith("sha256:dcbb9e9d")
    assert zoo.file == ZIP and zoo.checksum.startswith("sha1:ad2f660d")
    assert [len(m.checksum.partition(":")[2]) for m in fetch.MIRRORS] == [64, 40]


def test_convert_and_use_a_file(cache: Path, tmp_path: Path) -> None:
    write_params(tmp_path / "mine.params", caffe_names(tiny_vgg()), 0)
    result = run_cli("features", "convert", tmp_path / "mine.params")
    assert result.stdout == f"{cache / 'mine.npz'}\n", result.output
    again = run_cli("features", "convert", tmp_path / "mine.params")
    fails(again, 1, "mine.npz: exists already", "--overwrite")
    args = ("features", "convert", tmp_path / "mine.params", "--overwrite", "--pixels", "bgr")
    assert run_cli(*args).exit_code == 0
    info = dict(line.split(None, 1) for line in lines(run_cli("features", "info", "mine").stdout))
    data = (cache / "mine.npz").read_bytes()
    assert info["sha256"] == hashlib.sha256(data).hexdigest()
    assert (info["widths"], info["heads"]) == ("4 5 6 7 8", "none")
    assert (info["padding"], info["pooling"]) == ("zero", "avg")
    assert info["pixels"].startswith("BGR in 0..255") and "mine.params" in info["source"]
    assert "CC BY 4.0" in info["licence"]
    assert int(info["parameters"]) == sum(a.size for a in load_features("mine").weights.values())
    fails(run_cli("features", "convert", cache / "mine.npz", "--pixels", "rgb"), 1, "converted")


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_convert_keeps_the_full_vgg19_as_vgg19(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "FULL_WIDTHS", (4, 5, 6, 7, 8))
    write_torch_legacy(tmp_path / "a.pth", torch_names(tiny_vgg(4)))
    result = run_cli("features", "convert", tmp_path / "a.pth")
    assert result.stdout == f"{cache / 'vgg19.npz'}\n"
    assert is_net(cache, 4)


@pytest.mark.parametrize("form", ["pth", "params"])
def test_a_checksum_in_a_files_name_is_checked(cache: Path, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"vgg19-01234567.{form}"
    write_params(path, torch_names(tiny_vgg()), 2)
    fails(run_cli("features", "convert", path), 1, "not 01234567... as its name says", "again")
    fails(run_cli("features", "info", path), 1, "as its name says")
    assert left_in(cache) == []
    data = path.read_bytes()
    digest = (hashlib.sha1 if form == "params" else hashlib.sha256)(data).hexdigest()
    path = path.rename(tmp_path / f"vgg19-{digest[:8]}.{form}")
    assert run_cli("features", "convert", path).stdout == f"{cache / path.stem}.npz\n"


@pytest.mark.parametrize("name", ["small", "random", "vgg19"])
def test_convert_does_not_take_another_nets_name(cache: Path, tmp_path: Path, name: str) -> None:
    write_safetensors(tmp_path / f"{name}.safetensors", torch_names(tiny_vgg()))
    result = run_cli("features", "convert", tmp_path / f"{name}.safetensors")
    fails(result, 1, "--out")
    assert left_in(cache) == []


def test_convert_to_a_file_and_use_it_from_there(cache: Path, tmp_path: Path) -> None:
    write_torch_zip(tmp_path / "a.pth", torch_names(tiny_vgg()))
    out = tmp_path / "new" / "a.npz"
    assert run_cli("features", "convert", tmp_path / "a.pth", "--out", out).stdout == f"{out}\n"
    direct, converted = load_features(str(tmp_path / "a.pth")), load_features(str(out))
    assert direct.spec == converted.spec and direct.source == converted.source
    assert left_in(cache) == []


def bad_files(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    """(file, words of its error message) by the file's name."""
    files = {}

    def bad(name: str, words: str, data: bytes | None = None) -> Path:
        files[name] = (tmp_path / name, words)
        if data is not None:
            (tmp_path / name).write_bytes(data)
        return tmp_path / name

    named = torch_names(tiny_vgg())
    write_torch_zip(bad("nan.pth", "not finite numbers: features.0.bias"),
                    {**named, "features.0.bias": np.full(4, np.nan, np.float32)})  # fmt: skip
    write_torch_zip(bad("extra.pth", "unknown: layer1.weight"),
                    {**named, "layer1.weight": np.zeros(3, np.float32)})  # fmt: skip
    write_torch_zip(bad("code.pth", "carries code (posix.system)"),
                    named, {"x": b"cposix\nsystem\nX\4\0\0\0true\x85R"})  # fmt: skip
    write_torch_legacy(bad("cut.pth", "damaged"), named)
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:-9])
    del named["features.5.weight"]
    write_safetensors(bad("missing.safetensors", "missing: features.5.weight"), named)
    write_params(bad("other.params", "none of its 1 arrays"), {"w": np.zeros(3)}, 2)
    bad("text.pth", "not a file of VGG weights", b"this is a text\n")
    bad("page.npz", "not a file of VGG weights", b"<!DOCTYPE html><html>404</html>")
    bad("empty.h5", "not a file of VGG weights", b"")
    bad("none.npz", "No such file")
    bad("folder", "Is a directory").mkdir()
    with zipfile.ZipFile(bad("model.neuralart", "not a features file"), "w") as archive:
        archive.writestr("header.json", json.dumps({"kind": "neuralart model"}))
    with zipfile.ZipFile(bad("newer.npz", "another version"), "w") as archive:
        archive.writestr("header.json", json.dumps({"kind": features.KIND, "format": 2}))
    return files


@pytest.mark.parametrize(
    "name",
    ["nan.pth", "extra.pth", "code.pth", "cut.pth", "missing.safetensors", "other.params",
     "text.pth", "page.npz", "empty.h5", "none.npz", "folder", "model.neuralart", "newer.npz"],
)  # fmt: skip
def test_a_bad_file_is_one_line_and_nothing_is_cached(
    cache: Path, tmp_path: Path, train_arguments: list[object], name: str
) -> None:
    path, words = bad_files(tmp_path)[name]
    fails(run_cli("features", "convert", path), 1, str(path), words)
    out = tmp_path / "out.npz"
    fails(run_cli("features", "convert", path, "--out", out), 1, words)
    assert left_in(cache) == [] and not out.exists()
    if name != "none.npz":
        fails(run_cli("features", "info", path), 1, words)
    at = train_arguments.index("--features") + 1
    arguments = [*train_arguments[:at], path, *train_arguments[at + 1 :], "--out", tmp_path / "run"]
    fails(run_cli(*arguments), 1, str(path))
    assert not (tmp_path / "run").exists()


def test_list_shows_the_names_and_what_is_cached(cache: Path, tmp_path: Path) -> None:
    shown = run_cli("features", "list").stdout
    assert [line.split()[0] for line in lines(shown)] == ["small", "vgg19", "random"]
    assert f"not here  {cache / 'vgg19.npz'}" in shown
    cache.mkdir(parents=True)
    write_torch_zip(tmp_path / "mine.pth", torch_names(tiny_vgg()))
    assert run_cli("features", "convert", tmp_path / "mine.pth").exit_code == 0
    (cache / ".vgg19.npz.1.part").write_bytes(b"half")
    shown = run_cli("features", "list").stdout
    assert [line.split()[0] for line in lines(shown)] == ["small", "vgg19", "random", "mine"]
    assert f"0.0 MB  {cache / 'mine.npz'}" in shown


def test_names(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match=r"neuralart features fetch.*features convert"):
        load_features("vgg19")
    with pytest.raises(WeightsError, match=r"vgg91: no such file.*small, vgg19, random"):
        load_features("vgg91")
    with pytest.raises(WeightsError, match="no such file"):
        load_features("x" * 5000)
    monkeypatch.setattr(features, "SMALL", tmp_path / "features-small.npz")
    with pytest.raises(WeightsError, match=r"features-small\.npz is missing"):
        load_features("small")
    features.write_features(tmp_path / "features-small.npz", features.random_features())
    assert load_features("small").name == "small"
    # A file comes before cached features of the same name, but not before small, vgg19 and random.
    write_torch_zip(tmp_path / "a.pth", torch_names(tiny_vgg(1)))
    assert run_cli("features", "convert", tmp_path / "a.pth").exit_code == 0
    monkeypatch.chdir(tmp_path)
    assert load_features("a").name == "a"
    for name in ("a", "random"):
        write_torch_zip(Path(name), torch_names(tiny_vgg(2)))
    assert load_features("a").sha256 == read_features(Path("a")).sha256
    assert load_features("random").source == "random weights of seed 0"


def test_a_model_remembers_the_features_that_trained_it(
    cache: Path, tmp_path: Path, train_arguments: list[object], server: Server
) -> None:
    assert run_cli("features", "fetch", "--url", server.url).exit_code == 0
    at = train_arguments.index("--features") + 1
    arguments = [*train_arguments[:at], "vgg19", *train_arguments[at + 1 :], "--steps", 1]
    result = run_cli(*arguments, "--holdout", 0, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    with zipfile.ZipFile(result.stdout.strip()) as archive:
        card = json.loads(archive.read("header.json"))
    found = json.dumps(card)
    assert '"name": "vgg19"' in found
    assert hashlib.sha256((cache / "vgg19.npz").read_bytes()).hexdigest() in found
