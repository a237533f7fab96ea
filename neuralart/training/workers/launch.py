"""``neuralart launch``: train with several processes, here or on the machines of a host file.

Starts workers and watches them; for MXNet also the scheduler and the servers of its ``dist_sync``.
PyTorch's workers add up among themselves. ps-lite waits for ever for a dead worker. So when a
process fails, the other workers get SIGTERM; they save, and the job ends. If this process is
killed, the others end too.

Machines are reached by ssh and must have the same neuralart at the same path as here. The processes
use no encryption and no password among themselves, and MXNet's servers unpickle what reaches their
ports: whoever reaches one can run code as this user. Workers of this machine alone are reached by
loopback alone. With --hosts, use a network that you trust.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from neuralart.engine.contract import MEETING_FILE
from neuralart.engine.devices import is_torch
from neuralart.errors import ConfigError, Interrupted, RunError
from neuralart.machine.signals import deferred_signals
from neuralart.options.train import LaunchConfig
from neuralart.training.workers.hosts import (
    LOCAL,
    Host,
    check_versions,
    name_in_net,
    own_address,
    read_hosts,
)
from neuralart.training.workers.job import STOP_SECONDS, Job, how_it_ended

log = logging.getLogger(__name__)

# Variables of this machine that hold on every machine.
_PASSED_ON = (
    "DMLC_INTERFACE", "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "OMP_NUM_THREADS", "PS_VERBOSE",
)  # fmt: skip


def launch(config: LaunchConfig, arguments: Sequence[str], device: str = "cpu") -> None:
    """Run ``neuralart train`` with these arguments on every worker; ``device`` is their --device.

    Raises ConfigError for a wrong host file, RunError if a machine does not answer or has another
    version. When a process dies or a signal comes, the workers save their run and stop; then this
    raises RunError, or Interrupted for SIGINT and SIGTERM.
    """
    hosts = read_hosts(config.hosts) if config.hosts else [Host(LOCAL, config.workers)]
    if device.startswith("cuda:") and any(host.slots > 1 for host in hosts):
        raise ConfigError(
            f"--device {device}: the workers of a machine would share it; use --device cuda, "
            "which is another card for each"
        )
    far = [host.name for host in hosts if host.name != LOCAL]
    if far:
        check_versions(far)
    by_torch = is_torch(device)
    servers = (
        [] if by_torch else [hosts[i % len(hosts)] for i in range(config.servers or len(hosts))]
    )
    port = str(config.port or _free_port())
    env = {
        key: value
        for key, value in os.environ.items()
        if key in _PASSED_ON or key.startswith("NEURALART_")
    }
    env |= (
        _torch_env(config, hosts, port) if by_torch else _kvstore_env(config, hosts, servers, port)
    )
    if far:
        address = env["MASTER_ADDR" if by_torch else "DMLC_PS_ROOT_URI"]
        log.warning(
            "note: the workers meet at %s, port %s, without password or encryption: whoever reaches "
            "that port, or those that they choose, can run code here; --address names another "
            "network's address",
            address,
            port,
        )
    job = Job()
    with deferred_signals() as interrupts, tempfile.TemporaryDirectory() as folder:
        if by_torch and not far:
            env[MEETING_FILE] = str(Path(folder) / "meeting")
        try:
            # In these two roles, MXNet does its work while it is imported.
            serve = [sys.executable, "-c", "import neuralart.engine.door"]
            if servers:
                job.start("the scheduler", LOCAL, serve, {**env, "DMLC_ROLE": "scheduler"}, None)
            for number, host in enumerate(servers):
                name = f"server {number}" + (f" on {host.name}" if far else "")
                job.start(name, host.name, serve, {**env, "DMLC_ROLE": "server"}, None)
            train = [sys.executable, "-m", "neuralart", "train", *arguments]
            train += ["--kvstore", "dist_sync"]
            places = [(host.name, slot) for host in hosts for slot in range(host.slots)]
            for number, (host_name, slot) in enumerate(places):
                role = {"DMLC_ROLE": "worker", "DMLC_TASK_ID": str(number)}
                if by_torch:
                    role = {"RANK": str(number), "LOCAL_RANK": str(slot)}
                name = f"worker {number}" + (f" on {host_name}" if far else "")
                job.start(name, host_name, train, {**env, **role}, number)
            _watch(job, interrupts)
        finally:
            job.end()


def _kvstore_env(
    config: LaunchConfig, hosts: Sequence[Host], servers: Sequence[Host], port: str
) -> dict[str, str]:
    """The variables by which the processes of a job of MXNet find each other."""
    far = [host.name for host in hosts if host.name != LOCAL]
    address = config.address or (own_address(far[0]) if far else "127.0.0.1")
    env = {
        "DMLC_PS_ROOT_URI": address,
        "DMLC_PS_ROOT_PORT": port,
        "DMLC_NUM_WORKER": str(sum(host.slots for host in hosts)),
        "DMLC_NUM_SERVER": str(len(servers)),
    }
    if not far:
        return env | {"DMLC_INTERFACE": "lo", "DMLC_NODE_HOST": address}
    return env if "DMLC_INTERFACE" in os.environ else env | {"DMLC_NODE_HOST": address}


def _torch_env(config: LaunchConfig, hosts: Sequence[Host], port: str) -> dict[str, str]:
    """The variables by which the workers of a job of PyTorch find each other: at worker 0."""
    far = [host.name for host in hosts if host.name != LOCAL]
    here = hosts[0].name == LOCAL
    address = config.address or (own_address(far[0]) if far else "127.0.0.1")
    env = {
        "MASTER_ADDR": address if here else name_in_net(hosts[0].name),
        "MASTER_PORT": port,
        "WORLD_SIZE": str(sum(host.slots for host in hosts)),
    }
    return env if far else env | {"GLOO_SOCKET_IFNAME": "lo"}


def _watch(job: Job, interrupts: Sequence[int]) -> None:
    """Wait until all workers are done. Raises RunError or Interrupted if the job stops early."""
    dead = None
    while job.running():
        job.beat()
        time.sleep(0.2)
        dead = job.dead()
        if dead is not None or interrupts:
            job.ask_to_stop()
            job.wait_for_workers(STOP_SECONDS)
            break
    dead = dead or job.dead()
    if interrupts:
        raise Interrupted(
            "the job is stopped; the same command with --resume goes on", interrupts[0]
        )
    if dead is not None:
        raise RunError(
            f"{dead.name} {how_it_ended(dead.process.returncode)}, so the job is stopped; "
            "if worker 0 has saved its run, the same command with --resume goes on"
        )


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
