"""mcrisk.cluster, mcrisk.clusterfile: what --cluster may say, what queues are asked for, and who may fly."""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from field import PATIENCE, field_of, pair_of

from mcrisk import __version__, config, netcdf
from mcrisk.clusterfile import OWN, ClusterSpec, parse_cluster, read_cluster
from mcrisk.errors import InfrastructureError, MistakeError

QUEUES = {"slurm": "#SBATCH --gres=gpu:1", "pbs": "#PBS -l ngpus=1", "lsf": '#BSUB -gpu "num=1"'}


@pytest.fixture(autouse=True)
def no_scheduler_address(monkeypatch):
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)


# ------------------------------------------------------------------------------------------------ what it may say


def slurm(**more):
    return {"kind": "slurm", "jobs": 1} | more


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({}, "kind: expected one of local, processes, slurm.*got nothing"),
        ({"kind": 5}, "kind: expected one of .*got 5"),
        ({"kind": ["slurm"]}, "kind: expected one of"),
        ({"kind": "slurn"}, "got \"slurn\"; did you mean 'slurm'"),
        ({"kind": "os.system"}, "kind: expected one of"),
        (slurm(job=4), "unknown key 'job'; did you mean 'jobs'"),
        (slurm(module="os"), "unknown key 'module'; known: title, kind"),
        (slurm(jobs="4"), 'jobs: expected a whole number up to 100000, got "4"'),
        (slurm(jobs=-1), "jobs: expected a whole number up to 100000, got -1"),
        (slurm(jobs=1.5), "jobs: expected a whole number .*got 1.5"),
        (slurm(jobs=True), "jobs: expected a whole number .*got true"),
        (slurm(jobs=10**6), "jobs: expected a whole number .*got 1000000"),
        (slurm(workers=[2]), r"workers: expected a whole number .*got \[2\]"),
        (slurm(workers=2), "workers: expected jobs or workers, got both"),
        (slurm(jobs=0), "jobs: expected how many, or a table .adapt., got nothing"),
        ({"kind": "cuda"}, "workers: expected how many, or a table .adapt., got nothing"),
        ({"kind": "processes", "jobs": 2}, "jobs: expected workers for kind processes, got jobs = 2"),
        ({"kind": "kubernetes", "jobs": 2}, "jobs: expected workers for kind kubernetes, got jobs = 2"),
        (slurm(gpu="yes"), 'gpu: expected true or false, got "yes"'),
        (slurm(gpu=1), "gpu: expected true or false, got 1"),
        ({"kind": "local", "gpu": True}, "gpu: expected kind slurm, pbs, lsf, sge, got local; ask for the GPU in"),
        ({"kind": "oar", "jobs": 1, "gpu": True}, "gpu: expected kind slurm, pbs, lsf, sge, got oar"),
        ({"kind": "slurm", "adapt": 5}, "adapt: expected a table .adapt., got 5"),
        ({"kind": "slurm", "adapt": {"least": 1}}, "adapt: expected minimum and maximum, .*got 'least'"),
        ({"kind": "slurm", "adapt": {"minimum": "1"}}, 'adapt: minimum: expected a whole number .*got "1"'),
        ({"kind": "slurm", "adapt": {"minimum": 3, "maximum": 2}}, "adapt: expected minimum <= maximum, got 3 and 2"),
        ({"kind": "cuda", "adapt": {"maximum_jobs": 2}}, "adapt: maximum_jobs: expected workers for kind cuda"),
        ({"kind": "local", "adapt": {"maximum": 2}}, "adapt: expected workers, which are threads"),
        ({"kind": "local", "options": {"host": "0.0.0.0"}}, "options: expected workers, which are threads"),
        (slurm(options=[1]), r"options: expected a table .options., got \[1\]"),
        (slurm(options={"worker_extra_args": "--x"}), "worker_extra_args: expected a list of texts.*got \"--x\""),
        (slurm(options={"job_extra_directives": [1]}), r"job_extra_directives: expected a list of texts.*got \[1\]"),
        (slurm(options={"scheduler_options": "x"}), 'scheduler_options: expected a table, got "x"'),
    ],
)  # fmt: skip
def test_a_wrong_cluster_file_is_told_by_file_and_key(tree, message):
    with pytest.raises(MistakeError, match=f"^mine.toml: .*{message}"):
        parse_cluster(tree, "mine.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tcp://", "--cluster: expected an address such as tcp://127.0.0.1:8786, got 'tcp://'"),
        ("http://127.0.0.1:8786", "--cluster: expected an address such as tcp://"),
        ("127.0.0.1:8786", "--cluster: expected an address such as tcp://127.0.0.1:8786, got '127.0.0.1:8786'"),
        ("nowhere.json", "--cluster: expected the scheduler file that `dask scheduler` wrote, got no file"),
        ("slurn", "no cluster called 'slurn'; did you mean 'slurm'"),
        ("nowhere.toml", "nowhere.toml: expected a TOML file, got no such file"),
        ("slurm.toml", "a shipped config is called by its bare name: slurm"),
        ("../x", "expected a TOML file"),
        ("a\nb:1", r"got 'a\\nb:1'"),
    ],
)  # fmt: skip
def test_what_is_neither_file_nor_address_is_refused(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MistakeError) as refusal:
        read_cluster(text)

    assert message.replace("\\\\", "\\") in str(refusal.value)


