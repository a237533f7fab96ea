"""``stylize`` with addresses of S3 and of Google Cloud Storage, against servers on loopback."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from helpers import fails, files_below, needs_mxnet, picture, run_cli, stylize
from PIL import Image

from neuralart.painting.cluster import addresses
from neuralart.pictures.writing import write_image

fsspec = pytest.importorskip("fsspec")

pytestmark = needs_mxnet

NEEDED = {"s3": ("s3fs", "moto", "flask_cors"), "gs": ("gcsfs", "gcp_storage_emulator")}

# Clients never ask anybody else, and try once.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_MAX_ATTEMPTS": "1",
    "NO_GCE_CHECK": "true",
    # Otherwise gcsfs asks for the kind of a bucket by gRPC, at another port.
    "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
}


@dataclass
class Store:
    """A server of a protocol, with an empty bucket called ``photos``."""

    protocol: str
    endpoint: str
    files: Any

    def fill(self, photos: Path, folder: str) -> str:
        """Copy photos to a folder of the bucket, and return its address."""
        for name in files_below(photos):
            self.files.pipe_file(f"photos/{folder}/{name}", (photos / name).read_bytes())
        return self.address(folder)

    def address(self, path: str, bucket: str = "photos") -> str:
        return f"{self.protocol}://{bucket}/{path}"

    def below(self, folder: str) -> dict[str, bytes]:
        """The objects in a folder and below, by the rest of their names."""
        root = f"photos/{folder}/"
        found = self.files.find(root)
        return {name.removeprefix(root): self.files.cat_file(name) for name in found}

    def configured(self, patch: pytest.MonkeyPatch, endpoint: str) -> None:
        """Have fsspec's configuration name another endpoint."""
        patch.setitem(fsspec.config.conf, self.protocol, {"endpoint_url": endpoint})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def s3_server(port: int) -> Iterator[None]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    yield
    server.stop()


@contextlib.contextmanager
def gs_server(port: int) -> Iterator[None]:
    from gcp_storage_emulator.server import create_server

    with create_server("127.0.0.1", port, in_memory=True):
        yield


