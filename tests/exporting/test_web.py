"""``export --format web``: the page in a browser, against ``stylize`` on the same photos.

This file makes the folder; web/tests/page drives the page in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import skimage
from helpers import LITTLE, picture, random_chain, run_cli
from picture_files import exif, stored
from PIL import Image

from neuralart.chain.model import StyledChain, load_model
from neuralart.chain.shipped import shipped
from neuralart.exporting.page import BUILT
from neuralart.pictures.reading import read_image

WEB = Path(__file__).parents[2] / "web"

CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.skipif(
    not (BUILT / "sw.js").exists() or CHROMIUM is None, reason="run scripts/install_web first"
)


@pytest.fixture(scope="module")
def page_folder(
    tmp_path_factory: pytest.TempPathFactory, run_dir: Path, train_arguments: list[object]
) -> Path:
    """A folder with the exported page (``site``), photos, and files that are no photos.

    ``shipped`` is a page of the shipped styles.
    """
    folder = tmp_path_factory.mktemp("page")
    tiny, other, trio = (folder / f"{name}.neuralart" for name in ("tiny", "other", "trio"))
    shutil.copy(run_dir / "model.neuralart", tiny)
    StyledChain.of(load_model(next(iter(shipped().values()), tiny))).save(other)
    random_chain([LITTLE, LITTLE], ["red", "green", "blue"]).save(trio)
    arguments = ("--to", folder / "site", "--format", "web")
    result = run_cli("export", tiny, other, trio, *arguments)
    assert result.exit_code == 0, result.output

    result = run_cli("export", "masters", "--to", folder / "shipped", "--format", "web")
    assert result.exit_code == 0, result.output

    photo = read_image(Path(skimage.__file__).parent / "data" / "chelsea.png")
    Image.fromarray(photo).save(folder / "show.png")
    Image.fromarray(photo[60:180, 120:290]).save(folder / "photo.png")
    Image.fromarray(photo[100:136, 200:244]).save(folder / "small.png")
    Image.fromarray(photo[:3, :5]).save(folder / "dot.png")
    Image.fromarray(np.tile(photo, (2, 2, 1))[:451, :600]).save(folder / "middle.png")
    large = np.tile(photo, (3, 3, 1))[:801, :1100]
    Image.fromarray(large).save(folder / "large.jpg", quality=95)
    long = np.tile(photo, (7, 7, 1))[:2000, :2600]
    Image.fromarray(long).save(folder / "long.jpg", quality=95)
    on_its_side = Image.fromarray(stored(photo[:120, :160], 6))
    on_its_side.save(folder / "turned.jpg", quality=95, exif=exif(6))

    enormous = np.tile(picture(7, 50, 60), (100, 100, 1))
    Image.fromarray(enormous).save(folder / "enormous.png", compress_level=1)
    (folder / "notes.txt").write_text("not a photo")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.jpg").write_bytes((folder / "large.jpg").read_bytes()[:1500])
    png = (folder / "dot.png").read_bytes()
    size = (60_000).to_bytes(4, "big")
    (folder / "bomb.png").write_bytes(png[:16] + size + size + png[24:])
    return folder


@pytest.fixture(scope="module")
def paintings(page_folder: Path) -> None:
    """Adds what ``stylize`` makes of the photos."""

    def paint(source: str, target: str, *more: object) -> None:
        model = page_folder / f"{target.split('.')[1]}.neuralart"
        arguments = ("--model", model, *more)
        result = run_cli("stylize", page_folder / source, page_folder / target, *arguments)
        assert result.exit_code == 0, result.output

    paint("photo.png", "photo.tiny.png")
    paint("photo.png", "photo.tiny.stage1.png", "--stage", 1)
    paint("photo.png", "photo.tiny.strength.png", "--strength", 0.3)
    paint("photo.png", "photo.other.png")
    paint("small.png", "small.tiny.png")
    paint("turned.jpg", "turned.tiny.png")
    paint("middle.png", "middle.tiny.png")
    paint("large.jpg", "large.tiny.png")
    paint("photo.png", "photo.trio.green.png", "--style", "green")
    for name, photo in (("photo", "photo.png"), ("small", "small.png"), ("large", "large.jpg")):
        paint(photo, f"{name}.trio.png", "--style", "green=0.7,red=0.3")


@pytest.mark.usefixtures("paintings")
@pytest.mark.parametrize("file", ["first", "paints", "people"])
def test_the_page(page_folder: Path, file: str) -> None:
    result = subprocess.run(
        ["npx", "vitest", "run", f"tests/page/{file}.test.ts", "--reporter=verbose"],
        cwd=WEB,
        env={**os.environ, "NEURALART_PAGE": str(page_folder), "CHROMIUM": str(CHROMIUM)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert result.returncode == 0, result.stdout