def test_an_address_is_taken_as_it_stands():
    for address in ("tcp://127.0.0.1:8786", "tls://host:1", "inproc://x/1/2", "tcp://[::1]:8786"):
        assert read_cluster(address) == ClusterSpec("address", address)


def test_the_environment_names_a_scheduler_where_the_command_names_none(monkeypatch):
    """DASK_SCHEDULER_ADDRESS, as in dask itself; a wrong one is told by its name."""
    assert read_cluster("").kind == "local"

    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:1")
    assert read_cluster("") == ClusterSpec("address", "tcp://127.0.0.1:1")
    assert read_cluster("local") == ClusterSpec("local")

    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "127.0.0.1:1")
    with pytest.raises(MistakeError, match=r"^DASK_SCHEDULER_ADDRESS: expected an address"):
        read_cluster("")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"x": 1}', '{"address": 5}', "\0"])
def test_a_file_that_no_scheduler_wrote_is_one_message(tmp_path, monkeypatch, content):
    from mcrisk.cluster import connected

    monkeypatch.chdir(tmp_path)
    Path("scheduler.json").write_text(content)
    with (
        pytest.raises(
            InfrastructureError, match=r"scheduler.json: expected a dask .*, got a file without an address; "
        ),
        connected(read_cluster("scheduler.json"), "cpu", 1, print),
    ):
        pass


def test_a_scheduler_that_does_not_answer_is_one_message(monkeypatch):
    """Port 1 of loopback refuses; the message tells how to start one."""
    from mcrisk import cluster

    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1.0)
    expected = r"tcp://127.0.0.1:1: expected a dask scheduler that answers, got .*; start one with `dask scheduler"
    with (
        pytest.raises(InfrastructureError, match=expected),
        cluster.connected(read_cluster("tcp://127.0.0.1:1"), "cpu", 1, print),
    ):
        pass


@pytest.mark.parametrize("name", config.shipped("clusters"))
def test_shipped_clusters_are_read(name):
    spec = read_cluster(name)

    assert spec.kind in (*OWN, *("slurm", "pbs", "lsf", "cuda", "kubernetes", "gateway"))
    assert spec.kind in OWN or spec.jobs or spec.workers


def test_a_class_that_is_not_installed_is_told_with_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_cuda", None)
    with pytest.raises(InfrastructureError, match=r"kind cuda needs dask-cuda.*; install dask-cuda.* for /"):
        read_cluster("cuda").make(print)


# ------------------------------------------------------------------------------------------------ queues


def script(spec, told=None):
    """The job script that a queue gets."""
    pytest.importorskip("dask_jobqueue")
    with closing(spec.make(lambda text: told.append(text) if told is not None else None)) as cluster:
        return str(cluster.job_script()), listening(psutil.Process())


