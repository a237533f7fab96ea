"""Words from outside on the terminal: escaped, and short."""

from __future__ import annotations

import os
from typing import Any

import pytest

from neuralart.machine.words import did_you_mean, one_line, short


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größer 漢字 🎨 👩\u200d🎨 a b", "größer 漢字 🎨 👩\u200d🎨 a b"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("a\u202egnp.exe", "a\\u202egnp.exe"),
        ("a\u2028b\ue000", "a\\u2028b\\ue000"),
        (os.fsdecode(b"a\xffb"), "a\\xffb"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert one_line(text) == shown
    shown.encode()


def test_a_value_is_short() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert short("a" * 99) == "a" * 37 + "..."
    assert short("a" * 40) == "a" * 40
    assert short("a\n" * 50, 10) == "a\\na\\na\\na..."
    assert short(deep) == "a list"
    assert short(10**5000) == "a int"
    assert short(None) == "None"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("wav", "wave"),
        ("Wave", "wave"),
        ("starry_nigth", "starry-night"),
        ("starrynight", "starry-night"),
        ("MINE", "My_Mine"),
        ("cubism", None),
        ("", None),
        ("x" * 5000, None),
    ],
)
def test_a_near_name_is_meant(word: str, meant: str | None) -> None:
    known = ["wave", "starry-night", "My_Mine", "scream"]
    assert did_you_mean(word, known) == (f"; did you mean {meant}?" if meant else "")
