"""Who works on a collection: threads, processes and machines, and what becomes of it when they die or are stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import dask
import pytest
from collections_of_files import TORCH, files, lay, lines
from distributed import Client, LocalCluster

import lstm_convert
from lstm_convert import batch, cli, placing

ROOT = Path(lstm_convert.__file__).parent.parent

# What a process does that opens a file: a damaged one may kill who reads it, and so does a lack of memory.
WATCHING = """
import os, signal, sys, time
def watch(event, args):
    if event == "open" and str(args[0]).endswith(".pt"):
        {does}
sys.addaudithook(watch)
"""
DIES = "'killer' in args[0] and os.kill(os.getpid(), signal.SIGKILL)"
IS_SLOW = "time.sleep(0.02)"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def collection(number: int) -> list[str]:
    names = [f"m/{count:03}.pt" for count in range(number)]
    lay(TORCH, *names)
    return names


def watching(does: str) -> str:
    """Return a PYTHONPATH with which Python does something whenever it opens a .pt file."""
    Path("site").mkdir()
    Path("site/sitecustomize.py").write_text(WATCHING.format(does=does), "utf-8")
    return os.pathsep.join([str(Path("site").absolute()), str(ROOT)])


@pytest.mark.parametrize(
    "executor", [ThreadPoolExecutor(3), ProcessPoolExecutor(2, get_context("spawn"))], ids=["threads", "processes"]
)
def test_any_executor_does_the_work_and_the_order_is_that_of_the_files(executor: Executor) -> None:
    names = collection(30)
    told: list[str] = []
    counted: list[tuple[int, int]] = []
    with executor:
        done = batch(
            "m/*.pt",
            "npz",
            "out",
            executor=executor,
            each=lambda outcome: told.append(outcome.source),
            progress=lambda *count: counted.append(count),
        )
        assert executor.submit(os.getpid).result()  # it is left as it was: at work
    assert done.converted == 30
    assert told == names == [line["source"] for line in lines()]
    assert counted[-1] == (30, 30)
    assert counted == sorted(counted)


def test_threads_leave_the_process_the_file_mode_it_had() -> None:
    """The mask of new files' modes is known only by setting it, which is the whole process's."""
    before = placing.umask()
    with ThreadPoolExecutor(8) as executor:
        found = set(executor.map(lambda _: placing.umask(), range(20_000)))
    assert found == {before} == {placing.umask()}


def test_few_pieces_of_work_are_handed_out_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    collection(60)
    under_way: list[Future[Any]] = []
    most = 0
    with ThreadPoolExecutor(2) as executor:
        submit = executor.submit

        def counted(*work: Any) -> Future[Any]:
            nonlocal most
            under_way[:] = [*(future for future in under_way if not future.done()), submit(*work)]
            most = max(most, len(under_way))
            return under_way[-1]

        monkeypatch.setattr(executor, "submit", counted)
        assert batch("m/*.pt", "npz", "out", executor=executor, workers=2).converted == 60
    assert 2 <= most <= 4


class OneBehind(Executor):
    """Does each piece of work only once another follows, and the last when it is told to."""

    def __init__(self) -> None:
        self.last: Callable[[], None] = lambda: None

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        self.last()
        future: Future[Any] = Future()

        def do() -> None:
            if not future.done():
                future.set_result(function(*arguments, **named))

        self.last = do
        return future


def test_the_last_file_is_counted_though_it_is_done_while_the_one_before_is_told_of() -> None:
    collection(2)
    executor, seen = OneBehind(), list[int]()
    batch(
        "m/*.pt", "npz", "out", executor=executor, workers=2,
        each=lambda _: executor.last(), progress=lambda done, _: seen.append(done),
    )  # fmt: skip
    assert seen[-1] == 2


def test_a_file_that_kills_its_worker_is_named_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    collection(12)
    lay(TORCH, "m/005.killer.pt", "m/006.killer.pt")
    monkeypatch.setenv("PYTHONPATH", watching(DIES))
    done = batch("m/*.pt", "npz", "out", workers=2)
    assert (done.converted, done.reasons) == (12, {"the process that worked on it was lost": 2})
    assert [line["source"] for line in lines() if line["status"] == "failed"] == ["m/005.killer.pt", "m/006.killer.pt"]
    assert files() == sorted(["batch.jsonl", *(f"{count:03}.npz" for count in range(12))])


def test_an_executor_that_breaks_loses_no_file() -> None:
    collection(30)
    with ProcessPoolExecutor(2, get_context("spawn")) as executor:
        victim = executor.submit(os.getpid).result()

        def kill(done: int, _: int) -> None:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL if done >= 3 else 0)

        assert batch("m/*.pt", "npz", "out", executor=executor, workers=2, progress=kill).converted == 30
    assert len(files()) == 31


def test_of_the_files_that_went_with_a_worker_each_is_tried_again_and_one_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with a cluster, whose scheduler gives a piece of work up that killed several workers."""
    collection(12)
    lay(TORCH, "m/005.killer.pt")
    with ThreadPoolExecutor(2) as executor:
        submit = executor.submit

        def losing(work: Any, job: Any, chunk: Any) -> Future[Any]:
            if any("killer" in task.source for task, _ in chunk):
                return submit(lambda: 1 / 0)
            return submit(work, job, chunk)

        monkeypatch.setattr(executor, "submit", losing)
        done = batch("m/*.pt", "npz", "out", executor=executor)
    assert (done.converted, done.reasons) == (12, {"the process that worked on it was lost": 1})
    (failed,) = [line for line in lines() if line["status"] == "failed"]
    assert (failed["source"], failed["details"]) == ("m/005.killer.pt", ["ZeroDivisionError: division by zero"])


