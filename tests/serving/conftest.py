"""A server with a small model of two styles and a finished run."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import LITTLE, picture, random_chain
from servers import Serving, start

from neuralart.pictures.writing import write_image


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory, run_dir: Path) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("serving")
    random_chain([LITTLE, LITTLE], ["red", "green"]).save(folder / "duo.neuralart")
    write_image(folder / "photo.png", picture(3))
    shutil.copytree(run_dir, folder / "waves")
    process = start("--model", folder / "duo.neuralart", "--run", folder / "waves")
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:") and address.endswith("/run/"), address
    yield Serving(int(address.split(":")[2].split("/")[0]), folder, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
