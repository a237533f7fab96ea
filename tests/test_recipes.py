"""Every command that README.md and docs/ show: parsed by the real command line, or run in small."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from helpers import picture, run_cli

from neuralart.cli import main, train
from neuralart.pictures.writing import write_image

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

PROJECT = Path(__file__).parents[1]

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]

SHELLS = ("sh", "bash", "console")

# Programs whose commands are not looked at, and why.
OTHERS = {
    ".": "the shell's own",
    "./paint": "what the C++ example of docs/export.md builds",
    "apt-get": "needs the network and root",
    "click-man": "is no part of the project: it reads the commands that these tests parse",
    "cat": "of every system",
    "cd": "the shell's own",
    "curl": "is no part of the project: tests/serving sends what it would",
    "dask": "is no part of the project",
    "docker": "is no part of the project",
    "g++": "is no part of the project, tests/exporting compiles the example",
    "man": "of every system",
    "mkdir": "of every system",
    "seq": "of every system",
}

# Programs that run the command after them, which is looked at.
WRAPPERS = ("sudo", "parallel", "torchrun", "xargs")

# Scripts that hand their options on to a command: its words.
SCRIPTS = {"scripts/pack_photos": ["pack"], "scripts/train_distributed": ["launch"]}

# Blocks that are run, by the beginning of a command in them.
RUN = (
    "neuralart stylize in.jpg out.jpg",
    "neuralart stylize a.jpg b.png painted/",
    "neuralart plan",
    "neuralart train --style starry.jpg --data photos/ --minutes 20",
    "neuralart evaluate runs/starry --data photos/ --held-out --sheet",
    "neuralart optimize in.jpg out.jpg --style starry.jpg --preview so-far.jpg",
    "neuralart export --verify",
)

# Commands of those blocks that are not run, and why.
NOT_RUN = {
    "--add-to": "the shipped chain is trained, for minutes",
    "--device": "needs a card",
    "--format web": "needs the built page: tests/test_wheel.py has it",
    "12000x8000": "takes seconds of a whole machine",
    "bfloat16": "needs a processor that has it",
    "int8": "needs MXNet: tests/painting/folded has it",
    "in.mp4": "tests/painting/test_video.py paints videos",
    "stylize - -": "reads standard input: tests/painting/test_batch.py paints it",
    "stylize 0 ": "needs a camera",
    "neuralart serve": "ends with Ctrl-C: tests/serving has it",
    "runs/starry/starry.style": "comes from --add-to",
    "runs/mine": "a model of the reader's",
    "runs/two": "a model of the reader's",
    "mine.style": "a style of the reader's",
}

# What makes a command quick: the last value of an option holds.
QUICK = {
    "evaluate": ["--size", "64", "--photos", "1", "--iterations", "1"],
    "optimize": ["--size", "96", "--iterations", "1", "--style-scale", "64"],
    "train": [
        "--minutes", "0.05", "--chain", "conv", "--features", "random", "--crop", "64",
        "--style-scale", "64", "--batch", "1", "--holdout", "2",
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Command:
    """A command of a page, in words, without what stands before and after it on its line."""

    where: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)


def blocks(page: Path) -> Iterator[tuple[int, str]]:
    """The number of the first line and the text of each block of commands.

    A block without a language is one if it begins with a program of ours.
    """
    lines, start, language = page.read_text().splitlines(), 0, ""
    for number, line in enumerate(lines, 1):
        if not line.startswith("```"):
            continue
        if not start:
            start, language = number + 1, line[3:].strip()
            continue
        text = "\n".join(lines[start - 1 : number - 1])
        ours = re.match(r"(neuralart|python|pip|scripts/)", text)
        if language in SHELLS or (not language and ours):
            yield start, text
        start = 0


def commands(page: Path, start: int, text: str) -> Iterator[Command]:
    """The commands of a block: of pipes and lists each one, without comments and redirections."""
    joined = re.sub(r"\\\n", " ", text)
    for offset, line in enumerate(joined.split("\n")):
        words = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|&;<>")
        words.whitespace_split = True
        found: list[str] = []
        parts: list[list[str]] = []
        for word in [*words, ";"]:
            if word in ("|", "||", "&&", "&", ";"):
                parts.append(found)
                found = []
            else:
                found.append(word)
        for part in parts:
            if redirected := next((i for i, word in enumerate(part) if word in ("<", ">")), None):
                part = part[:redirected]
            if part and re.fullmatch(r"_NEURALART_COMPLETE=(bash|fish|zsh)_source", part[0]):
                continue  # tests/options/test_completion.py runs it
            while part and re.match(r"\w+=|do$", part[0]):
                part = part[1:]
            if part:
                yield Command(f"{page.name}:{start + offset}", tuple(part))


def parse(words: Sequence[str]) -> None:
    """Let the real command line read the words. Raises click.UsageError."""
    command: click.Command = main
    context, rest = click.Context(main, info_name="neuralart"), list(words)
    while isinstance(command, click.Group):
        if not rest:
            raise click.UsageError("a command is missing")
        name, found, rest = command.resolve_command(context, rest)
        assert name and found
        if rest in (["--help"], ["-h"]) or (isinstance(found, click.Group) and not rest):
            return
        command, context = found, click.Context(found, parent=context, info_name=name)
    parsed = command.make_context(command.name, list(rest), parent=context.parent)
    if command.name == "launch":
        train.make_context("train", list(parsed.params["arguments"]))


def check(words: Sequence[str]) -> None:
    """Raise AssertionError or click.UsageError for a command that cannot work as it stands."""
    program, rest = words[0], list(words[1:])
    if program in WRAPPERS:
        if program == "torchrun":
            rest = rest[rest.index("-m") + 1 :]
        names = ["neuralart", *OTHERS]
        start = next((i for i, word in enumerate(rest) if word in names), None)
        assert start is not None, f"{program} runs no known program"
        end = rest.index(":::") if ":::" in rest else None
        check(rest[start:end])
    elif program == "neuralart":
        parse(rest)
    elif program.startswith("scripts/"):
        assert (PROJECT / program).is_file(), f"{program}: no such script"
        if program in SCRIPTS:
            parse([*SCRIPTS[program], *rest])
    elif program in ("sbatch", "python", "python3", ".venv/bin/python"):
        check_python(rest)
    elif program in ("pip", ".venv/bin/pip"):
        check_pip(rest)
    else:
        assert program in OTHERS, f"{program}: an unknown program; add it to OTHERS, or check it"


def check_python(words: Sequence[str]) -> None:
    """A file must be there and know its options; of modules, ours and those of Python pass."""
    if words[:1] == ["-m"]:
        assert words[1] in ("build", "http.server", "venv"), words
        return
    at = next(i for i, word in enumerate(words) if not word.startswith("-"))
    file = PROJECT / words[at]
    assert file.is_file(), f"{words[at]}: no such file"
    if file.suffix == ".py":
        source = file.read_text()
        for word in words[at + 1 :]:
            assert not word.startswith("--") or f'"{word}"' in source, f"{words[at]}: no {word}"


def check_pip(words: Sequence[str]) -> None:
    """Extras must be those of pyproject.toml."""
    data = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    known = data["project"]["optional-dependencies"]
    for word in words:
        if match := re.search(r"\[([\w,-]+)\]$", word):
            unknown = set(match[1].split(",")) - set(known)
            assert not unknown, f"pip: no extra {', '.join(sorted(unknown))}"


BLOCKS = [(page, *block) for page in PAGES for block in blocks(page)]

COMMANDS = [command for block in BLOCKS for command in commands(*block)]


def test_there_are_commands_and_every_exception_has_one() -> None:
    programs = {word for command in COMMANDS for word in command.words}
    assert len(COMMANDS) > 80 and {"neuralart", "pip", "scripts/demo", "python"} <= programs
    assert programs >= {*OTHERS, *WRAPPERS, *SCRIPTS}
    texts = [str(command) for command in COMMANDS]
    for words in (*RUN, *NOT_RUN):
        assert any(words in text for text in texts), words


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.where)
def test_a_command_can_work(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    try:
        check(command.words)
    except click.UsageError as error:
        pytest.fail(f"{command.where}: {command}: {error.format_message()}")


@pytest.mark.parametrize(
    "line",
    [
        "neuralart stilize in.jpg out.jpg",
        "neuralart stylize in.jpg out.jpg --colour red",
        "neuralart stylize in.jpg out.jpg --format gif",
        "neuralart train --style starry.jpg",
        "neuralart train --style a.jpg --data photos/ --steps many",
        "neuralart features fitch",
        "neuralart",
        "_NEURALART_COMPLETE=bush_source neuralart > completions",
        "neuralart plan 400x300 --overwrite",
        "neuralart launch --workers 2 --style a.jpg --data photos/ --stepps 3",
        "scripts/train_distributed --wrkers 2 --style a.jpg --data photos/",
        "seq 4 | xargs -I{} neuralart stylize in out --chard {}/4",
        "FOO=1 neuralart stylize in.jpg out.jpg --sise 3 > out.txt  # a comment",
        "scripts/none",
        "python benchmarks/none.py",
        "python benchmarks/plan.py --none",
        "pip install '.[everything]'",
        'pip install "$(echo dist/neuralart_chain-*.whl)[cpu,export]"',
        "git status",
    ],
)
def test_a_wrong_command_is_found(line: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(f"Text\n\n```sh\nneuralart models\n{line}\n```\n")
    found = [
        command
        for block in blocks(tmp_path / "page.md")
        for command in commands(tmp_path / "page.md", *block)
    ]
    check(found[0].words)
    with pytest.raises((AssertionError, click.UsageError)):
        for command in found[1:]:
            assert command.where == "page.md:5"
            check(command.words)


def is_run(command: Command) -> bool:
    text = str(command)
    return command.words[0] == "neuralart" and not any(words in text for words in NOT_RUN)


def quickly(words: Sequence[str]) -> list[str]:
    """The words of a command, with what makes it quick and lets it replace an earlier one's file."""
    name = words[0]
    params = {option for param in main.commands[name].params for option in param.opts}
    new = ["--overwrite"] if "--overwrite" in params and "--verify" not in words else []
    return [*words, *QUICK.get(name, []), *new]


