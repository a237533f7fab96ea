"""Train on packed photos for MINUTES and watch the process's resident memory: it must not grow.

python benchmarks/soak.py --style starry.jpg --data photos.rec --minutes 60

The first fifth of the samples is left out, in which buffers fill; of the rest, the median of the last fifth is
compared with that of the first. Epochs are many where the photos are few, which is the harder case.
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--style", required=True, type=Path)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--minutes", default=60.0, type=float)
    options, more = parser.parse_known_args()

    with tempfile.TemporaryDirectory() as folder:
        # One phase, so that no memory is set up later: the hundreds of steps of a stage, until it is told to stop.
        command = [sys.executable, "-m", "neuralart", "train", "--style", options.style, "--data", options.data,
                   "--out", f"{folder}/run", "--steps", 10**7, "--save-every", 100, "--sheet-every", 100, *more]  # fmt: skip
        process = subprocess.Popen([str(word) for word in command])
        samples: list[float] = []
        end = time.monotonic() + options.minutes * 60
        while time.monotonic() < end:
            time.sleep(SAMPLE_SECONDS)
            if process.poll() is not None:
                sys.exit(f"training ended with exit code {process.returncode}")
            sample = resident_mb(process.pid)
            samples += [sample] if sample else []
        process.terminate()
        process.wait()
    fifth = len(samples) // 5
    before = statistics.median(samples[fifth : 2 * fifth])
    after = statistics.median(samples[-fifth:])
    growth = after / before - 1
    print(  # noqa: T201
        f"{options.minutes:g} minutes, {len(samples)} samples: {before:.0f} MB after a fifth, {after:.0f} MB at the end, "
        f"{max(samples):.0f} MB at most: {growth:+.2%}"
    )
    sys.exit(growth > LARGEST_GROWTH)


if __name__ == "__main__":
    main()
