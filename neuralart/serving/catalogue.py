"""The models that are served: the shipped ones and those of --model, with their styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from neuralart.chain.choice import load_choice
from neuralart.chain.model import STYLE_SUFFIX, StyledChain
from neuralart.chain.shipped import MODEL_NAME, SUFFIX, find_style, shipped
from neuralart.errors import ConfigError
from neuralart.exporting.subject import Subject, file_names
from neuralart.machine.words import did_you_mean, short
from neuralart.serving.guard import Refusal


@dataclass(frozen=True)
class Served:
    """A model that is served.

    name     by which requests name it
    path     its file
    subject  its chain, as `export` takes it
    """

    name: str
    path: Path
    subject: Subject

    @property
    def chain(self) -> StyledChain:
        return self.subject.chain

    def facts(self) -> dict[str, Any]:
        """Names and titles for the page."""
        styles = [
            {
                "name": style.name,
                "title": self.subject.title_of(style),
                "thumbnail": f"/thumbnails/{self.name}/{k}" if style.thumbnail else "",
            }
            for k, style in enumerate(self.chain.styles)
        ]
        return {"name": self.name, "title": self.subject.title, "styles": styles}


class Catalogue:
    """The served models by name. At least one is there."""

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        """Read the shipped models and those that ``words`` name.

        folder  gets a copy of each that does not ship: a training may replace its own

        Raises ModelError if one cannot be read, ConfigError if there is none.
        """
        files = list(shipped().values())
        chains = [load_choice(str(path))[0] for path in files]
        names = [path.stem for path in files]
        given = [
            (_name(word), load_choice(word)[0])
            for word in words
            if word.endswith(STYLE_SUFFIX) or find_style(word)[0] not in files
        ]
        names = file_names([*names, *(name for name, _ in given)])
        for name, (_, chain) in zip(names[len(files) :], given, strict=True):
            path = folder / f"{name}{SUFFIX}"
            chain.save(path)
            files.append(path)
            chains.append(chain)
        if not files:
            raise ConfigError("no model ships with this installation; name one with --model")
        self.models = {
            name: Served(name, path, Subject(name, chain, len(chain.specs), None))
            for name, path, chain in zip(names, files, chains, strict=True)
        }
        self.first = names[len(shipped())] if given else names[0]

    def facts(self) -> list[dict[str, Any]]:
        """What the page shows; the first of --model comes first."""
        ordered = sorted(self.models.values(), key=lambda served: served.name != self.first)
        return [served.facts() for served in ordered]

    def find(self, model: str | None, style: str | None) -> tuple[Served, str]:
        """The model, and the style or mixture of it. Without a model: one that knows the style.

        Raises Refusal (400) for an unknown model or style.
        """
        if model is not None and model not in self.models:
            raise Refusal(
                HTTPStatus.BAD_REQUEST,
                f"no model {short(model)}; there are {', '.join(self.models)}"
                f"{did_you_mean(model, self.models)}",
            )
        served = self.models[model or self.first]
        if model is None and style is not None:
            first = style.split(",")[0].partition("=")[0].strip()
            candidates = (each for each in self.models.values() if first in each.chain.names)
            served = next(candidates, served)
        if style is None:
            return served, served.chain.names[0]
        try:
            # Style files are for the command line: a request opens no file.
            if any(
                part.partition("=")[0].strip().endswith(STYLE_SUFFIX) for part in style.split(",")
            ):
                raise ConfigError(f"--style {short(style)}: name a style of the model")
            served.chain.mixture(style)
        except ConfigError as error:
            text = short(str(error).removeprefix("--style "), 400)
            raise Refusal(HTTPStatus.BAD_REQUEST, f"style {text}") from None
        return served, style


def _name(word: str) -> str:
    """A name for a model: of its file, or of its run."""
    if word.endswith(STYLE_SUFFIX):
        return Path(word).stem
    path = find_style(word)[0].resolve()
    return path.parent.name if path.name == MODEL_NAME else path.stem
