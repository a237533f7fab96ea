"""Make the demo's pictures: photographs that may be shared, and a style image made by code.

python scripts/make_pictures.py FOLDER

Writes FOLDER/photos/*.png (six photographs from scikit-image's package, public domain or CC0) and
FOLDER/painting.png (the style image: strokes along a field of whirls, in blues and yellows).
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import skimage
import skimage.io

PHOTOS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "rocket.jpg",
)

NIGHT = np.array(
    [(24, 38, 84), (37, 66, 132), (62, 104, 166), (110, 152, 190), (18, 26, 52)]
)  # RGB
LIGHT = np.array([(248, 214, 92), (236, 178, 60), (250, 240, 170)])
WHIRLS = 9
STROKES = 9000
WIND = np.array([0.0, 0.12])


def paint(height: int = 384, width: int = 512, seed: int = 4) -> np.ndarray:
    """Paint a night sky of whirls and lights, (height, width, 3) RGB uint8."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 1, (WHIRLS, 2)) * (height, width)
    radii = rng.uniform(25, 90, WHIRLS)
    spins = rng.choice([-1.0, 1.0], WHIRLS)
    lights = rng.uniform(size=WHIRLS) < 0.5
    image = np.empty((height, width, 3), np.uint8)
    image[:] = NIGHT[1]
    for _ in range(STROKES):
        point = rng.uniform(0, 1, 2) * (height, width)
        nearness = np.exp(-np.linalg.norm(centres - point, axis=1) / radii)
        whirl = int(nearness.argmax())
        lit = lights[whirl] and rng.uniform() < 2.2 * nearness[whirl] - 0.9
        palette = LIGHT if lit else NIGHT
        colour = palette[rng.integers(len(palette))] + rng.normal(0, 9, 3)
        track = [point]
        for _ in range(int(rng.integers(5, 12))):
            away = track[-1] - centres
            distance = np.linalg.norm(away, axis=1, keepdims=True) + 1e-6
            pull = np.exp(-distance / radii[:, None]) * spins[:, None]
            turn = np.stack([-away[:, 1], away[:, 0]], axis=1) / distance
            way = (pull * turn).sum(axis=0) + WIND  # the wind leads where no whirl is near
            track.append(track[-1] + 2.4 * way / (np.linalg.norm(way) + 1e-6))
        line = np.array(track)[:, ::-1].round().astype(np.int32)
        thickness = int(rng.integers(2, 5))
        cv2.polylines(image, [line], False, colour.clip(0, 255).tolist(), thickness, cv2.LINE_AA)
    return image


def main(folder: Path) -> None:
    photos = folder / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    data = Path(skimage.__file__).parent / "data"
    for name in PHOTOS:
        photo = skimage.io.imread(data / name)  # RGB or gray
        bgr = photo if photo.ndim == 2 else photo[:, :, ::-1]
        cv2.imwrite(str(photos / Path(name).with_suffix(".png")), bgr)
    cv2.imwrite(str(folder / "painting.png"), paint()[:, :, ::-1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