def listening(process):
    """Addresses on which a process listens."""
    return {one.laddr.ip for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN}


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("kind", QUEUES)
def test_a_job_is_one_worker_process_on_loopback_and_has_a_gpu_where_it_is_asked_for(kind, gpu):
    """One process with a thread for each core: the kernel holds no Python lock, and a GPU takes one process."""
    told = []
    text, addresses = script(replace(read_cluster(kind), gpu=gpu), told)
    (command,) = [line for line in text.splitlines() if "dask_worker" in line]

    assert " tcp://127.0.0.1:" in command
    assert " --nthreads 16 " in command
    assert "--nworkers" not in command
    assert command.endswith("--host 127.0.0.1 --dashboard-address 127.0.0.1:0")
    assert (QUEUES[kind] in text) is gpu
    assert addresses == {"127.0.0.1"}
    assert len(told) == 1 and "listens on 127.0.0.1 alone; workers of other machines need interface" in told[0]


def test_a_named_interface_or_host_is_where_scheduler_and_workers_meet():
    """`lo` stands for the network of a machine room; dashboards stay on loopback."""
    spec, told = read_cluster("slurm"), []
    interface, _ = script(replace(spec, options=spec.options | {"interface": "lo"}), told)
    named = {"scheduler_options": {"host": "127.0.0.1"}, "worker_extra_args": ["--host", "127.0.0.2"]}
    host, _ = script(replace(spec, options=spec.options | named), told)

    assert "--interface lo" in interface and "--host" not in interface
    assert "--host 127.0.0.2" in host and "--host 127.0.0.1" not in host
    assert all("--dashboard-address 127.0.0.1:0" in text for text in (interface, host))
    assert told == []


def test_directives_of_the_file_are_kept_beside_that_of_the_gpu():
    options = {"cores": 1, "memory": "1 GB", "job_extra_directives": ["-p long"]}
    text, _ = script(replace(read_cluster("slurm_gpu"), options=options))

    assert "#SBATCH --gres=gpu:1\n#SBATCH -p long\n" in text


def test_an_option_that_its_class_does_not_know_is_one_message():
    pytest.importorskip("dask_jobqueue")
    from mcrisk.cluster import connected

    spec = parse_cluster(slurm(options={"cores": 1, "memory": "1 GB", "cors": 2}), "mine.toml")
    with pytest.raises(InfrastructureError, match=r"slurm cluster: .*cors"), connected(spec, "cpu", 1, print):
        pass


# ------------------------------------------------------------------------------------------------ who flies


def joined(field, *faults):
    """More workers, each with a fault of its own, when they and all before are known to their scheduler."""
    field.hands += [field.worker(MCRISK_FAULT=json.dumps(field.fault | fault)) for fault in faults]
    deadline = time.monotonic() + PATIENCE
    while not all("Registered to" in hand.said.read_text() for hand in field.hands) and time.monotonic() < deadline:
        time.sleep(0.1)
    return field.hands


REFUSED = {
    "version": (
        {"version": "9.9.9", "identity": "f" * 16},
        rf"mcrisk 9\.9\.9 on .*, this is {__version__} \([0-9a-f]{{8}}\)",
    ),
    "code": ({"identity": "f" * 16}, rf"mcrisk {__version__} with other code or kernels \(ffffffff\) on .*"),
    "absent": ({"absent": True}, rf"it has no mcrisk {__version__} \(No module named 'mcrisk'\)"),
}


def test_workers_without_this_very_mcrisk_are_refused_while_others_fly():
    """Another version, other code, none at all: dask's worker would end of a function that it cannot import."""
    with pair_of(800, workers=1, slow=0.3) as field:
        hands = joined(field, *(fault for fault, _ in REFUSED.values()))
        process = field.start()
        problems = field.verdict(process)
        said = process.said.read_text()
        fliers = {line.split()[0] for line in field.flown_file.read_text().splitlines()}
        alive = [hand.poll() for hand in hands]

    assert problems == [], said
    for _, reason in REFUSED.values():
        assert len(re.findall(rf"worker tcp://.* is refused: {reason}; install there what is", said)) == 1, said
    assert len(fliers) == 1
    assert alive == [None] * 4


