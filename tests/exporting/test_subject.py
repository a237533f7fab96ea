"""Titles for people, made of the names of styles."""

from __future__ import annotations

import pytest
from helpers import LITTLE, random_chain

from neuralart.exporting.subject import Subject


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("starry-night", "Starry night"),
        ("composition-vii", "Composition VII"),
        ("composition_x", "Composition X"),
        ("henri-iv-in-armour", "Henri IV in armour"),
        ("vi", "Vi"),
        ("colour-mix-iiv", "Colour mix iiv"),
        ("olive--trees-", "Olive  trees "),
    ],
)
def test_a_title_is_made_of_a_name(name: str, title: str) -> None:
    chain = random_chain([LITTLE], ["wave", name])
    subject = Subject("three", chain, 1, None)
    assert [subject.title_of(style) for style in chain.styles] == ["Wave", title]
