"""Completion in the shell: what Tab offers, and the script that asks for it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from neuralart.cli import main


def offered(*words: str) -> set[str]:
    """What bash is offered for the last of the words: each as KIND,TEXT."""
    env = {
        "_NEURALART_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["neuralart", *words]),
        "COMP_CWORD": str(len(words)),
    }
    result = CliRunner().invoke(main, [], prog_name="neuralart", env=env)
    assert result.exit_code == 0, result.output
    return set(result.stdout.split())


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_a_shell_gets_its_script(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of an older bash, click says so.
    monkeypatch.setattr("click.shell_completion.BashComplete._check_version", lambda *_: None)
    env = {"_NEURALART_COMPLETE": f"{shell}_source"}
    result = CliRunner().invoke(main, [], prog_name="neuralart", env=env)
    assert result.exit_code == 0 and f"{shell}_complete" in result.stdout


def test_tab_offers_commands_options_models_and_files() -> None:
    assert offered("sty") == {"plain,stylize"}
    assert {"plain,--preserve-colors", "plain,--precision"} <= offered("stylize", "--pre")
    assert offered("plan", "--overw") == set()
    assert offered("stylize", "in") == {"file,in"}
    assert {"plain,wave", "file,wav"} == offered("stylize", "--style", "wav")
    assert {"plain,masters", "file,mast"} == offered("info", "mast")
