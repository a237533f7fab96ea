"""What a training begins with: devices, photos, styles, features, loss, first weights."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuralart import __version__
from neuralart.chain.model import StyledChain, load_chain
from neuralart.chain.params import initial_params, is_row
from neuralart.chain.shipped import DEFAULT_MODEL, find_model, shipped
from neuralart.chain.specs import Generator
from neuralart.engine.contract import Devices
from neuralart.engine.devices import open_devices
from neuralart.errors import ConfigError, ImageError
from neuralart.loss.features.store import Features, load_features
from neuralart.loss.objective import LossWeights, balanced_weights
from neuralart.loss.perceptual import Perceptual
from neuralart.machine.archive import Arrays, Shapes
from neuralart.machine.terminal import bar, tell
from neuralart.options.train import RANDOM_START, RATE, ROWS_RATE, TrainConfig
from neuralart.pictures.editing import resize_shorter_edge, two_scales
from neuralart.pictures.photos.stream import Photos
from neuralart.pictures.pixels import Image, to_x
from neuralart.pictures.reading import read_image
from neuralart.training.balance import Balance, first_balance
from neuralart.training.gan.discriminator import Discriminator, first_weights
from neuralart.training.run import Checkpoint, RunFolder, State
from neuralart.training.schedule import Phase
from neuralart.training.stages import Chain
from neuralart.training.workers.cluster import Cluster
from neuralart.training.workers.team import batch_places, own_folder

log = logging.getLogger(__name__)

BALANCED_ON = 16  # photos

SMALLEST_PX = 32  # what VGG-19 takes with padding by reflection; twice that for two sizes


@dataclass(frozen=True)
class Setup:
    """What a training reads and computes with; it stays the same from the first step to the last.

    batch         photos of a step, on all devices and machines
    places        which of them are this worker's
    params        the first weights; scales and shifts have a row for each style that is learned
    gan_params    the first weights of the discriminator; none without --gan-weight
    added_to      the chain that the style is added to, if it is
    start_sha256  the checksum of the model that they are from, or nothing
    styles        the names of the styles that are learned
    style_images  (H, W, 3) each, as large as their styles are learned
    """

    config: TrainConfig
    specs: list[Generator]
    devices: Devices
    cluster: Cluster
    run: RunFolder
    batch: int
    places: range
    params: Arrays
    gan_params: Arrays
    added_to: StyledChain | None
    start_sha256: str
    styles: list[str]
    style_images: list[Image]
    features: Features
    photos: Photos
    layer_weights: tuple[tuple[float, ...], ...]
    perceptual: Perceptual

    def inputs(self) -> dict[str, Any]:
        """What was read, as checksums: a run that goes on must have read the same."""
        return {
            "version": __version__,
            "style_sha256": [_sha256(path.read_bytes()) for path in self.config.style],
            "features_sha256": self.features.sha256,
            "start_sha256": self.start_sha256,
            "photos": self.photos.count,
            "photos_sha256": self.photos.digest,
            "batch": self.batch,
        }

    def shapes(self) -> Shapes:
        """The shapes of the parameters by name; those of a checkpoint are the same."""
        return {name: array.shape for name, array in self.first().params.items()}

    def first(self) -> Checkpoint:
        """What a new run begins with."""
        balance = first_balance(len(self.styles)) if self._is_balanced else {}
        return Checkpoint(State(), {**self.params, **self.gan_params, **balance}, {})

    def chain(self, phase: Phase, checkpoint: Checkpoint) -> Chain:
        """The stages of a phase, where a checkpoint left them."""
        chain = Chain(
            self.specs,
            checkpoint.params,
            phase.trained,
            self.config.crop,
            self.devices,
            styles=len(self.styles),
            rows_alone=self.added_to is not None,
            rows_factor=1.0 if self.added_to or not self.start_sha256 else ROWS_RATE / RATE,
            coupling=phase.coupling,
            share_weights=self.config.share_weights,
            photos=self._photos_at_once(),
            batch=self.batch,
            add_up=self.cluster.sum,
        )
        chain.set_moments(checkpoint.moments, checkpoint.state.step)
        return chain

    def discriminator(self, checkpoint: Checkpoint) -> Discriminator | None:
        """The discriminator where a checkpoint left it; None without --gan-weight."""
        if not self.gan_params:
            return None
        discriminator = Discriminator(
            checkpoint.params,
            self.style_images,
            self.config.crop,
            self.devices,
            self.config.gan_weight,
            self.config.seed,
            photos=self._photos_at_once(),
            batch=self.batch,
            add_up=self.cluster.sum,
        )
        discriminator.set_moments(checkpoint.moments, checkpoint.state.step)
        return discriminator

    def balance(self, checkpoint: Checkpoint) -> Balance | None:
        """What content and layout count, where a checkpoint left it; None if that is fixed."""
        if not self._is_balanced:
            return None
        return Balance(checkpoint.params, self.config.style_left)

    @property
    def _is_balanced(self) -> bool:
        return bool(self.config.style_left) and self.config.style_weight is None

    def _photos_at_once(self) -> int:
        """Photos of a batch that a device has at once.

        One on a processor, where four at once take 1.4 times as long as four in turn
        (docs/scaling.md); all on a card, which would wait for work.
        """
        return 1 if self.devices.are_cpu else self.photos_each

    @property
    def photos_each(self) -> int:
        """Photos of a step on each device."""
        return len(self.places) // len(self.devices)


def set_up(config: TrainConfig) -> Setup:
    """Read and check everything that a training needs. Nothing is written.

    Raises NeuralArtError for a user's mistake, such as a run that is in the way.
    """
    if config.resume and config.overwrite:
        raise ConfigError(
            "--resume goes on with a run and --overwrite replaces it; give one of them"
        )
    if not (config.steps or config.joint_steps):
        raise ConfigError("--steps 0 and --joint-steps 0: nothing would be learned; raise one")
    styles = config.style_names()
    given, config = config, with_start(config)
    added_to = _chain_to_add_to(config, styles) if config.add_to else None
    if added_to:
        config = _with_chain(config, added_to.specs)
    specs = config.specs()
    folder = config.run_folder()
    RunFolder(folder).check_free(
        resume=config.resume, overwrite=config.overwrite, writes=not config.dry_run
    )
    devices = open_devices(config.device, config.precision)
    cluster = Cluster(config.kvstore, devices)
    if cluster.leads and not added_to and config.start not in (given.start, RANDOM_START):
        log.warning("note: begins with the weights of %s (--start)", config.start)
    run = RunFolder(own_folder(folder, cluster))
    batch, places = batch_places(config, cluster, devices)
    start = added_to or _start(config, specs)
    if start is None:
        count, shared = len(styles), config.share_weights
        params = initial_params(specs, config.seed, styles=count, share_weights=shared)
    else:
        params = first_params(start, styles)
    images = [_style_image(path, config) for path in config.style]
    if cluster.leads and not _has_two_scales(config):
        log.warning(
            "note: a --crop or --style-scale below %d: the style is learned at one size alone, "
            "without its large shapes",
            2 * SMALLEST_PX,
        )
    if cluster.leads:
        tell(f"reading the photos of {config.data} and {len(styles)} style image(s)")
    features = load_features(config.features)
    photos = Photos(config.data, config.crop, config.seed, config.holdout, batch)
    weights = loss_weights(config)
    perceptual = Perceptual(features, weights, devices, config.content_layer)
    sizes = weights.style_sizes
    pyramids = [two_scales(image, config.style_scale)[:sizes] for image in images]
    perceptual.set_styles(pyramids)
    layer_weights = _layer_weights(config, perceptual, photos, quiet=not cluster.leads)
    perceptual.set_styles(pyramids, layer_weights)
    gan_params = first_weights(len(styles), config.seed) if config.gan_weight else {}
    return Setup(
        config, specs, devices, cluster, run, batch, places, params, gan_params, added_to,
        "" if start is None else start.checksum, styles, images, features, photos,
        layer_weights, perceptual,
    )  # fmt: skip


def loss_weights(config: TrainConfig) -> LossWeights:
    """The weights of a training's losses but the style's."""
    return LossWeights(
        config.content_weight,
        config.layout_weight,
        config.tv_weight,
        config.checkerboard_weight,
        config.palette_weight,
        two_scales=_has_two_scales(config),
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _has_two_scales(config: TrainConfig) -> bool:
    """Whether squares and style images are large enough to be looked at in two sizes."""
    return min(config.crop, config.style_scale) >= 2 * SMALLEST_PX


def _style_image(path: Path, config: TrainConfig) -> Image:
    """A style image as large as its style is learned.

    Raises ImageError if it cannot be read, or is too small.
    """
    least = 2 * SMALLEST_PX if _has_two_scales(config) else SMALLEST_PX
    image = read_image(path)
    height, width = image.shape[:2]
    if min(height, width) < least:
        raise ImageError(
            f"{path}: {width}x{height} is too small for a style; its shorter edge needs "
            f"{least} pixels"
        )
    return resize_shorter_edge(image, config.style_scale)


def with_start(config: TrainConfig) -> TrainConfig:
    """Name the shipped chain to begin with, where none is named: the first of the same generators.

    A new style learns sooner from chains that know others than from random weights
    (docs/experiments.md).
    """
    if config.start is not None or config.add_to is not None:
        return config
    specs = config.specs()
    names = sorted(shipped(), key=lambda name: name != DEFAULT_MODEL)
    same = (name for name in names if _alike(load_chain(find_model(name)).specs, specs))
    start = RANDOM_START if config.share_weights else next(same, RANDOM_START)
    return dataclasses.replace(config, start=start)


def _start(config: TrainConfig, specs: Sequence[Generator]) -> StyledChain | None:
    """The chain of --start, or None. Raises ConfigError if its generators differ."""
    if config.start in (None, RANDOM_START):
        return None
    chain = load_chain(find_model(config.start))
    if config.share_weights or not _alike(chain.specs, specs):
        raise ConfigError(
            f"--start {config.start}: its generators are not the ones to train "
            f"({config.chain}{', shared' if config.share_weights else ''}); "
            f"use --start {RANDOM_START}"
        )
    return chain


def _chain_to_add_to(config: TrainConfig, styles: Sequence[str]) -> StyledChain:
    """The chain of --add-to. Raises ConfigError if the style cannot be added to it."""
    assert config.add_to is not None
    chain = load_chain(find_model(config.add_to))
    if len(styles) > 1:
        raise ConfigError("--add-to: adds one style; name one --style, or train without --add-to")
    if config.start is not None or config.share_weights or config.coupling != "own":
        raise ConfigError(
            "--add-to: takes the weights and generators of its model; leave --start, "
            "--share-weights and --coupling out"
        )
    if styles[0] in chain.names:
        raise ConfigError(
            f"--add-to {config.add_to}: has a style called {styles[0]} already; "
            "rename the style image"
        )
    if not any(map(is_row, chain.params)):
        raise ConfigError(
            f"--add-to {config.add_to}: has no norms, in which a style would be kept, as what "
            "`neuralart import` makes; train a model of its own: leave --add-to out"
        )
    options = chain.styles[0].card.get("options", {})
    if not options.get("layout_weight"):
        raise ConfigError(
            f"--add-to {config.add_to}: was trained on another objective, without a layout loss; "
            "train all weights from it with --start"
        )
    return chain


def _with_chain(config: TrainConfig, specs: Sequence[Generator]) -> TrainConfig:
    """The options with a chain's own generators, so that cards and records have them."""
    own = {spec.name: dataclasses.replace(spec, grain=0.0) for spec in specs}
    return dataclasses.replace(
        config,
        grain=specs[0].grain,
        chain=",".join(spec.name for spec in specs),
        generators={**config.generators, **own},
    )


