"""Make click options of dataclass fields, and read their defaults from TOML files.

Precedence: command line, ``NEURALART_TRAIN_*`` in the environment, config file, dataclass.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from neuralart.chain.specs import generator_from_dict
from neuralart.errors import ConfigError
from neuralart.machine.documents import MOST_TOML, parse_toml
from neuralart.machine.words import did_you_mean, short

F = TypeVar("F", bound=Callable[..., Any])

_GENERATORS = "neuralart.generators"

_LARGEST_INTEGER = 2**31 - 1


def options_of(config: type, only: Sequence[str] | None = None) -> Callable[[F], F]:
    """Make a decorator that adds the options of a dataclass to a click command.

    only  the fields to add; by default all that are options
    """
    hints = typing.get_type_hints(config)

    def decorate(command: F) -> F:
        for field in reversed(dataclasses.fields(config)):
            if field.metadata and (only is None or field.name in only):
                command = _option(field, _plain_type(hints[field.name]))(command)
        return command

    return decorate


def _plain_type(hint: Any) -> type:
    """The type of an option: ``int`` for ``int | None``."""
    if isinstance(hint, types.UnionType):
        hint = next(kind for kind in typing.get_args(hint) if kind is not type(None))
    return typing.cast(type, hint)


def _option(field: dataclasses.Field[Any], kind: type) -> Callable[[F], F]:
    """The click option of a field, as a decorator."""
    name = f"--{field.name.replace('_', '-')}"
    required = field.default is dataclasses.MISSING
    shared: dict[str, Any] = {"help": field.metadata["help"], "required": required}
    if typing.get_origin(kind) is tuple and Path in typing.get_args(kind):
        path = click.Path(path_type=Path)
        return click.option(
            name, multiple=True, type=path, metavar=field.metadata["unit"], **shared
        )
    if typing.get_origin(kind) is tuple:
        return click.option(
            name,
            multiple=True,
            callback=_words_of(field.metadata["choices"]),
            default=field.default,
            show_default=True,
            metavar=field.metadata["unit"],
            **shared,
        )
    if kind is bool:
        return click.option(name, is_flag=True, default=field.default, **shared)
    if field.metadata["unit"] in ("MODEL", "STYLE"):
        shared["shell_complete"] = complete_model
    if not required:
        shared |= {"default": field.default, "show_default": field.default is not None}
    return click.option(
        name, type=_type(field, kind), metavar=field.metadata["unit"] or None, **shared
    )


def complete_model(ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
    """What a shell offers for a MODEL or STYLE: shipped names, and files."""
    from neuralart.chain.shipped import shipped, shipped_styles

    names = sorted({*shipped(), *shipped_styles()})
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return [*found, CompletionItem(incomplete, type="file")]


def _words_of(choices: tuple[str, ...]) -> Callable[..., tuple[str, ...]]:
    """Make the callback of an option that takes several words: with commas, or by repetition."""

    def split(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
        words = dict.fromkeys(word.strip() for value in values for word in value.split(","))
        for word in words:
            if word not in choices:
                raise click.BadParameter(f"{word!r} is not one of {', '.join(choices)}.")
        return tuple(words)

    return split


def _type(field: dataclasses.Field[Any], kind: type) -> Any:
    """The click type that checks choices and range of a field."""
    if field.metadata["choices"]:
        return click.Choice(field.metadata["choices"])
    low, high = field.metadata["range"] or (None, None)
    if kind is int:
        return _WholeRange(low, high)
    if kind is float:
        return _FiniteRange(low, high)
    return click.Path(path_type=Path) if kind is Path else kind


class _WholeRange(click.IntRange):
    """A range of integers that all libraries take."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        number = super().convert(value, param, ctx)
        if abs(number) > _LARGEST_INTEGER:
            self.fail(f"{short(number)} is over {_LARGEST_INTEGER}.", param, ctx)
        return number


class _FiniteRange(click.FloatRange):
    """A range of floats that refuses nan and inf."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        number = super().convert(value, param, ctx)
        if number != number or number in (float("inf"), float("-inf")):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def config_option(command: F) -> F:
    """Add ``--config FILE.toml``. The option is read first, wherever it stands on the line."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_read_config,
        metavar="FILE.toml",
        help="Read options from a file's section [train], generators from [generators.NAME].",
    )(command)


def _read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Make a TOML file's values the command's defaults. Raises ConfigError for a wrong file."""
    if path is None:
        return
    try:
        with path.open("rb") as file:
            data = parse_toml(file.read(MOST_TOML + 1))
    except OSError as error:
        raise ConfigError(f"--config {path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigError(f"--config {path}: not TOML: {short(error, 200)}") from None
    assert ctx.command.name
    sections = {ctx.command.name, "generators"}
    for section, table in data.items():
        if section not in sections or not isinstance(table, dict):
            known = ", ".join(f"[{name}]" for name in sorted(sections))
            raise ConfigError(
                f"--config {path}: unknown section {short(repr(section))}; known are {known}"
            )
    params = {p.name: p for p in ctx.command.params if p.name and p.name != "config"}
    known_keys = list(params)
    defaults = {}
    for key, value in data.get(ctx.command.name, {}).items():
        if key not in known_keys:
            hint = did_you_mean(key, known_keys) or f"; known are {', '.join(known_keys)}"
            raise ConfigError(f"--config {path}: unknown key {short(repr(key))}{hint}")
        _check_value(path, key, value)
        if getattr(params[key], "multiple", False):
            value = value if isinstance(value, list) else [value]
        elif isinstance(value, list):
            value = ",".join(map(str, value))
        defaults[key] = value
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
    ctx.meta[_GENERATORS] = {
        name: generator_from_dict(name, table) for name, table in data.get("generators", {}).items()
    }


def _check_value(path: Path, key: str, value: Any) -> None:
    """Raise ConfigError unless a config's value may stand on a command line, alone or in a list."""
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, (str, int, float)):
            kinds: dict[type, str] = {dict: "a table", list: "a list in a list"}
            kind = kinds.get(type(each), "a date or time")
            raise ConfigError(
                f"--config {path}: {key} is {kind}, not a value; write one, as {key} = 3"
            )
        if isinstance(each, str) and "\0" in each:
            raise ConfigError(f"--config {path}: {key} holds a NUL character; remove it")


def generators_of_config() -> dict[str, Any]:
    """The generators, by name, that the config file of the running command defines."""
    found: dict[str, Any] = click.get_current_context().meta.get(_GENERATORS, {})
    return found
