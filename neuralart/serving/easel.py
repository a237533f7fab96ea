"""Paints an uploaded photo, as ``neuralart stylize`` does."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from neuralart.errors import ImageError, NeuralArtError
from neuralart.machine.crash import reason
from neuralart.machine.words import short
from neuralart.options.paint import StylizeConfig
from neuralart.painting.stylizer import Stylizer
from neuralart.pictures.editing import painted_size, resize_picture
from neuralart.pictures.reading import PictureFile
from neuralart.pictures.writing import encode_picture
from neuralart.serving.catalogue import Catalogue, Served
from neuralart.serving.guard import Refusal

MOST_BYTES = 50_000_000  # of an upload

MOST_PIXELS = 50_000_000  # of a photo: 150 MB decoded

TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
"""Formats of paintings, which all browsers show."""

PARAMETERS = ("model", "style", "strength", "size", "preserve_colors", "format")


@dataclass(frozen=True)
class Order:
    """What a request asks for.

    style     a style, or a mixture as ``wave=0.7,scream=0.3``
    strength  0..1, see `stylize --strength`
    size      longest edge of the painting in pixels, at most the photo's; None for the photo's
    format    a key of `TYPES`; None for the photo's own, else png
    """

    served: Served
    style: str
    strength: float = 1.0
    size: int | None = None
    preserve_colors: bool = False
    format: str | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, list[str]], catalogue: Catalogue) -> Order:
        """The order of a request's parameters. Raises Refusal (400)."""
        for key, values in parameters.items():
            if key not in PARAMETERS:
                raise _wrong(f"no parameter {short(key)}; there are {', '.join(PARAMETERS)}")
            if len(values) > 1:
                raise _wrong(f"{key} is there {len(values)} times")
        one = {key: values[0] for key, values in parameters.items()}
        served, style = catalogue.find(one.get("model"), one.get("style"))
        strength = _number(one, "strength", 1.0)
        if not 0 <= strength <= 1:
            raise _wrong(f"strength={short(one['strength'])}: not a number from 0 to 1")
        size = _number(one, "size", 1.0)
        if not (1 <= size <= 65535 and size == int(size)):
            raise _wrong(f"size={short(one['size'])}: not a number of pixels from 1 to 65535")
        if one.get("preserve_colors", "0") not in ("0", "1"):
            raise _wrong(f"preserve_colors={short(one['preserve_colors'])}: not 0 or 1")
        if "format" in one and one["format"] not in TYPES:
            raise _wrong(f"format={short(one['format'])}: not one of {', '.join(TYPES)}")
        return cls(
            served,
            style,
            strength,
            int(size) if "size" in one else None,
            one.get("preserve_colors") == "1",
            one.get("format"),
        )


def _wrong(text: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, text)


def _number(parameters: Mapping[str, str], key: str, default: float) -> float:
    """A finite number; nan for other words, which is in no range."""
    if key not in parameters:
        return default
    try:
        value = float(parameters[key])
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def open_upload(data: bytes) -> PictureFile:
    """Read the header of an uploaded photo.

    Raises Refusal: 415 if it is no picture, 413 if it has more than `MOST_PIXELS`.
    """
    try:
        file = PictureFile(data, "the photo", math.inf)
    except ImageError as error:
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, short(error, 300)) from None
    height, width = file.size
    if height * width > MOST_PIXELS:
        file.close()
        raise Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the photo is {width}x{height}, over the limit of {MOST_PIXELS / 1e6:.0f} "
            "megapixels here; `neuralart stylize` paints it",
        )
    return file


class Easel:
    """Paints photos, and keeps the last model ready."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._ready: tuple[StylizeConfig, Stylizer] | None = None

    def paint(self, file: PictureFile, order: Order) -> tuple[str, bytes]:
        """The media type and the bytes of the painting of a photo. Call it in the main thread.

        Raises Refusal: 415 for a damaged photo, 400 if painting cannot meet the order, 500 if it
        fails, as for want of memory.
        """
        try:
            photo = file.read()
        except ImageError as error:
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, short(error, 300)) from None
        if order.size is not None and order.size < max(photo.size):
            photo = resize_picture(photo, painted_size(photo.size, order.size))
        errors: tuple[type[Exception], ...] = (MemoryError,)
        try:
            stylizer = self._stylizer(order)
            errors = stylizer.errors
            painting = stylizer.paint(photo)
            form = order.format or file.suffix.removeprefix(".")
            form = form if form in TYPES else "png"
            buffer = io.BytesIO()
            encode_picture(buffer, painting, f".{form}")
        except NeuralArtError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, short(error, 300)) from None
        except errors as error:
            self._ready = None
            why = "out of memory" if isinstance(error, MemoryError) else short(reason(error), 200)
            raise Refusal(
                HTTPStatus.INTERNAL_SERVER_ERROR, f"the photo cannot be painted: {why}"
            ) from None
        return TYPES[form], buffer.getvalue()

    def _stylizer(self, order: Order) -> Stylizer:
        config = StylizeConfig(
            model=str(order.served.path),
            style=order.style,
            strength=order.strength,
            preserve_colors=order.preserve_colors,
            device=self._device,
        )
        if self._ready is None or self._ready[0] != config:
            self._ready = None  # first, so that two models are never in memory
            self._ready = config, Stylizer(config)
        return self._ready[1]