@pytest.fixture(scope="module", params=NEEDED)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    protocol = request.param
    for name in NEEDED[protocol]:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    server = s3_server if protocol == "s3" else gs_server
    variable = "AWS_ENDPOINT_URL" if protocol == "s3" else "STORAGE_EMULATOR_HOST"
    with pytest.MonkeyPatch.context() as patch, server(port):
        for name, value in {**ENVIRONMENT, variable: endpoint}.items():
            patch.setenv(name, value)
        files = fsspec.filesystem(protocol, use_listings_cache=False)
        files.mkdir("photos")
        yield Store(protocol, endpoint, files)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos") / "in"
    (folder / "sub").mkdir(parents=True)
    for number in range(4):
        write_image(folder / ("sub" if number % 2 else "") / f"{number}.png", picture(number))
    (folder / "notes.txt").write_text("hello")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def painted(
    run_dir: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """What is painted from file to file."""
    out = tmp_path_factory.mktemp("painted")
    stylize(run_dir, photos, out)
    return {name: (out / name).read_bytes() for name in files_below(out)}


def test_a_folder(store: Store, run_dir: Path, photos: Path, painted: dict[str, bytes]) -> None:
    source, out = store.fill(photos, "in"), store.address("out")
    store.files.pipe_file("photos/in/empty/", b"")  # as a console makes a folder
    words = ("stylize", source, out, "--model", run_dir)
    result = run_cli(*words)
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == [f"{out}/{name}" for name in painted]
    assert "passed over: 1 .txt\n" in result.stderr
    assert store.below("out") == painted
    about = store.files.info("photos/out/0.png")
    assert about.get("ContentType", about.get("contentType")) == "image/png"

    store.files.rm_file("photos/out/2.png")
    result = run_cli(*words)
    assert result.exit_code == 1
    assert result.stdout.split() == [f"{out}/2.png"]
    assert f"error: {out}/0.png: exists; add --overwrite" in result.stderr
    result = run_cli(*words, "--skip-existing")
    assert result.exit_code == 0
    assert "0 painted (0.0 megapixels), 4 there already" in result.stderr
    result = run_cli(*words, "--overwrite", "--shard", "2/2")
    assert result.stdout.split() == [f"{out}/{name}" for name in list(painted)[1::2]]
    assert store.below("out") == painted


def test_patterns_and_single_files(
    store: Store, run_dir: Path, photos: Path, painted: dict[str, bytes], tmp_path: Path
) -> None:
    source = store.fill(photos, "in")
    stylize(run_dir, f"{source}/**/*.png", tmp_path / "out")
    assert {n: (tmp_path / "out" / n).read_bytes() for n in files_below(tmp_path / "out")} == (
        painted
    )
    stylize(run_dir, f"{source}/*.png", store.address("pattern"), "--format", "webp")
    assert list(store.below("pattern")) == ["0.webp", "2.webp"]
    stylize(run_dir, photos, store.address("uploaded"))
    assert store.below("uploaded") == painted
    stylize(run_dir, f"{source}/0.png", store.address("one/[a] b?.png"))
    assert store.below("one") == {"[a] b?.png": painted["0.png"]}
    stylize(run_dir, store.address("one/[a] b?.png"), store.address("two/"))
    assert list(store.below("two")) == ["[a] b?.png"]
    # The folder above that of the photos is as good as any.
    stylize(run_dir, store.fill(photos, "deep/in"), store.address("deep"))
    assert {"0.png", "sub/1.png", "in/0.png"} < set(store.below("deep"))


def test_what_is_refused(store: Store, run_dir: Path, photos: Path) -> None:
    source, out = store.fill(photos, "in"), store.address("refused")
    one, nowhere = f"{source}/0.png", store.address("in", "elsewhere")

    def refused(words: tuple[str, ...], message: str) -> None:
        fails(run_cli("stylize", *words, "--model", run_dir), 1, message)

    refused((nowhere, out), f"{nowhere}: cannot be read: no such file or folder")
    refused((f"{source}/9.png", f"{out}/"), f"{source}/9.png: cannot be read: no such file")
    refused((f"{source}/*.tiff", out), "matches no file")
    # No bucket is made.
    refused((source, nowhere), f"{nowhere}: cannot be listed: no such bucket")
    refused((one, f"{nowhere}/a.png"), f"{nowhere}/a.png: cannot be written: no such bucket")
    assert [name.strip("/") for name in store.files.ls("")] == ["photos"]
    refused((source, source), "is the folder of the photos itself")
    refused((source, f"{out}.png"), f"{out}.png: the last name is where the paintings go")
    alias = one.replace("s3://", "s3a://").replace("gs://", "gcs://")
    refused((one, alias, "--overwrite"), f"{alias}: is the photo itself")
    assert store.below("in")["0.png"] == (photos / "0.png").read_bytes()
    assert store.below("refused") == {}


def test_no_server(store: Store, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("stylize", store.address("in"), store.address("out"), "--model", run_dir)
    for is_silent in (False, True):
        # A refusal is at once, but on a busy machine the client may need a second to ask.
        within = 1 if is_silent else 5
        monkeypatch.setattr(addresses, "ANSWERS_WITHIN", within)
        with socket.create_server(("127.0.0.1", 0)) as server:
            store.configured(monkeypatch, f"http://127.0.0.1:{server.getsockname()[1]}")
            if not is_silent:
                server.close()
            start = time.monotonic()
            message = f"{store.address('in')}: no server has answered for {within} s"
            if store.protocol == "s3" and not is_silent:
                message = f"{store.address('in')}: cannot be looked up: Could not connect"
            fails(run_cli(*words), 1, message, "check the network and the endpoint")
            assert time.monotonic() - start < 10


def test_wrong_credentials(
    store: Store, run_dir: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store.protocol != "s3":
        pytest.skip("the other server lets everybody in")
    source = store.fill(photos, "in")
    requests.post(f"{store.endpoint}/moto-api/reset-auth", data="0", timeout=10)
    try:
        for words in ((source, store.address("out")), (photos, store.address("out"))):
            result = run_cli("stylize", *words, "--model", run_dir)
            fails(result, 1, "does not exist in our records; check the credentials")
    finally:
        requests.post(f"{store.endpoint}/moto-api/reset-auth", data="inf", timeout=10)


def test_a_command_is_killed_in_the_middle(store: Store, run_dir: Path, tmp_path: Path) -> None:
    if store.protocol != "s3":
        pytest.skip("a kill looks the same from every store")
    for number in range(24):
        write_image(tmp_path / f"{number:02}.png", picture(number, 200, 300))
    words = ["stylize", store.fill(tmp_path, "many"), store.address("killed")]
    words += ["--model", str(run_dir)]
    command = [sys.executable, "-m", "neuralart", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline().startswith(store.address("killed/"))
    process.kill()
    process.communicate()
    there = store.below("killed")
    assert 3 <= len(there) < 24
    for data in there.values():
        Image.open(io.BytesIO(data)).load()
    # Workers have the environment, and with it the endpoint and the credentials.
    result = run_cli(*words, "--skip-existing", "--cluster", "local:1")
    assert result.exit_code == 0, result.output
    assert f"{24 - len(there)} painted" in result.stderr
    assert len(store.below("killed")) == 24


def test_a_missing_library_is_named(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "adlfs", None)
    result = run_cli("stylize", "abfs://box/a.png", tmp_path / "a.png", "--model", run_dir)
    fails(result, 1, "abfs://box/a.png: Install adlfs")
