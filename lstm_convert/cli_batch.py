"""The command that converts whole collections."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from lstm_convert import options, terminal
from lstm_convert.options import DIFFERS

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from lstm_convert.collection.batch import Collection
    from lstm_convert.collection.work import Outcome


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--to", required=True, metavar="ENDING", help="What the results are to be: safetensors, keras, py …")
@click.option("-o", "--out", required=True, metavar="FOLDER", help="Where to; a path or URL. The log is put there too.")
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Processes; as many as there are cores if not said."
)
@click.option("--scheduler", metavar="ADDRESS", help="Work on the machines of a Dask cluster: tcp://HOST:PORT.")
@click.option("--table", metavar="FILE", help="Write the statistics of all gates, by file: .parquet or .csv.")
@options.reading_options
@options.graph_option
@options.writing_options
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON a file.")
def batch(
    sources: tuple[str, ...],
    to: str,
    out: str,
    workers: int | None,
    scheduler: str | None,
    table: str | None,
    *,
    as_json: bool,
    **asked: Any,
) -> None:
    """Convert every file of SOURCES, paths, URLs and patterns such as 'models/**/*.h5', each as `convert` does.

    Exit 0: all are converted, 1: some are not. What is done is skipped when the command is run again.
    """
    from lstm_convert.collection.batch import batch as run  # noqa: PLC0415 (--help stays fast)

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # how a cluster says that the time is up
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # which would run into ours
    with ExitStack() as stack:
        if scheduler is None:
            executor, workers = None, workers or _cores()
        else:
            executor, threads = stack.enter_context(_cluster(scheduler))
            workers = workers or threads
        progress, say = stack.enter_context(terminal.counting("converting"))

        def each(outcome: "Outcome") -> None:
            if as_json:
                say(json.dumps(outcome.line()))
            elif outcome.status == "failed":
                say("\n".join(_failure(outcome)))

        try:
            done = run(
                sources, to, out, executor=executor, workers=workers, table=table, each=each, progress=progress, **asked
            )
        except KeyboardInterrupt:
            click.echo("lstm-convert: stopped; the same command goes on where this one ended", err=True)
            raise
    if not as_json:
        terminal.print_table(["files", "", "reason"], _counts(done))
        click.echo(f"{done.log} has a line a file")
    if done.failed:
        sys.exit(DIFFERS)


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _cluster(address: str) -> Iterator[tuple["Executor", int]]:
    """Yield what works on a Dask cluster, and how many files it works on at once."""
    from lstm_convert.errors import InvalidFile  # noqa: PLC0415 (--help stays fast)
    from lstm_convert.packages import needed  # noqa: PLC0415 (--help stays fast)

    distributed = needed("distributed", "--scheduler")
    try:
        client = distributed.Client(address)
    except (OSError, ValueError) as error:
        raise InvalidFile(
            f"{address}: no scheduler answers: {error}", next_step="Start one: dask scheduler, and dask worker ADDRESS."
        ) from error
    with client:
        yield client.get_executor(), max(1, sum(client.nthreads().values()))


def _failure(outcome: "Outcome") -> Iterator[str]:
    """Yield why a file was not converted, as any other error is told."""
    facts = outcome.facts
    yield f"{outcome.source}: {facts['reason']}"
    yield from (f"  {detail}" for detail in facts["details"])
    if facts["next_step"]:
        yield facts["next_step"]


def _counts(done: "Collection") -> Iterator[list[str]]:
    """Yield the rows of the summary: how many files became what, and of those that failed, how many for each reason."""
    yield [str(done.converted), "converted", ""]
    if done.skipped:
        yield [str(done.skipped), "skipped", "an earlier run converted them"]
    yield from ([str(number), "failed", reason] for reason, number in done.reasons.items())
