"""What a Python program calls: fly a mission, keep its records, replay one run. Everything comes back as xarray."""

from __future__ import annotations

import contextlib
import importlib
import operator
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

from mcrisk.campaign import Campaign, state
from mcrisk.clusterfile import OWN, ClusterSpec
from mcrisk.errors import MistakeError, visible
from mcrisk.flight import Keep
from mcrisk.goal import WIDTH, Goal
from mcrisk.risk import CONFIDENCE, Method, interval

if TYPE_CHECKING:
    import xarray as xr

    from mcrisk.backends import AbstractBackend
    from mcrisk.execute import Progress
    from mcrisk.mission import Mission

__all__ = ["RUNS", "check_folder", "compare", "fly", "records", "replay", "replay_case", "run", "sweep"]

RUNS = 10_000
IMPORT_SECONDS = 5.0  # waited for imports that are under way
RESULT_MODULES = ("scipy.special", "mcrisk.netcdf", "dask.array")  # the last by xarray, where dask is installed


def run(
    mission: Mission | str | Path | Sequence[Mission | str | Path],
    runs: int | float = RUNS,
    seed: int = 0,
    *,
    backend: str = "auto",
    confidence: float = CONFIDENCE,
    method: Method = "clopper-pearson",
    keep: Keep = "none",
    precision: float | str | None = None,
    timeout: float | str | None = None,
    cluster: str | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """The landing risk of a mission, or of several on the same random worlds (along `case`).

    mission: what `mcrisk.load` returns, a path, or the name of a shipped mission. runs: of each mission. seed: 0 ..
    2^64 - 1; the same seed gives the same worlds. backend: "cpu", "gpu", or "auto", the GPU where one can be used.
    confidence: of all intervals, between 0 and 1. method: of the intervals, "clopper-pearson", "wilson" or "jeffreys".
    keep: the records of single runs that are written into `out`, "none", "losses" or "all"; `records` returns them.
    precision: stop at this width of the success interval, such as 0.01 or "1 %"; `runs` is the most then, and the
    interval is a confidence sequence, which may be looked at again and again. timeout: [s] or such as "2 h", begin
    nothing after it. cluster: a scheduler's address or a cluster file, by default this machine. out: a folder for
    journal, results.nc and kept records; without it nothing is written, and the journal is in memory, 0.3 kB for each
    batch of about half a second. progress: called after each batch with case, runs and landings so far; its method
    `held` with those that `out` had.
    """
    runs, seed = _checked(runs, seed, backend)
    interval(0, 0, confidence, method)  # refuses a wrong confidence or method before the flights, without scipy
    missions = _missions(mission)
    device = _backend(backend)
    campaign = state(missions, seed, device.real)
    goal = Goal(runs, keep, _width(precision), confidence, method)
    return _fly_into(campaign, goal, device, backend, cluster, out, progress, _seconds(timeout))


def sweep(
    mission: Mission | str | Path | Sequence[Mission | str | Path],
    axes: Mapping[str, Any] | None = None,
    runs: int | float = RUNS,
    seed: int = 0,
    *,
    zipped: Mapping[str, Any] | None = None,
    designs: Mapping[str, Any] | None = None,
    sampling: Mapping[str, Any] | None = None,
    backend: str = "auto",
    confidence: float = CONFIDENCE,
    method: Method = "clopper-pearson",
    keep: Keep = "none",
    precision: float | str | None = None,
    timeout: float | str | None = None,
    cluster: str | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """The landing risk along axes of changed parameters, every point on the same random worlds.

    axes: by path, a list of values (unit texts or SI numbers) or a range such as
    {"from": "0.5 km", "to": "5 km", "points": 5, "spacing": "log"}: a full grid. zipped: name, then lists by path that
    change together. designs: name, then values by path. sampling: {"method": "sobol" | "latin_hypercube", "points": n,
    "seed": s} spreads n points over the ranges instead. One dim for each axis, `mission` first where there are several.
    The rest as in `run`.
    """
    from mcrisk.campaign import state_study
    from mcrisk.study import make_study

    runs, seed = _checked(runs, seed, backend)
    interval(0, 0, confidence, method)
    study = make_study(_missions(mission), axes, zipped=zipped, designs=designs, sampling=sampling)
    device = _backend(backend)
    campaign = state_study(study, seed, device.real)
    goal = Goal(runs, keep, _width(precision), confidence, method)
    return _fly_into(campaign, goal, device, backend, cluster, out, progress, _seconds(timeout))


def _fly_into(
    campaign: Campaign,
    goal: Goal,
    device: AbstractBackend,
    backend: str,
    cluster: str | None,
    out: str | Path | None,
    progress: Progress | None,
    timeout: float | None,
) -> xr.Dataset:
    """Fly a campaign once its folder is known to take the results and the choice of the device is told."""
    from mcrisk.backends import announce
    from mcrisk.clusterfile import read_cluster

    if out == "":
        raise MistakeError("out", "a folder", "nothing")
    folder = None if out is None else Path(out)
    goal.check(len(campaign.cases))
    spec = read_cluster(cluster or "")
    if folder:
        check_folder(folder)
    if spec.kind == "local":
        announce(backend)
    return fly(
        campaign, goal, device if spec.kind in OWN else backend, folder=folder, progress=progress, cluster=spec,
        timeout=timeout,
    )  # fmt: skip


def records(
    mission: Mission | str | Path, runs: int | float = RUNS, seed: int = 0, *, backend: str = "auto"
) -> xr.Dataset:
    """What every single run reports, over `run`; the arguments are those of the function `run`.

    All records are in memory, about 164 bytes for each run, at most 4 GiB of them.
    """
    from mcrisk import dataset
    from mcrisk.backends import announce
    from mcrisk.execute import execute
    from mcrisk.store import Store

    runs, seed = _checked(runs, seed, backend)
    missions = [_one(mission)]
    device = _backend(backend)
    campaign = state(missions, seed, device.real)
    announce(backend)
    with Store.written(None, campaign, Goal(runs, "all")) as store:
        execute(campaign, store.goal, device, store=store)
        return dataset.from_records(campaign, 0, *store.kept(0))


def replay(mission: Mission | str | Path, run: int, seed: int = 0) -> xr.Dataset:
    """One run over `time`: truth, estimate, sensors and command at every tick, the same flight as in `run`.

    run: its number, from 0, as `records` and the loss ledger tell it.
    """
    _, seed = _checked(1, seed)
    return replay_case(state([_one(mission)], seed), run)


def replay_case(campaign: Campaign, run: int, case: int = 0) -> xr.Dataset:
    """One run of one case of a campaign over `time`, from the campaign's own Params bytes."""
    from mcrisk import dataset
    from mcrisk.backends.cpu import CpuBackend

    run, case = _whole("run", run), _whole("case", case)
    if not 0 <= run < 1 << 63:
        raise MistakeError("run", "a run number, 0 or more", str(run))
    if not 0 <= case < len(campaign.cases):
        raise MistakeError("case", f"0 .. {len(campaign.cases) - 1}", str(case))
    check_kernel(campaign)
    backend = CpuBackend()
    params, heights = campaign.cases[case].params, campaign.cases[case].heights
    record = backend.run(params, campaign.seed, run, 1, heights)[0]
    return dataset.from_samples(campaign, case, run, record, backend.replay(params, campaign.seed, run, heights))


def fly(
    campaign: Campaign,
    goal: Goal | int,
    device: AbstractBackend | str,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    cluster: ClusterSpec | None = None,
    timeout: float | None = None,
    force_lock: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> xr.Dataset:
    """The dataset of a campaign, written to `folder` with the kept records if one is given.

    device: a backend of this process, or the name of one for the workers of a cluster. What a time limit left unflown
    is missing in the dataset, whose attribute `complete` is 0 then, and no results.nc is written.
    Refuses kernels other than those the campaign states.
    """
    from mcrisk.execute import execute
    from mcrisk.results import RESULTS, kept_files, of_store, stale_files
    from mcrisk.store import RECORDS, Store, TooLarge

    check_kernel(campaign)
    goal = goal if isinstance(goal, Goal) else Goal(goal)
    threads = (cluster is None or cluster.kind == "local") and not isinstance(device, str) and device.name == "cpu"
    with Store.written(folder, campaign, goal, force_lock=force_lock) as store:
        with _imported(*(RESULT_MODULES if threads else ())):
            flown = execute(
                campaign, goal, device, progress=progress, store=store, cluster=cluster, timeout=timeout, tell=tell
            )
        from mcrisk import dataset, netcdf
        from mcrisk.dataset import flown_counts

        result = of_store(store, backend=flown.backend, elapsed=flown.elapsed, runs_new=flown.runs)
        result.attrs["device"] = flown.described
        if folder and result.attrs.get("complete", 1):
            netcdf.write(result, folder / RESULTS)
            for stale in stale_files(folder, campaign, result, goal.keep):
                stale.unlink(missing_ok=True)
            for case, name in enumerate(kept_files(goal.keep, len(campaign.cases))):
                runs, _ = flown_counts(result)[case]
                try:
                    numbers, records = store.kept(case, losses=goal.keep == "losses")
                except TooLarge as refusal:
                    tell(f"{name} is not written: {refusal}; {RECORDS} in {folder} holds them")
                    continue
                netcdf.write(dataset.from_records(campaign, case, numbers, records, flown=runs), folder / name)
        return result


@contextlib.contextmanager
def _imported(*modules: str) -> Iterator[None]:
    """Modules that the result will need, imported in the block's time: the kernel flies without Python's lock."""

    def work() -> None:
        for name in modules:
            with contextlib.suppress(Exception):  # whoever needs it will meet the same error
                importlib.import_module(name)

    thread = threading.Thread(target=work, name="mcrisk-imports", daemon=True)
    if any(name not in sys.modules for name in modules):
        with contextlib.suppress(RuntimeError):  # no more threads: they are imported when they are needed
            thread.start()
    try:
        yield
    finally:
        if thread.ident is not None:
            thread.join(IMPORT_SECONDS)  # an interpreter that ends amid an import may crash


def check_kernel(campaign: Campaign) -> None:
    """Refuse to go on with other kernels than a campaign was made with: its runs would not be the same."""
    from mcrisk.native import kernel_digest

    if campaign.kernel_digest != kernel_digest():
        text = f"campaign {campaign.digest[:8]} was made with other kernels"
        raise MistakeError(text, campaign.kernel_digest[:8], kernel_digest()[:8], "run its mission again")


def check_folder(folder: Path) -> None:
    """Refuse, before anything is computed, a folder that cannot be written to. Leaves none that was not there."""
    import tempfile

    made = [one for one in (folder, *folder.parents) if not os.path.lexists(one)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (FileExistsError, NotADirectoryError):
        raise MistakeError(visible(str(folder)), "a folder", "a file", "choose another --out") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        text = (getattr(error, "strerror", None) or str(error)).lower()
        raise MistakeError(visible(str(folder)), "a folder to write to", text, "choose another --out") from None
    finally:
        for one in made:
            with contextlib.suppress(OSError, ValueError):
                one.rmdir()


def _checked(runs: SupportsIndex | float, seed: SupportsIndex, backend: str = "auto") -> tuple[int, int]:
    """runs, also written as 1e6, and seed as Python's own whole numbers, whose sums never overflow; refuses others."""
    from mcrisk.backends import check_name

    runs = int(runs) if isinstance(runs, float) and runs.is_integer() else runs
    numbers = _whole("runs", runs), _whole("seed", seed)
    Goal(numbers[0]).check()
    check_name(backend)
    return numbers


def _whole(name: str, value: SupportsIndex | float) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise MistakeError(name, "a whole number", visible(repr(value)))
    return number


def _width(precision: float | str | None) -> float | None:
    """The width of an interval as a fraction."""
    from mcrisk import units

    if precision is None:
        return None
    try:
        return units.parse(precision, "", "precision")
    except MistakeError:
        raise MistakeError("precision", WIDTH, units.shown(precision)) from None


def _seconds(timeout: float | str | None) -> float | None:
    """A time limit [s]; refuses what is none."""
    from mcrisk import units

    if timeout is None:
        return None
    value = units.parse(timeout, "s", "timeout") if isinstance(timeout, str) else float(timeout)
    if not 0 < value < 1e9:
        raise MistakeError("timeout", 'a time above zero, such as 90 or "2 h"', repr(timeout))
    return value


def _backend(name: str) -> AbstractBackend:
    from mcrisk.backends import choose

    return choose(name)


def _one(mission: Mission | str | Path) -> Mission:
    several = _missions(mission)
    if len(several) > 1:
        raise MistakeError("mission", "one mission", f"{len(several)} of them", "ask for each by itself")
    if not several:
        raise MistakeError("no mission given", remedy="name one, such as hakuto_r_m2")
    return several[0]


def _missions(mission: Mission | str | Path | Sequence[Mission | str | Path]) -> list[Mission]:
    from mcrisk.mission import Mission, load

    several = mission if isinstance(mission, Sequence) and not isinstance(mission, str) else [mission]
    return [one if isinstance(one, Mission) else load(one) for one in several]


def compare(
    *designs: Mission | str | Path,
    runs: int | float | None = None,
    seed: int = 0,
    backend: str = "auto",
    cluster: str | None = None,
    confidence: float = CONFIDENCE,
    against: str | None = None,
    examples: int = 10,
) -> xr.Dataset:
    """Which of several designs lands more often: every pair of them over `pair`, run by run on the same worlds.

    designs: missions as `run` takes them, which are flown, or folders of results with all their cases, which must hold
    the runs. runs: of each; by default those that the folders have, or 10 000. against: the one to compare all with.
    """
    from contextlib import ExitStack

    from mcrisk import contest, duel
    from mcrisk.clusterfile import read_cluster
    from mcrisk.execute import execute
    from mcrisk.store import JOURNAL, Store

    if runs is not None:
        runs, seed = _checked(runs, seed, backend)
    folders = [Path(one) for one in designs if isinstance(one, (str, Path)) and (Path(one) / JOURNAL).is_file()]
    missions = _missions([one for one in designs if not isinstance(one, (str, Path)) or Path(one) not in folders])
    entries = [contest.of_folder(folder) for folder in folders]
    device, spec = _backend(backend), read_cluster(cluster or "")
    if missions:
        entries.append(contest.Entry(state(missions, seed, device.real), label="as asked now"))
    contest.check_worlds(entries)
    duel.check(contest.named(entries), against, examples)
    interval(0, 0, confidence)
    number = runs or contest.common_runs(entries) or RUNS
    with ExitStack() as open_:
        stores = []
        for entry in entries:
            if entry.folder:
                stores.append((entry, open_.enter_context(Store.read(entry.folder))))
                continue
            check_kernel(entry.campaign)
            goal = Goal(number).check(len(entry.campaign.cases))
            store = open_.enter_context(Store.written(None, entry.campaign, goal))
            execute(entry.campaign, goal, device if spec.kind in OWN else backend, store=store, cluster=spec)
            stores.append((entry, store))
        return duel.compare(contest.designs(stores, number), number, confidence, examples, against)
