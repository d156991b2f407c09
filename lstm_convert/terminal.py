"""What the command line prints with: lines, JSON, tables, and a bar that shows how far a long answer is."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from lstm_convert.verification import Verification


def print_json(answer: Any) -> None:
    """Print an answer as JSON.

    Args:
        answer: plain values.
    """
    click.echo(json.dumps(answer, indent=2))


def print_lines(lines: Iterable[str]) -> None:
    """Print lines.

    Args:
        lines: without their ends.
    """
    for line in lines:
        click.echo(line)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, as wide as it needs to be where nobody watches.

    Args:
        header: the columns.
        rows: what stands in them.
    """
    from rich import box  # noqa: PLC0415 (only tables need it)
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(*header, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 400).print(table)


def print_verification(found: "Verification") -> None:
    """Print what `verify` found.

    Args:
        found: what it found.
    """
    print_table(*found.table())
    print_lines((*found.differences, *found.notes))
    click.echo(found.tolerance_rule)
    error = found.max_abs_error
    click.echo(found.verdict + ("" if error is None else f", largest difference {error:.1e}"))


@contextmanager
def counting(what: str) -> Iterator[tuple[Callable[[int, int], None], Callable[[str], None]]]:
    """Yield what is told how many of how many are done, and shows it on stderr if that is a terminal; and what prints.

    Args:
        what: what is counted.
    """
    if not sys.stderr.isatty():
        yield (lambda _done, _total: None), click.echo
        return
    from rich.console import Console  # noqa: PLC0415 (only a terminal needs it)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task(what, total=None)

        def say(line: str) -> None:
            if not sys.stdout.isatty():
                click.echo(line)
                return
            bar.stop()  # which clears its line, so that this one stands above it
            click.echo(line)
            bar.start()

        yield (lambda done, total: bar.update(task, completed=done, total=total)), say


@contextmanager
def progress() -> Iterator[Callable[[str, float], None] | None]:
    """Yield what is told the progress and shows it on stderr; None where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 (only a terminal needs it)
    from rich.progress import Progress, TaskID  # noqa: PLC0415

    tasks: dict[str, TaskID] = {}
    with Progress(console=Console(stderr=True), transient=True) as bar:

        def tell(what: str, part: float) -> None:
            for other, task in tasks.items():  # what another follows is done
                if other != what:
                    bar.update(task, completed=1.0)
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=1.0)
            bar.update(tasks[what], completed=part)

        yield tell