def first_params(chain: StyledChain, styles: Sequence[str]) -> Arrays:
    """The parameters of a chain with a row for each style: its own if the chain knows it, else the
    mean of all that it knows, which shows none of them.
    """
    params: Arrays = {}
    for name, array in chain.params.items():
        if is_row(name):
            known = dict(zip(chain.names, array, strict=True))
            mean = array.mean(axis=0)
            array = np.stack([known.get(style, mean) for style in styles])
        params[name] = array
    return params


def _alike(some: Sequence[Generator], others: Sequence[Generator]) -> bool:
    """Whether the weights of one chain fit the other, whatever its generators are called."""
    return [spec.layers for spec in some] == [spec.layers for spec in others]


def _layer_weights(
    config: TrainConfig, perceptual: Perceptual, photos: Photos, *, quiet: bool
) -> tuple[tuple[float, ...], ...]:
    """The weight of every style term, for each style: that of the options, or as measured."""
    terms = perceptual.weights.style_terms
    if config.style_weight is not None:
        return ((config.style_weight,) * len(terms),) * len(config.style)
    squares = (photos.held_out or photos.samples)[:BALANCED_ON]
    counted = bar(squares, len(squares), "photo", "weighing the style", quiet=quiet)
    distances = np.stack([perceptual.style_distances(to_x(square)) for square in counted], axis=1)
    sizes = perceptual.weights.style_sizes
    return tuple(
        tuple(
            weight
            for part in np.split(rows, sizes, axis=1)
            for weight in balanced_weights(part.tolist())
        )
        for rows in distances
    )
