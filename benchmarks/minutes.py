"""How well ``train --minutes`` keeps its word, on a terminal, from Enter to the prompt.

Runs the command as often as asked in a pseudo-terminal and prints, for each run: seconds, their
ratio to what was asked, the longest silence, and how far off the remaining time was that the bar
said after the first tenth of the run.

    python benchmarks/minutes.py --style starry.jpg --data photos/ --minutes 2 --times 3
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

REMAINING = re.compile(rb"(joint|stage \d|measuring).*<([\d:]+)")


@dataclass(frozen=True)
class Run:
    """What a terminal showed: the times of its outputs, and (time, remaining) of its bars."""

    seconds: float
    silence: float
    said: list[tuple[float, float]]

    def off(self) -> float:
        """The median relative error of the remaining time, from a tenth of the run to nine."""
        errors = sorted(
            abs(said - (self.seconds - at)) / (self.seconds - at)
            for at, said in self.said
            if 0.1 <= at / self.seconds <= 0.9
        )
        return errors[len(errors) // 2] if errors else float("nan")

    def most_off(self) -> float:
        """The same at its worst, where at least ten seconds are left."""
        return max(
            (
                abs(said - (self.seconds - at)) / (self.seconds - at)
                for at, said in self.said
                if at / self.seconds >= 0.1 and self.seconds - at >= 10
            ),
            default=float("nan"),
        )


def run(command: list[str]) -> Run:
    """Run a command on a terminal of its own."""
    begin = time.monotonic()
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        last, silence, said = begin, 0.0, []
        while True:
            try:
                words = os.read(ours, 65536)
            except OSError:  # the terminal is closed
                break
            if not words:
                break
            now = time.monotonic()
            silence, last = max(silence, now - last), now
            for _, remaining in REMAINING.findall(words):
                said.append((now - begin, _seconds(remaining.decode())))
    os.close(ours)
    if process.returncode:
        sys.exit(f"{command}: exit status {process.returncode}\n{words.decode(errors='replace')}")
    return Run(time.monotonic() - begin, max(silence, time.monotonic() - last), said)


def _seconds(clock: str) -> float:
    total = 0
    for part in clock.split(":"):
        total = 60 * total + int(part)
    return float(total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--style", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--times", type=int, default=3)
    options, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        for k in range(options.times):
            command = [sys.executable, "-m", "neuralart", "train", "--style", options.style]
            command += ["--data", options.data, "--minutes", str(options.minutes)]
            result = run([*command, "--out", str(Path(folder) / f"run{k}"), *more])
            ratio = result.seconds / (60 * options.minutes)
            print(  # noqa: T201
                f"{options.minutes:g} minutes: {result.seconds:.1f} s, ratio {ratio:.3f}; "
                f"longest silence {result.silence:.1f} s; remaining time off by "
                f"{result.off():.0%}, at most {result.most_off():.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
