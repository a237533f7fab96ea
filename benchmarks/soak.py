"""Check that the resident memory of a training does not grow over MINUTES.

python benchmarks/soak.py --style starry.jpg --data photos.rec --minutes 60
python benchmarks/soak.py --pid 1234      # a training that is running

Compares the median of the last fifth of the samples with that of the second fifth. (In the first
fifth, buffers fill.) With few photos there are many epochs, which is the harder case. Other options
go to `neuralart train`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SAMPLE_SECONDS = 2.0
LARGEST_GROWTH = 0.02


def resident_mb(pid: int) -> float | None:
    """Resident memory of a process in MB, None if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    rows = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(rows[0].split()[1]) / 1000 if rows else None


def watched(pid: int, minutes: float) -> list[float]:
    """Samples in MB until the time is over. Ends this program if the process ends earlier."""
    samples: list[float] = []
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        time.sleep(SAMPLE_SECONDS)
        sample = resident_mb(pid)
        if sample is None:
            sys.exit(f"training ended after {len(samples)} samples")
        samples.append(sample)
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--style", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--minutes", default=60.0, type=float)
    options, more = parser.parse_known_args()
    if options.pid is None and not (options.style and options.data):
        parser.error("give --style and --data, or --pid")

    if options.pid is not None:
        samples = watched(options.pid, options.minutes)
    else:
        with tempfile.TemporaryDirectory() as folder:
            # One phase that outlasts the test: a second phase would set up memory of its own.
            command = [
                *(sys.executable, "-m", "neuralart", "train"),
                *("--style", options.style, "--data", options.data, "--out", f"{folder}/run"),
                *("--steps", 10**7, "--save-every", 100, "--sheet-every", 100, *more),
            ]
            process = subprocess.Popen([str(word) for word in command])
            try:
                samples = watched(process.pid, options.minutes)
            finally:
                process.terminate()
                process.wait()
    fifth = len(samples) // 5
    before = statistics.median(samples[fifth : 2 * fifth])
    after = statistics.median(samples[-fifth:])
    growth = after / before - 1
    print(  # noqa: T201
        f"{options.minutes:g} minutes, {len(samples)} samples: {before:.0f} MB after a fifth, "
        f"{after:.0f} MB at the end, {max(samples):.0f} MB at most: {growth:+.2%}"
    )
    sys.exit(growth > LARGEST_GROWTH)


if __name__ == "__main__":
    main()
