"""The errors that a user can cause. A message is one line: what, where, what to do next.

NeuralArtError          exit code 1
├── ImageError          a picture that cannot be read or written
├── PhotosError         a folder of photos with nothing to train on
├── WeightsError        VGG features that are missing, damaged or of another network
├── ModelError          a trained style that cannot be read
├── RunError            a training run that cannot start, go on or be resumed
├── OutputError         a place that cannot or must not be written
├── BatchError          pictures of a batch that could not be painted
├── EngineError         MXNet or a device that is not there
└── ConfigError         exit code 2: a wrong option, config file or generator specification
Interrupted             Ctrl-C or SIGTERM, after saving; exit code 128 + signal
"""

from __future__ import annotations


class NeuralArtError(Exception):
    """An error that one line explains. The command ends with ``exit_code``."""

    exit_code = 1


class ImageError(NeuralArtError):
    """A picture that cannot be read or written."""


class PhotosError(NeuralArtError):
    """A folder of photos with nothing in it to train on."""


class WeightsError(NeuralArtError):
    """VGG features that are missing, damaged, or of another network."""


class ModelError(NeuralArtError):
    """A trained style that cannot be read."""


class RunError(NeuralArtError):
    """A training run that cannot start, go on, or be resumed."""


class OutputError(NeuralArtError):
    """A place that cannot or must not be written."""


class BatchError(NeuralArtError):
    """Some pictures of a batch could not be painted."""


class EngineError(NeuralArtError):
    """MXNet, one of its libraries, or a device is not there."""


class ConfigError(NeuralArtError):
    """A wrong option, config file or generator specification. Exit code 2, as click's."""

    exit_code = 2


class Interrupted(NeuralArtError):
    """A signal stopped the work, after it was saved.

    ``exit_code`` is 128 + the signal's number, as in shells: 130 for Ctrl-C.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
