"""What the workers of one training agree on before it begins: who takes which photos, and where it stands.

Every worker does the same with its own photos and the same sums, so each has the same parameters, losses and
checkpoints; only the leader's are kept. On one machine there is one worker, and nothing to agree on.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from neuralart.errors import ConfigError, RunError
from neuralart.options.train import TrainConfig
from neuralart.training.run import RunFolder, differences, short
from neuralart.training.workers.kvstore import Cluster

# Options that may differ from worker to worker; what the files hold is compared by checksums.
_OWN_OPTIONS = ("style", "data", "features", "start", "device", "threads")


def batch_places(config: TrainConfig, cluster: Cluster, devices: int) -> tuple[int, range]:
    """Photos of a step, and which of them are this worker's. Raises ConfigError if they do not share out."""
    each = cluster.workers * devices
    batch = config.batch or each
    if batch % each:
        raise ConfigError(
            f"--batch {batch}: is no multiple of the {each} devices of all machines; use {each} or {2 * each}"
        )
    share = batch // cluster.workers
    return batch, range(cluster.rank * share, (cluster.rank + 1) * share)


def own_folder(path: Path, cluster: Cluster) -> Path:
    """Where this worker writes its run: the leader in its place, the others where it goes with them."""
    if cluster.leads:
        return path
    folder = Path(tempfile.mkdtemp(prefix="neuralart-worker-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def check_alike(cluster: Cluster, options: dict[str, Any], inputs: dict[str, Any]) -> None:
    """Raise RunError, on every worker, if one has another version, other options or other files."""
    mine = {key: value for key, value in options.items() if key not in _OWN_OPTIONS} | inputs
    first, *others = [json.loads(row) for row in cluster.gather(json.dumps(mine).encode())]
    for rank, theirs in enumerate(others, start=1):
        changed = differences(first, theirs)
        if changed:
            key = changed[0]
            raise RunError(
                f"worker {rank} differs from worker 0: {', '.join(changed)} "
                f"(there {short(theirs.get(key))}, here {short(first.get(key))}); give every machine the same"
            )


def share_run(cluster: Cluster, run: RunFolder, resume: bool) -> dict[str, Any] | None:
    """The record of the leader's run, if it is to go on; every worker's folder then has its checkpoint."""
    record = run.read_record() if resume and cluster.leads else None
    if cluster.workers == 1:
        return record
    files = run.portable() if record is not None else {}
    index = cluster.broadcast(
        json.dumps({name: len(data) for name, data in files.items()}).encode()
    )
    data = cluster.broadcast(b"".join(files.values()))
    for name, length in json.loads(index).items():
        if not cluster.leads:
            path = run.path / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data[:length])
        data = data[length:]
    return run.read_record() if json.loads(index) else None


def leaders(cluster: Cluster, value: Any) -> Any:
    """The leader's value, as plain data."""
    return json.loads(cluster.broadcast(json.dumps(value).encode()))
