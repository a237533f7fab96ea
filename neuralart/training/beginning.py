"""What a training begins with: devices, photos, style, features, the loss, and the first weights."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from neuralart import __version__
from neuralart.chain.model import load_model
from neuralart.chain.params import initial_params
from neuralart.chain.shipped import DEFAULT_MODEL, find_model, shipped
from neuralart.chain.specs import Generator
from neuralart.engine.contract import Devices
from neuralart.engine.devices import open_devices
from neuralart.errors import ConfigError
from neuralart.loss.features.store import Features, load_features
from neuralart.loss.layers import STYLE_LAYERS
from neuralart.loss.objective import LossWeights, balanced_weights
from neuralart.loss.perceptual import Perceptual
from neuralart.machine.archive import Arrays
from neuralart.options.train import RANDOM_START, TrainConfig
from neuralart.pictures.editing import resize_shorter_edge
from neuralart.pictures.photos.stream import Photos
from neuralart.pictures.pixels import Image, X, to_x
from neuralart.pictures.reading import read_image
from neuralart.training.run import Checkpoint, RunFolder
from neuralart.training.schedule import Phase
from neuralart.training.stages import Chain
from neuralart.training.workers.kvstore import Cluster
from neuralart.training.workers.team import batch_places, own_folder

log = logging.getLogger(__name__)

BALANCED_ON = 16  # photos


@dataclass(frozen=True)
class Setup:
    """What a training reads and computes with; it stays the same from the first step to the last.

    batch         photos of a step, on all devices and machines
    places        which of them are this worker's
    params        the first weights
    start_sha256  the checksum of the model that they are from, or nothing
    style_image   (H, W, 3), as large as its style is learned
    """

    config: TrainConfig
    specs: list[Generator]
    devices: Devices
    cluster: Cluster
    run: RunFolder
    batch: int
    places: range
    params: Arrays
    start_sha256: str
    style_image: Image
    features: Features
    photos: Photos
    weights: LossWeights
    perceptual: Perceptual

    def inputs(self) -> dict[str, Any]:
        """What was read, as checksums: a run that goes on must have read the same."""
        return {
            "version": __version__,
            "style_sha256": hashlib.sha256(self.config.style.read_bytes()).hexdigest(),
            "features_sha256": self.features.sha256,
            "start_sha256": self.start_sha256,
            "photos": self.photos.count,
            "photos_sha256": self.photos.digest,
            "batch": self.batch,
        }

    def chain(self, phase: Phase, checkpoint: Checkpoint) -> Chain:
        """The stages of a phase, where a checkpoint left them."""
        chain = Chain(
            self.specs,
            checkpoint.params,
            phase.trained,
            self.config.crop,
            self.devices,
            coupling=phase.coupling,
            share_weights=self.config.share_weights,
            photos=self._photos_at_once(),
            batch=self.batch,
            add_up=self.cluster.sum,
        )
        chain.set_moments(checkpoint.moments, checkpoint.state.step)
        return chain

    def _photos_at_once(self) -> int:
        """Photos of a batch that a device has at once.

        One on a processor, where four at once take 1.4 times as long as four in turn
        (docs/scaling.md); all on a card, which would wait for work.
        """
        return 1 if self.devices.are_cpu else len(self.places) // len(self.devices)


def set_up(config: TrainConfig) -> Setup:
    """Read and check everything that a training needs. Nothing is written.

    Raises NeuralArtError for a user's mistake, such as a run that is in the way.
    """
    if config.resume and config.overwrite:
        raise ConfigError(
            "--resume goes on with a run and --overwrite replaces it; give one of them"
        )
    given, config = config, with_start(config)
    specs = config.specs()
    folder = config.run_folder()
    RunFolder(folder).check_free(resume=config.resume, overwrite=config.overwrite)
    devices = open_devices(config.device)
    cluster = Cluster(config.kvstore, len(devices))
    if cluster.leads and config.start not in (given.start, RANDOM_START):
        log.warning("note: begins with the weights of %s (--start)", config.start)
    run = RunFolder(own_folder(folder, cluster))
    batch, places = batch_places(config, cluster, len(devices))
    params, start_sha256 = first_params(config, specs)
    style_image = resize_shorter_edge(read_image(config.style), config.style_scale)
    features = load_features(config.features)
    photos = Photos(config.data, config.crop, config.seed, config.holdout, batch)
    weights = loss_weights(config, features, to_x(style_image), photos, devices)
    perceptual = Perceptual(features, weights, devices, config.content_layer)
    perceptual.set_style(to_x(style_image))
    return Setup(
        config, specs, devices, cluster, run, batch, places, params, start_sha256,
        style_image, features, photos, weights, perceptual,
    )  # fmt: skip


def with_start(config: TrainConfig) -> TrainConfig:
    """Name the shipped style to begin with, where none is named: the default one, or another one of
    the same chain.

    A new style learns sooner from any trained one than from random weights (docs/experiments.md,
    section 5).
    """
    if config.start is not None:
        return config
    specs = config.specs()
    styles = sorted(shipped(), key=lambda name: name != DEFAULT_MODEL)
    same = (name for name in styles if _alike(load_model(find_model(name)).specs, specs))
    start = RANDOM_START if config.share_weights else next(same, RANDOM_START)
    return dataclasses.replace(config, start=start)


def first_params(config: TrainConfig, specs: Sequence[Generator]) -> tuple[Arrays, str]:
    """Random weights, or those of --start and their checksum.

    Raises ConfigError if the generators of --start are others.
    """
    if config.start in (None, RANDOM_START):
        return initial_params(specs, config.seed, share_weights=config.share_weights), ""
    model = load_model(find_model(config.start))
    weights = b"".join(model.params[name].tobytes() for name in sorted(model.params))
    if config.share_weights or not _alike(model.specs, specs):
        raise ConfigError(
            f"--start {config.start}: its generators are not the ones to train "
            f"({config.chain}{', shared' if config.share_weights else ''}); use --start {RANDOM_START}"
        )
    return dict(model.params), hashlib.sha256(weights).hexdigest()


def _alike(some: Sequence[Generator], others: Sequence[Generator]) -> bool:
    """Whether the weights of one chain fit the other, whatever its generators are called."""
    return [spec.layers for spec in some] == [spec.layers for spec in others]


def loss_weights(
    config: TrainConfig, features: Features, style_x: X, photos: Photos, devices: Devices
) -> LossWeights:
    """The weights of the options; those of the style layers are measured where none is given."""
    style: float | tuple[float, ...] | None = config.style_weight
    if style is None:
        loss = Perceptual(features, LossWeights(1, 0, 0), devices.first())
        loss.set_style(style_x)
        rows = []
        for square in (photos.held_out or photos.samples)[:BALANCED_ON]:
            x0 = to_x(square)
            loss.set_content(x0)
            losses, _ = loss.score(x0)
            rows.append([losses[f"style_{layer}"] for layer in STYLE_LAYERS])
        style = balanced_weights(rows)
    return LossWeights(style, config.content_weight, config.tv_weight, config.checkerboard_weight)
