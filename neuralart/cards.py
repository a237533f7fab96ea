"""What a model's card says of its training: the options, and the command that they make."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuralart.config import TrainConfig
from neuralart.specs import GENERATORS


def without_folders(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as a model's card has them: files by their names, not where they lay on somebody's disk."""
    paths = ("style", "data", "features", "start")
    return {**options, **{key: Path(options[key]).name for key in paths if options.get(key)}}


def command_line(options: Mapping[str, Any]) -> str:
    """The command that trains with the options of a model's card: those that are not the defaults."""
    words = ["neuralart train"]
    for field_ in dataclasses.fields(TrainConfig):
        value = options.get(field_.name, field_.default)
        same = field_.name in ("device", "threads")  # of the machine, not of the style
        if not field_.metadata or same or value == field_.default:
            continue
        words.append(f"--{field_.name.replace('_', '-')}")
        if value is not True:
            words.append(shlex.quote(str(value)))
    if any(spec["name"] not in GENERATORS for spec in options.get("generators", [])):
        words.append("--config FILE.toml")
    return " ".join(words)