@pytest.fixture(scope="module")
def kitchen(run_dir: Path, photo_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the recipes need, in small; README's training makes its run anew."""
    folder = tmp_path_factory.mktemp("kitchen")
    write_image(folder / "in.jpg", picture(0, 64, 96))
    write_image(folder / "starry.jpg", picture(1, 64, 80))
    write_image(folder / "a.jpg", picture(2, 64, 80))
    write_image(folder / "b.png", picture(3, 64, 80))
    write_image(folder / "mask.png", picture(5, 64, 96))
    (folder / "holiday" / "sub").mkdir(parents=True)
    for name in ("c.jpg", "sub/d.jpg"):
        write_image(folder / "holiday" / name, picture(4, 64, 72))
    shutil.copytree(photo_dir, folder / "photos")
    shutil.copytree(run_dir, folder / "runs" / "starry")
    return folder


TO_RUN = [
    runnable
    for block in BLOCKS
    if any(block[2].startswith(start) or f"\n{start}" in block[2] for start in RUN)
    if (runnable := [command for command in commands(*block) if is_run(command)])
]


@pytest.mark.parametrize("block", TO_RUN, ids=lambda block: block[0].where)
def test_a_recipe_works(
    block: list[Command], kitchen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(kitchen)
    for command in block:
        result = run_cli(*quickly(command.words[1:]))
        assert result.exit_code == 0, f"{command.where}: {command}\n{result.output}"
