"""serve's pages in Chromium: a photo dropped, painted, saved; a run watched as it grows."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import picture, run_cli
from PIL import Image as Pillow
from servers import Serving, start

from neuralart.pictures.writing import write_image

WEB = Path(__file__).parents[2] / "web"

CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or not (WEB / "node_modules" / "playwright-core").is_dir(),
    reason="run scripts/install_web first",
)


def drive(what: str, address: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["node", Path(__file__).with_name("drive.mjs"), what, address, folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CHROMIUM": str(CHROMIUM)},
    )


def result(process: subprocess.Popen[str]) -> dict[str, Any]:
    stdout, stderr = process.communicate(timeout=180)
    assert process.returncode == 0, stderr
    found: dict[str, Any] = json.loads(stdout)
    has_axe = (WEB / "node_modules" / "axe-core").is_dir()
    for key in found:
        if key.startswith("axe"):
            assert found[key] == ([] if has_axe else None), found[key]
    return found


def test_a_photo_is_dropped_painted_and_saved(serving: Serving, tmp_path: Path) -> None:
    shutil.copy(serving.folder / "photo.png", tmp_path)
    (tmp_path / "notes.txt").write_text("not a photo")
    found = result(drive("paint", f"{serving.address}/", tmp_path))
    half = "inset(0px 0px 0px 50%)"
    assert found["after_drop"] == {"alert": True, "before": 48, "after": 48, "cut": half}
    assert found["cut"] == "inset(0px 0px 0px 20%)"
    assert found["requests_for_two_changes"] == 1
    assert found["name"] == "photo-red-50-green-50.png"
    assert found["overflow"] == 0
    # Chromium itself says that the text file was refused.
    assert all("415" in each for each in found["complaints"]), found["complaints"]
    expected = tmp_path / "expected.png"
    model = serving.folder / "duo.neuralart"
    arguments = ("--model", model, "--style", "red=50,green=50")
    painted = run_cli("stylize", tmp_path / "photo.png", expected, *arguments)
    assert painted.exit_code == 0, painted.output
    saved, ours = (
        np.asarray(Pillow.open(path).convert("RGB")).astype(int)
        for path in (tmp_path / "saved.png", expected)
    )
    assert np.abs(saved - ours).max() <= 1


def test_a_run_is_watched_while_it_grows(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "samples").mkdir(parents=True)
    record = {"options": {"style": ["waves.png"], "generators": [{}]}, "inputs": {}}
    (run / "config.json").write_text(
        json.dumps({"format": 1, "steps": 20, "joint_steps": 0, **record})
    )

    def step(number: int) -> None:
        write_image(run / "samples" / f"0-{number:08d}.png", picture(number))
        losses = {"x1": {"style": 9.0, "content": 2.0, "total": 90.0 / number}}
        entry = {"phase": "stage 1", "step": number, "photos": number, "losses": losses}
        with (run / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({**entry, "seconds": 2.0 * number}) + "\n")

    step(10)
    (run / ".lock").write_text(f"process {os.getpid()} on {os.uname().nodename}")
    server = start("--run", run)
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    driver = drive("run", address, tmp_path)
    assert driver.stderr is not None
    assert driver.stderr.readline() == "ready\n"
    step(20)
    time.sleep(4)
    losses = {name: {"style": 3.0, "content": 1.0, "total": 4.0} for name in ("photo", "x1")}
    (run / "evaluation.json").write_text(json.dumps({"photos": 2, "losses": losses}))
    (run / ".lock").unlink()
    found = result(driver)
    assert found["where"].startswith("stage 1, step 10 · 10 photos · 20 s · about ")
    assert found["where"].endswith("s left")
    assert found["sheets"] == ["stage 1, step 10"]
    assert found["where_later"].startswith("stage 1, step 20 · 20 photos · 40 s")
    assert found["sheets_later"] == ["stage 1, step 20", "stage 1, step 10"]
    assert found["width"] == 48 and found["complaints"] == []
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=20)
