"""What the workers of one training agree on before it begins: options, photos and checkpoint.

Each worker computes gradients on its own photos. The gradients are summed over all workers, so all
have the same parameters, losses and checkpoints, and only the leader's are kept. A training by one
process has one worker and nothing to agree on.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from neuralart.engine.contract import Devices
from neuralart.errors import ConfigError, RunError
from neuralart.machine.words import short
from neuralart.options.train import TrainConfig
from neuralart.training.run import RunFolder, differences
from neuralart.training.workers.cluster import Cluster

# Options that may differ between workers. The files that they name are compared by checksums.
_OWN_OPTIONS = ("style", "data", "features", "start", "add_to", "threads")


def batch_places(config: TrainConfig, cluster: Cluster, devices: Devices) -> tuple[int, range]:
    """Return the number of photos in a batch, and which of them are this worker's.

    Raises ConfigError if --batch cannot be divided evenly among all devices.
    """
    all_devices = cluster.workers * len(devices)
    batch = config.batch or (max(2, all_devices) if devices.are_cpu else 2 * all_devices)
    if batch % all_devices:
        raise ConfigError(
            f"--batch {batch}: is no multiple of the {all_devices} devices of all machines; "
            f"use {all_devices} or {2 * all_devices}"
        )
    share = batch // cluster.workers
    return batch, range(cluster.rank * share, (cluster.rank + 1) * share)


def own_folder(path: Path, cluster: Cluster) -> Path:
    """The folder that this worker writes its run to: ``path``, or for others than the leader a
    temporary one."""
    if cluster.leads:
        return path
    folder = Path(tempfile.mkdtemp(prefix="neuralart-worker-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def check_alike(cluster: Cluster, options: dict[str, Any], inputs: dict[str, Any]) -> None:
    """Raise RunError on every worker if one of them has another version, option or file.

    ``inputs`` has the version and the checksums of the files.
    """
    mine = {key: value for key, value in options.items() if key not in _OWN_OPTIONS} | inputs
    first, *others = [json.loads(row) for row in cluster.gather(json.dumps(mine).encode())]
    for rank, theirs in enumerate(others, start=1):
        changed = differences(first, theirs)
        if changed:
            key = changed[0]
            raise RunError(
                f"worker {rank} differs from worker 0: {', '.join(changed)} "
                f"(there {short(theirs.get(key))}, here {short(first.get(key))}); "
                "give every machine the same"
            )


def share_run(cluster: Cluster, run: RunFolder, resume: bool) -> dict[str, Any] | None:
    """Return the record of the leader's run if it is to be resumed, else None.

    Copies the leader's checkpoints to the folders of the other workers.
    """
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
    """Return the leader's value, which must be JSON data. All workers must call this together."""
    return json.loads(cluster.broadcast(json.dumps(value).encode()))
