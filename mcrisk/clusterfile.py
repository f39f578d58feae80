"""What `--cluster` says: this machine, a scheduler's address, or a TOML file of configs/clusters that asks for jobs.

    kind = "slurm"              # local, processes, slurm, pbs, lsf, sge, oar, htcondor, cuda, kubernetes, gateway
    jobs = 8                    # or workers = N; or [adapt] with minimum and maximum
    gpu = true                  # one GPU and one worker process for each job

    [options]                   # handed to the class of that kind, such as dask_jobqueue.SLURMCluster
    cores = 16
    memory = "32 GB"
    walltime = "02:00:00"
    interface = "ib0"           # where the workers reach the scheduler; without it, it listens on loopback alone

The classes are those of their own projects, named here once: a file cannot name another, and no code comes from it.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import config, units
from .errors import InfrastructureError, MistakeError, suggestion, visible

__all__ = ["ClusterSpec", "read_cluster"]

LOOPBACK = "127.0.0.1"
KEYS = ("title", "kind", "jobs", "workers", "gpu", "adapt", "options")


@dataclass(frozen=True)
class Kind:
    """A class that starts workers: where it is, what brings it, what asks its queue for a GPU."""

    module: str
    name: str
    package: str
    gpu: tuple[str, ...] = ()
    queue: bool = False  # of dask-jobqueue: jobs, not workers


KINDS = {
    "slurm": Kind("dask_jobqueue", "SLURMCluster", "dask-jobqueue", ("--gres=gpu:1",), True),
    "pbs": Kind("dask_jobqueue", "PBSCluster", "dask-jobqueue", ("-l ngpus=1",), True),
    "lsf": Kind("dask_jobqueue", "LSFCluster", "dask-jobqueue", ('-gpu "num=1"',), True),
    "sge": Kind("dask_jobqueue", "SGECluster", "dask-jobqueue", ("-l gpu=1",), True),
    "oar": Kind("dask_jobqueue", "OARCluster", "dask-jobqueue", (), True),
    "htcondor": Kind("dask_jobqueue", "HTCondorCluster", "dask-jobqueue", (), True),
    "cuda": Kind("dask_cuda", "LocalCUDACluster", "dask-cuda[cu13] (driver for CUDA 13) or dask-cuda[cu12]"),
    "kubernetes": Kind("dask_kubernetes.operator", "KubeCluster", "dask-kubernetes"),
    "gateway": Kind("dask_gateway", "GatewayCluster", "dask-gateway"),
}
OWN = ("local", "processes")


@dataclass(frozen=True)
class ClusterSpec:
    """Where the workers are. address: of a scheduler, or its scheduler file."""

    kind: str = "local"
    address: str = ""
    jobs: int = 0
    workers: int = 0
    gpu: bool = False
    adapt: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""

    @property
    def described(self) -> str:
        """For messages."""
        if self.kind == "address":
            return f"scheduler {visible(self.address)}"
        return {"local": "this machine", "processes": "processes of this machine"}.get(
            self.kind, f"{self.kind} cluster"
        )

    def make(self, tell: Callable[[str], None]) -> Any:
        """The cluster object of its own project, with options that a landing campaign wants."""
        kind = KINDS[self.kind]
        try:
            made = getattr(importlib.import_module(kind.module), kind.name)
        except ImportError as error:
            text = f"{self.file}: kind {self.kind} needs {kind.package}, which is not installed ({error})"
            remedy = f"install {kind.package} for {sys.executable}"
            if kind.queue:
                remedy = "try MCRISK_EXTRAS=cluster ./scripts/mcrisk, or pip install 'mcrisk[cluster]'"
            raise InfrastructureError(text, remedy=remedy) from error
        return made(**self.prepared(tell))

    def prepared(self, tell: Callable[[str], None]) -> dict[str, Any]:
        """[options] with defaults: one process for each job, loopback unless an address is named, a GPU if asked."""
        kind, options = KINDS[self.kind], dict(self.options)
        if self.kind == "cuda":  # of this machine, for this machine
            return {"host": LOOPBACK, "dashboard_address": f"{LOOPBACK}:0"} | options
        if not kind.queue:
            return options
        options.setdefault("processes", 1)  # threads inside: the kernel holds no Python lock, a GPU takes one process
        if self.gpu:
            options["job_extra_directives"] = [*kind.gpu, *options.get("job_extra_directives", ())]
        scheduler = dict(options.get("scheduler_options", {}))
        if not options.get("interface") and not {"host", "interface"} & scheduler.keys():
            tell(
                f"{self.file}: the scheduler listens on {LOOPBACK} alone; workers of other machines need "
                f"interface = ... in [options]"
            )
            scheduler["host"] = LOOPBACK
            options["worker_extra_args"] = [*options.get("worker_extra_args", ()), "--host", LOOPBACK]
        scheduler.setdefault("dashboard_address", f"{LOOPBACK}:0")
        if "--dashboard-address" not in (own := options.get("worker_extra_args", ())):
            options["worker_extra_args"] = [*own, "--dashboard-address", f"{LOOPBACK}:0"]
        return options | {"scheduler_options": scheduler}


def read_cluster(text: str = "") -> ClusterSpec:
    """What --cluster means; without it DASK_SCHEDULER_ADDRESS, else this machine. Raises `MistakeError`."""
    where = "--cluster" if text else "DASK_SCHEDULER_ADDRESS"
    if not isinstance(text, str):
        raise MistakeError("cluster", "a text: local, an address or a file", units.shown(text))
    text = text or os.environ.get("DASK_SCHEDULER_ADDRESS", "") or "local"
    if text in OWN:
        return ClusterSpec(text)
    if "://" in text:
        scheme, _, rest = text.partition("://")
        if scheme not in ("tcp", "tls", "ws", "wss", "ucx", "ucxx", "inproc") or not rest:
            raise MistakeError(where, "an address such as tcp://127.0.0.1:8786", f"'{visible(text)}'")
        port = re.fullmatch(r"[^\s/]+:(\d{1,5})/?", rest)
        if scheme == "inproc":
            if rest.count("/") != 2:
                raise MistakeError(where, "an address such as inproc://127.0.0.1/1/2", f"'{visible(text)}'")
        elif not rest.isprintable() or not port or not 0 < int(port[1]) < 1 << 16:
            raise MistakeError(where, "an address with a port, such as tcp://127.0.0.1:8786", f"'{visible(text)}'")
        return ClusterSpec("address", text)
    if text.endswith(".json"):
        if not Path(text).is_file():
            raise MistakeError(where, "the scheduler file that `dask scheduler` wrote", f"no file '{visible(text)}'")
        return ClusterSpec("address", text)
    if ":" in text and not text.endswith(".toml"):
        raise MistakeError(where, "an address such as tcp://127.0.0.1:8786", f"'{visible(text)}'")
    path = config.find(text, "clusters")
    return parse_cluster(config.read_toml(path), str(path))


def parse_cluster(tree: Mapping[str, Any], file: str) -> ClusterSpec:
    """The cluster that a file describes. Raises `MistakeError`."""
    for key in tree:
        if key not in KEYS:
            remedy = suggestion(key, KEYS) or f"known: {', '.join(KEYS)}"
            raise MistakeError(f"{file}: unknown key '{visible(key)}'", remedy=remedy)
    kind = tree.get("kind")
    known = (*OWN, *KINDS)
    if kind not in known:
        remedy = suggestion(kind, known) if isinstance(kind, str) else ""
        shown = units.shown(kind) if "kind" in tree else "nothing"
        raise MistakeError(f"{file}: kind", f"one of {', '.join(known)}", shown, remedy)
    numbers = {key: _number(tree, key, file) for key in ("jobs", "workers")}
    gpu, adapt, options = tree.get("gpu", False), tree.get("adapt", {}), tree.get("options", {})
    if not isinstance(gpu, bool):
        raise MistakeError(f"{file}: gpu", "true or false", units.shown(gpu))
    for key, table in (("adapt", adapt), ("options", options)):
        if not isinstance(table, Mapping):
            raise MistakeError(f"{file}: {key}", f"a table [{key}]", units.shown(table))
    for key in adapt:
        if key not in ("minimum", "maximum", "minimum_jobs", "maximum_jobs"):
            raise MistakeError(
                f"{file}: adapt", "minimum and maximum, or minimum_jobs and maximum_jobs", f"'{visible(key)}'"
            )
        _number(adapt, key, f"{file}: adapt")
    queue = kind in KINDS and KINDS[kind].queue
    for key, value in (("jobs", numbers["jobs"]), *((f"adapt: {key}", adapt[key]) for key in adapt if "jobs" in key)):
        if value and not queue:
            raise MistakeError(f"{file}: {key}", f"workers for kind {kind}", f"{key.split()[-1]} = {value}")
    if numbers["jobs"] and numbers["workers"]:
        raise MistakeError(f"{file}: workers", "jobs or workers", "both")
    for least, most in (("minimum", "maximum"), ("minimum_jobs", "maximum_jobs")):
        if least in adapt and most in adapt and adapt[least] > adapt[most]:
            raise MistakeError(f"{file}: adapt", f"{least} <= {most}", f"{adapt[least]} and {adapt[most]}")
    for key, table in (("adapt", adapt), ("options", options)):
        if table and kind == "local":
            raise MistakeError(f"{file}: {key}", "workers, which are threads, at most for kind local", f"[{key}]")
    if queue:
        _check_options(options, file)
    if gpu and not (queue and KINDS[kind].gpu):
        able = ", ".join(name for name, one in KINDS.items() if one.gpu)
        raise MistakeError(f"{file}: gpu", f"kind {able}", kind, "ask for the GPU in [options]")
    if kind in KINDS and not adapt and not numbers["jobs"] and not numbers["workers"]:
        raise MistakeError(f"{file}: {'jobs' if queue else 'workers'}", "how many, or a table [adapt]", "nothing")
    return ClusterSpec(kind, "", numbers["jobs"], numbers["workers"], gpu, dict(adapt), dict(options), file)


def _check_options(options: Mapping[str, Any], file: str) -> None:
    """Refuse options to which others are added, where they are of another type."""
    for key in ("worker_extra_args", "job_extra_directives"):
        value = options.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise MistakeError(f"{file}: options.{key}", 'a list of texts, ["...", "..."]', units.shown(value))
    if not isinstance(value := options.get("scheduler_options", {}), Mapping):
        raise MistakeError(f"{file}: options.scheduler_options", "a table", units.shown(value))


def _number(tree: Mapping[str, Any], key: str, file: str) -> int:
    value = tree.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100_000:
        raise MistakeError(f"{file}: {key}", "a whole number up to 100000", units.shown(value))
    return value
