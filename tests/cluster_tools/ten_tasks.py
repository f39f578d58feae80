"""ten_tasks.py: dask_jobqueue.SLURMCluster alone, without mcrisk: a job's worker computes ten tasks, all on loopback.

    scripts/slurm_check .venv/bin/python tests/cluster_tools/ten_tasks.py

Prints every listening socket of scheduler, nanny and worker.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import psutil
from dask_jobqueue import SLURMCluster
from distributed import Client

FOLDER = Path(os.environ["SLURM_CHECK"])
OPTIONS: dict[str, Any] = {
    "cores": 2,
    "processes": 1,
    "memory": "4GB",
    "walltime": "00:05:00",
    "job_script_prologue": ["export TEN_TASKS=prologue"],
    "local_directory": str(FOLDER / "workers"),
    "log_directory": str(FOLDER / "log"),
    "worker_extra_args": ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard"],
    "scheduler_options": {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"},
}


def task(number: int) -> tuple[int, int, str, str]:
    return number**2, os.getpid(), os.environ["SLURM_JOB_ID"], os.environ["TEN_TASKS"]


def sockets(roles: dict[int, str]) -> list[tuple[str, str]]:
    """Role and address of every listening socket of these processes."""
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted((role, line.split()[3]) for line in lines for pid, role in roles.items() if f"pid={pid}," in line)


def main() -> None:
    with SLURMCluster(**OPTIONS) as cluster, Client(cluster) as client:
        cluster.scale(jobs=1)
        client.wait_for_workers(1, timeout=60)
        squares, workers, jobs, prologues = zip(*client.gather(client.map(task, range(10))), strict=True)
        assert squares == tuple(number**2 for number in range(10))
        assert set(prologues) == {"prologue"}
        (worker,), (job,) = set(workers), set(jobs)
        nanny = psutil.Process(worker).ppid()
        print("ten tasks in job", job)
        found = sockets({os.getpid(): "scheduler", nanny: "nanny", worker: "worker"})
        print(*(f"{role:10} {address}" for role, address in found), sep="\n")
        assert [role for role, _ in found] == ["nanny", "scheduler", "scheduler", "worker", "worker"]
        assert all(address.startswith("127.0.0.1:") for _, address in found)


if __name__ == "__main__":
    main()
