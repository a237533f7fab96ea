"""Downloads the full VGG-19 from a mirror, checks and converts it, and puts it in the user cache.

The download goes to a temporary folder in the cache, which is deleted when the call ends. If a
killed process left its folder behind, the next call deletes it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from neuralart.errors import OutputError, WeightsError
from neuralart.loss.features.store import Features, cache_path, read_features, write_features

NAME = "vgg19"

TRIES = 3

TIMEOUT_SECONDS = 30.0

_CHUNK_BYTES = 1 << 20

_FOLDER = ".fetch-"


@dataclass(frozen=True)
class Mirror:
    """A file on the web.

    checksum   of the file, or of ``member`` in a zip; in pooch's form, ``sha256:...``
    source     in words
    licence    in words
    member     the name of the weights in a zip; None if the file is no zip
    """

    url: str
    checksum: str
    source: str
    licence: str
    member: str | None = None

    @property
    def file(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


MIRRORS = (
    # The eight digits in the file's name begin its SHA-256, as torchvision does it.
    Mirror(
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        "sha256:dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        "torchvision's VGG-19, vgg19-dcbb9e9d.pth, trained on ImageNet",
        "BSD-3-Clause (torchvision)",
    ),
    # The SHA-1 comes from mxnet/gluon/model_zoo/model_store.py.
    Mirror(
        "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/models/vgg19-ad2f660d.zip",
        "sha1:ad2f660d101905472b83590b59708b71ea22b2e5",
        "MXNet's model zoo, vgg19-ad2f660d.params, trained on ImageNet",
        "Apache-2.0 (MXNet)",
        member="vgg19-ad2f660d.params",
    ),
)


def fetch(url: str | None = None, say: Callable[[str], None] = print) -> Path:
    """Put the full VGG-19 in the user cache, unless an undamaged one is there; return its path.

    ``url`` is a folder on the web that has the mirrors' files, to be used instead of the mirrors.
    ``say`` gets messages about the progress.
    Raises WeightsError that says what to download by hand if every mirror fails.
    """
    path = cache_path(NAME)
    if path.exists():
        try:
            read_features(path)
            return path
        except WeightsError as error:
            say(f"{error}; fetching it anew")
    mirrors = [
        mirror
        if url is None
        else dataclasses.replace(mirror, url=f"{url.rstrip('/')}/{mirror.file}")
        for mirror in MIRRORS
    ]
    folder = _make_folder(path.parent)
    try:
        write_features(path, _from_first_working(mirrors, folder, say))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return path


def _make_folder(cache: Path) -> Path:
    """Make a temporary folder for this process, and delete those of processes that have ended."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for left in cache.glob(f"{_FOLDER}*"):
            if not _is_running(left.name.removeprefix(_FOLDER).partition("-")[0]):
                shutil.rmtree(left, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=cache))
    except OSError as error:
        raise OutputError(f"{cache}: cannot be written: {error.strerror or error}") from None


def _is_running(pid: str) -> bool:
    if os.name == "nt":
        return True  # there, this call would end the process
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _from_first_working(
    mirrors: list[Mirror], folder: Path, say: Callable[[str], None]
) -> Features:
    reasons = []
    for mirror in mirrors:
        say(f"fetching {mirror.url}")
        try:
            path = _download(mirror, folder)
            features = read_features(path)
        except (OSError, ValueError, zipfile.BadZipFile, KeyError, zlib.error) as error:
            reasons.append(f"{mirror.url}: {_reason(error)}")
        except WeightsError as error:
            reasons.append(f"{mirror.url}: {str(error).removeprefix(f'{path}: ')}")
        else:
            return dataclasses.replace(
                features, source=f"{mirror.source}, {mirror.checksum}", licence=mirror.licence
            )
    raise WeightsError(
        f"cannot fetch {NAME} ({'; '.join(reasons)}); fetch {MIRRORS[0].url} by hand and run "
        f"`neuralart features convert {MIRRORS[0].file}`, which puts it in "
        f"{cache_path(NAME).parent}; "
        "--features small and random need no download"
    )


def _download(mirror: Mirror, folder: Path) -> Path:
    """Download a mirror's weights, and return their file.

    Raises ValueError if the checksum differs, OSError if the download fails.
    """
    pooch.get_logger().setLevel("ERROR")
    downloader = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(), chunk_size=_CHUNK_BYTES, timeout=TIMEOUT_SECONDS
    )
    known = None if mirror.member else mirror.checksum
    whole = pooch.create(
        folder, "", registry={mirror.file: known}, urls={mirror.file: mirror.url},
        retry_if_failed=TRIES - 1,
    )  # fmt: skip
    path = Path(whole.fetch(mirror.file, downloader=downloader))
    if mirror.member is None:
        return path
    with zipfile.ZipFile(path) as archive:
        path = Path(archive.extract(mirror.member, folder))
    algorithm, _, digest = mirror.checksum.partition(":")
    if hashlib.new(algorithm, path.read_bytes()).hexdigest() != digest:
        raise ValueError(f"{mirror.member} has another checksum than {mirror.checksum}")
    return path


def _reason(error: Exception) -> str:
    """A few words for an error; requests' own messages are several lines long."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut off"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no answer for {TIMEOUT_SECONDS:g} s"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, requests.RequestException):
        return f"not fetched ({type(error).__name__})"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, (zipfile.BadZipFile, zlib.error, KeyError)):
        return "not the zip file it should be"
    return "another checksum than it should have"
