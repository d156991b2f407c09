"""Hand the files of a collection to an executor, a few at a time, and take what became of them in their order."""

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from multiprocessing import get_context, parent_process
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from lstm_convert.collection.finding import Task
from lstm_convert.collection.work import Finished, Job, Outcome, lost, work_on
from lstm_convert.leases import stay_alone

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")
Work = tuple[Task, Finished | None]

# What is handed out at once: so many files, or fewer where they take longer or have more bytes.
_FILES, _SECONDS, _BYTES = 64, 0.1, 1 << 23
# So many times what the crew does at once is under way, and so many files wait at most for one before them.
_AHEAD, _WAITING = 2, 4096


class Processes(ProcessPoolExecutor):
    """An executor of processes that leave interrupts to this one, and end with it; where it is interrupted, at once.

    Args:
        number: how many.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number, mp_context=get_context("spawn"), initializer=_begin)

    def submit(self, work: Callable[Asked, Answer], /, *args: Asked.args, **named: Asked.kwargs) -> Future[Answer]:
        """Hand out work, to a process that is started for it where there are not enough."""
        with _uninterrupted():
            return super().submit(work, *args, **named)

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(raised, KeyboardInterrupt):
            for process in list((self._processes or {}).values()):
                process.terminate()
        super().__exit__(kind, raised, trace)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep interrupts back, in the processes that are started meanwhile for good."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    stay_alone()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None  # noqa: S101 (only processes that another one started come here)
    parent.join()
    signal.raise_signal(signal.SIGTERM)


class Here(Executor):
    """An executor that works in this process, and at once."""

    def submit(self, work: Callable[Asked, Answer], /, *args: Asked.args, **named: Asked.kwargs) -> Future[Answer]:
        """Return a future that is done."""
        future: Future[Answer] = Future()
        future.set_result(work(*args, **named))
        return future


class Crew:
    """An executor with a job; one that broke is replaced by processes of this machine."""

    def __init__(self, job: Job, executor: Executor, workers: int) -> None:
        self._job = job
        self._executor = executor
        self._workers = workers
        self._alone: Executor | None = None
        self._own = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._own.__exit__(kind, raised, trace)

    def start(self, chunk: Sequence[Work]) -> Future[list[Outcome]]:
        """Hand out files.

        Args:
            chunk: the files.
        """
        try:
            return self._executor.submit(work_on, self._job, chunk)
        except BrokenExecutor:
            self._executor = self._own.enter_context(Processes(self._workers))
            return self._executor.submit(work_on, self._job, chunk)

    def results(self, chunk: Sequence[Work], future: Future[list[Outcome]]) -> list[Outcome]:
        """Return what became of files; where their worker was lost, each is tried again alone, so that one is named.

        Args:
            chunk: the files.
            future: what `start` returned for them.
        """
        try:
            return future.result()
        except BrokenExecutor:  # any file that was under way may have broken it, and may do so again
            return [self._isolated(work) for work in chunk]
        except Exception as error:  # noqa: BLE001 (each kind of executor has its own for a worker that is lost)
            return [lost(chunk[0][0], error)] if len(chunk) == 1 else [self._again(work) for work in chunk]

    def _again(self, work: Work) -> Outcome:
        try:
            return self.start([work]).result()[0]
        except Exception as error:  # noqa: BLE001 (as above)
            return lost(work[0], error)

    def _isolated(self, work: Work) -> Outcome:
        if self._alone is None:
            self._alone = self._own.enter_context(Processes(1))
        try:
            return self._alone.submit(work_on, self._job, [work]).result()[0]
        except BrokenExecutor as error:
            self._alone = None  # the next file gets a process that lives
            return lost(work[0], error)


def outcomes(
    crew: Crew, works: Sequence[Work], at_once: int, told: Callable[[int], None], stopped: Callable[[], bool]
) -> Iterator[Outcome]:
    """Yield what became of each file, in the order of the files; few of them are held at any time.

    A stop lets the files finish that are being worked on, and these are the last.

    Args:
        crew: who works.
        works: the files.
        at_once: how many pieces of work the crew does at once.
        told: called with how many files are done.
        stopped: whether a stop was asked for.
    """
    flight: deque[tuple[Sequence[Work], Future[list[Outcome]]]] = deque()
    begun = ended = 0
    pace = _SECONDS
    try:
        while ended < len(works) and not stopped():
            under_way = [future for _, future in flight if not future.done()]
            if begun < len(works) and len(under_way) < _AHEAD * at_once and begun - ended < _WAITING:
                chunk = works[begun : begun + _length(works, begun, pace)]
                flight.append((chunk, crew.start(chunk)))
                begun += len(chunk)
            elif under_way:
                wait(under_way, return_when=FIRST_COMPLETED)
            while flight and flight[0][1].done() and not stopped():
                found = crew.results(*flight.popleft())
                ended += len(found)
                pace = sum(outcome.facts.get("seconds", _SECONDS) for outcome in found) / len(found)
                yield from found
            told(ended + sum(len(chunk) for chunk, future in flight if future.done()))
        for future in [future for _, future in flight if not future.cancel()]:
            if future.exception() is None:
                yield from future.result()
    finally:
        for _, future in flight:
            future.cancel()


def _length(works: Sequence[Work], begun: int, pace: float) -> int:
    """Return how many files to hand out at once: as many as take no longer, and have no more bytes, than they may."""
    most = max(1, int(_SECONDS / max(pace, _SECONDS / _FILES)))
    sizes = accumulate(task.size for task, _ in works[begun : begun + most])
    return max(1, sum(size <= _BYTES for size in sizes))