def test_a_terminal_shows_how_far_it_is_while_stdout_has_lines_of_json_alone() -> None:
    collection(3)
    lay(Path(__file__), "m/broken.pt")
    terminal, stderr = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "lstm_convert", "batch", "m/*.pt", "--to", "npz", "--out", "out", "--json"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    os.close(stderr)
    shown = b""
    with suppress(OSError):  # how the end of a terminal is told
        while part := os.read(terminal, 1 << 16):
            shown += part
    os.close(terminal)
    out, _ = process.communicate()
    assert process.returncode == 1
    assert b"4/4" in shown
    assert [json.loads(line)["status"] for line in out.splitlines()] == [*["converted"] * 3, "failed"]


def started(*arguments: str) -> subprocess.Popen[str]:
    """Start the command in a session of its own, as a terminal does; wait until it has done some files."""
    process = subprocess.Popen(  # noqa: S603 (this very Python)
        [sys.executable, "-m", "lstm_convert", "batch", "m/*.pt", "--to", "npz", "--out", "out", *arguments],
        env=os.environ | {"PYTHONPATH": watching(IS_SLOW)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (Path("out/batch.jsonl").exists() and len(lines()) >= 3):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("key", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_no_half_file_and_the_same_command_goes_on(key: signal.Signals) -> None:
    collection(50)
    process = started("--workers", "2", "--table", "gates.csv")
    if key == signal.SIGINT:
        os.killpg(process.pid, key)  # as Ctrl-C does: to the workers too
    else:
        process.send_signal(key)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err.strip() == "lstm-convert: stopped; the same command goes on where this one ended"
    finished = [line["target"].removeprefix("out/") for line in lines()]
    assert 3 <= len(finished) < 50
    assert files() == sorted([*finished, "batch.jsonl"])
    assert not Path("gates.csv").exists()
    assert batch("m/*.pt", "npz", "out", table="gates.csv").skipped == len(finished)
    assert [lstm_convert.load(f"out/{name}") for name in files()[:5]]


@pytest.mark.parametrize("workers", [None, 2], ids=["here", "processes"])
def test_a_stop_between_a_file_and_its_line_waits_for_the_lines_of_all_that_are_done(workers: int | None) -> None:
    collection(120)
    told: list[str] = []

    def stop_once(outcome: lstm_convert.Outcome) -> None:
        told.append(outcome.source)
        if len(told) == 10:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        batch("m/*.pt", "npz", "out", workers=workers, each=stop_once)
    finished = [line["target"].removeprefix("out/") for line in lines()]
    assert 10 <= len(finished) < 120
    assert files() == sorted([*finished, "batch.jsonl"])
    assert told == [line["source"] for line in lines()]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert batch("m/*.pt", "npz", "out").skipped == len(finished)


def test_a_second_stop_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a file would take an hour."""
    collection(1)
    lay(TORCH, "m/killer.pt")
    monkeypatch.setenv("PYTHONPATH", watching("'killer' in args[0] and time.sleep(3600)"))

    def stop_twice(_: lstm_convert.Outcome) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        batch(["m/000.pt", "m/killer.pt"], "npz", "out", workers=2, each=stop_twice)
    assert files() == ["000.npz", "batch.jsonl"]


def test_interrupts_that_are_answered_otherwise_are_left_alone() -> None:
    collection(3)
    answered: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: answered.append(number))
    try:
        assert batch("m/*.pt", "npz", "out", each=lambda _: signal.raise_signal(signal.SIGINT)).converted == 3
    finally:
        signal.signal(signal.SIGINT, before)
    assert answered == [signal.SIGINT] * 3


def test_a_kill_leaves_no_half_file_and_no_process_and_the_same_command_goes_on() -> None:
    collection(50)
    process = started("--workers", "2")
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while any(is_of(process.pid, stat) for stat in Path("/proc").glob("[0-9]*/stat")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    done = batch("m/*.pt", "npz", "out")
    assert (done.converted + done.skipped, done.failed) == (50, 0)


def is_of(session: int, stat: Path) -> bool:
    """Return whether a process of /proc lives in a session."""
    try:
        state, _, _, its_session = stat.read_text("utf-8").rpartition(")")[2].split()[:4]
    except OSError:
        return False
    return int(its_session) == session and state not in "ZX"


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Yield a scheduler and two workers, each in a process of its own."""
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as started:
        yield started


def test_a_cluster_loses_nothing_when_a_worker_is_killed_midway(cluster: LocalCluster) -> None:
    names = collection(80)
    told: list[str] = []
    with Client(cluster) as client:
        victim, _ = client.run(os.getpid).values()

        def each(outcome: lstm_convert.Outcome) -> None:
            told.append(outcome.source)
            if len(told) == 20:
                os.kill(victim, signal.SIGKILL)

        done = batch("m/*.pt", "npz", "out", executor=client.get_executor(), workers=2, each=each)
        assert victim not in client.run(os.getpid).values()
    assert (done.converted, done.failed) == (80, 0)
    assert told == names
    assert len(files()) == 81


def test_the_command_works_on_a_cluster(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    collection(20)
    arguments = ["lstm-convert", "batch", "m/*.pt", "--to", "npz", "--out", "out", "--scheduler"]
    monkeypatch.setattr(sys, "argv", [*arguments, cluster.scheduler_address])
    cli.main()
    assert ["20", "converted"] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_scheduler_that_does_not_answer_is_one_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    collection(1)
    monkeypatch.setattr(
        sys, "argv", ["lstm-convert", "batch", "m/*.pt", "--to", "npz", "-o", "out", "--scheduler", "tcp://127.0.0.1:9"]
    )
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), pytest.raises(SystemExit, match="2"):
        cli.main()
    assert "tcp://127.0.0.1:9: no scheduler answers" in capsys.readouterr().err