@pytest.mark.slow
@pytest.mark.parametrize("what", REFUSED)
def test_a_campaign_all_of_whose_workers_are_refused_ends_with_exit_code_4(what):
    fault, reason = REFUSED[what]
    with pair_of(2000, workers=0, constants={"mcrisk.execute:WAIT_SECONDS": 2.0}) as field:
        joined(field, fault)
        process = field.start()
        code = process.wait(PATIENCE)
        lines = [line for line in field.complaints(process) if line.startswith("mcrisk:")]

    assert (code, len(lines)) == (4, 1)
    assert re.search(rf"no worker of scheduler .* can be used: tcp://.*: {reason}", lines[0])


@pytest.mark.slow
def test_workers_that_end_when_they_are_greeted_do_not_hang_the_command():
    """A library that crashes where it is loaded; nannies start such a worker again and again."""
    constants = {"mcrisk.execute:WAIT_SECONDS": 2.0}
    with field_of(2000, cluster="processes", mute=True, role="worker") as field:
        field.fault = {"mute": True, "constants": constants}
        process = field.start()
        code = process.wait(PATIENCE)
        lines = field.complaints(process)
        left = field.left()

    assert code == 4, lines
    assert re.search(r"no worker of processes .* can be used: \d+ of them ended when mcrisk was loaded", lines[-1])
    assert left == []


def test_workers_of_two_kinds_give_the_results_of_one():
    """A processor core beside what says it is a GPU: batches of other sizes, the same bits."""
    with pair_of(1800, workers=1, slow=0.5, constants={"mcrisk.execute:GPU_PILOT": 512}) as field:
        joined(field, {"device": ["gpu", 100_000]})
        problems = field.finish()
        flown = [line.split() for line in field.flown_file.read_text().splitlines()]
        told = netcdf.read(field.store / "results.nc").attrs

    sizes = {pid: {int(size) for number, _, size in flown if number == pid} for pid, _, _ in flown}
    assert problems == []
    assert told["backend"] == "cpu+gpu"
    assert len(sizes) == 2 and sizes.popitem()[1] != sizes.popitem()[1]


@pytest.mark.parametrize(
    "kind", ["local", *(pytest.param(one, marks=pytest.mark.slow) for one in ("processes", "scheduler"))]
)
def test_nothing_listens_beyond_loopback(kind):
    """All sockets of all processes, from the first to the last. Threads need none."""
    made = pair_of(600, workers=1, slow=0.3) if kind == "scheduler" else field_of(600, cluster=kind, slow=0.3)
    with made as field:
        process, addresses = field.start(), set()
        while process.poll() is None:
            for one in field.processes():
                try:
                    addresses |= listening(one)
                except psutil.Error:
                    continue
            time.sleep(0.05)
        code = process.returncode

    assert code == 0
    assert addresses == (set() if kind == "local" else {"127.0.0.1"})


def test_each_gpu_has_a_process_that_sees_no_other(monkeypatch):
    """CUDA_VISIBLE_DEVICES names two; flown by the CPU, since there is none."""
    from mcrisk.api import state
    from mcrisk.backends.cpu import CpuBackend
    from mcrisk.cluster import connected
    from mcrisk.execute import Dispatch
    from mcrisk.goal import Goal
    from mcrisk.mission import load
    from mcrisk.store import Store

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-8ac1")
    campaign = state([load("generic_small")], 11)
    expected = CpuBackend().run(campaign.cases[0].params, 11, 0, 300)
    with Store.written(None, campaign, Goal(300, "all")) as store, connected(ClusterSpec(), "gpu", 2, print) as crew:
        dispatch = Dispatch(campaign, Goal(300, "all"), store, 1, "cpu", 16, None, print)
        dispatch.plan()
        dispatch.fly(crew)
        seen = {address: crew.greet("os", "getenv", "CUDA_VISIBLE_DEVICES", address) for address in crew.workers()}
        answers = {}
        while len(answers) < 2:
            answers |= {one.ticket: one.value for one in crew.deliveries(1.0)}
        addresses = set().union(*(listening(one) for one in [psutil.Process(), *psutil.Process().children(True)]))
        threads = list(crew.workers().values())
        _, records = store.kept(0)

    assert sorted(answers[ticket] for ticket in seen.values()) == ["3", "GPU-8ac1"]
    assert threads == [2, 2]  # one flies while one copies and sums
    assert addresses == {"127.0.0.1"}
    assert (records == expected).all()
