"""Words from outside in our lines: on one line, short, and without power over the terminal."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from typing import Any

# Unicode's categories of control, format (as U+202E, which turns the direction of writing),
# surrogate and private characters, and of separators of lines and paragraphs.
_CONTROLS = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}

# In emoji and in the scripts of India and Persia.
_JOINERS = "\u200c\u200d"


def one_line(text: str) -> str:
    """The text with control characters as escapes, such as ``\\x1b``.

    Bytes of a file's name that are no UTF-8 become escapes such as ``\\xff``, too.
    """
    return "".join(
        character
        if character in _JOINERS or unicodedata.category(character) not in _CONTROLS
        else _escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # os.fsdecode's form of a byte
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode()


def short(value: Any, most: int = 40) -> str:
    """A value on one line, in at most ``most`` characters."""
    try:
        text = str(value)
    except (RecursionError, ValueError):  # nested too deep, or an integer with too many digits
        text = f"a {type(value).__name__}"
    return one_line(text if len(text) <= most else text[: most - 3] + "...")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean wave?`` where a known name is close to the word, else an empty text."""
    names = {_plain(name): name for name in known}
    near = difflib.get_close_matches(_plain(word), names, n=1)
    return f"; did you mean {names[near[0]]}?" if near else ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
