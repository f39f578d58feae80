"""campaign.py [NAME...]: every fault as often as the goals ask, one line of figures each; exit code 1 if any failed.

NAME: faults whose name contains one of these words. A line: how often tried, how often the same command gave the
undisturbed results to the bit, the longest time from the fault (or the start, where the fault is within) to the end of
the command, the runs that were flown more than once.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import test_batches
import test_client
import test_damage
import test_disk
import test_workers
from field import Figures, libraries, may_mount

FAULTS: dict[str, Callable[[], Figures]] = {
    "kill workers": lambda: test_workers.kill_of_workers(50),
    "kill user's workers": lambda: test_workers.kill_of_users_workers(15),
    "kill user's workers with nannies": lambda: test_workers.kill_of_users_workers(10, nanny=True),
    "kill all workers": lambda: test_workers.kill_of_all_workers(20),
    "kill scheduler": lambda: test_workers.kill_of_schedulers(10),
    "kill command": lambda: test_client.kill_of_clients(50),
    "kill command with processes": lambda: test_client.kill_of_clients(20, cluster="processes"),
    "kill command at file calls": test_client.kill_at_every_file_call,
    "interrupt": lambda: test_client.interruptions(20),
    "interrupt with processes": lambda: test_client.interruptions(10, cluster="processes"),
    "terminate": lambda: test_client.interruptions(20, number=signal.SIGTERM),
    "interrupt twice": lambda: test_client.interruptions(20, twice=True),
    "terminate twice": lambda: test_client.interruptions(10, number=signal.SIGTERM, twice=True),
    "disk full": test_disk.full_at_every_write,
    "disk full on tmpfs": lambda: test_disk.full_device(range(24, 304, 28)),
    "flipped bits": lambda: test_damage.flips_of_bits(100),
    "poison": test_batches.poison,
    "failing": test_batches.failing,
    "memory": test_batches.short_of_memory,
    "scarce memory": test_batches.scarce_memory,
    "hung": test_batches.hung,
    "lost device": test_batches.lost_device,
    "losing run": test_batches.losing_run,
    "hung thread": test_batches.hung_thread,
    "flown twice": test_batches.late,
}
NEEDS = {"kill command at file calls": libraries, "disk full": libraries, "flipped bits": libraries}
NEEDS["disk full on tmpfs"] = may_mount


def main(words: list[str]) -> int:
    """Try them all; the exit code."""
    failed = 0
    chosen = {name: fault for name, fault in FAULTS.items() if not words or any(word in name for word in words)}
    if not chosen:
        print(f"no fault is called so; known: {', '.join(FAULTS)}", file=sys.stderr)
        return 2
    for name, fault in chosen.items():
        if name in NEEDS and not NEEDS[name]():
            print(f"{name}: left out, this machine has no C compiler or does not let this user mount", flush=True)
            continue
        begun = time.monotonic()
        figures = fault()
        print(f"{figures}  ({time.monotonic() - begun:.0f} s)", flush=True)
        failed += figures.recovered < figures.tried or not figures.tried
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
