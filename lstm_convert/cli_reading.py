"""The commands that read an LSTM: what its gates say, and which of its steps matter."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lstm_convert import options, terminal
from lstm_convert.options import DIFFERS

if TYPE_CHECKING:
    from lstm_convert.analysis.before import DataIs
    from lstm_convert.analysis.gates import Box
    from lstm_convert.canonical import Model

Both = tuple[str | None, str | None]

_READOUT = (
    "What makes the output of the last recurrent layer's: .npy, (outputs, units); or which of the model's outputs is "
    "looked at, by the layer that makes it, h for the recurrent layer's own. Without it, all that stands behind it."
)
_LAYER = "The recurrent layer whose output is read, where it is not the last."


_data_is_option = click.option(
    "--data-is",
    type=click.Choice(["model", "layer"]),
    help="What DATA is where its shape fits both: the model's own input, or what the first recurrent layer reads.",
)


def gates(source: Path, model: "Model", *, box: tuple[float, float] | None, data: Path | None, as_json: bool) -> None:
    """Print what the weights of every gate are.

    Args:
        source: the model's file.
        model: the model.
        box: the least and the most of every feature, for which the gates' ranges are proven, or None.
        data: sequences of which each feature's least and most are the box, or None.
        as_json: whether as JSON.
    """
    from lstm_convert import reading_answers as answers  # noqa: PLC0415 (--help stays fast)
    from lstm_convert.analysis.gates import read_gates  # noqa: PLC0415
    from lstm_convert.errors import naming  # noqa: PLC0415
    from lstm_convert.sequences import read_data  # noqa: PLC0415

    stated = "" if box is None else f"every feature from {box[0]:g} to {box[1]:g}"
    ends: Box | None = box
    if data is not None:
        stated = f"every feature from its least to its most in {data.name}"
        sequences = read_data(data)
        ends = sequences.min(axis=(0, 1)), sequences.max(axis=(0, 1))
    with naming(source):
        tables = read_gates(model, name=source.stem, box=ends)
    if as_json:
        terminal.print_json({"file": str(source), **answers.table_facts(tables)})
        return
    terminal.print_table(*answers.gate_rows(tables))
    terminal.print_lines(answers.gate_lines(tables, stated))


@click.command()
@options.source_options
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Your own sequences: .npy, the model's own input, or what its first recurrent layer reads, (sequences, steps, "
    "features).",
)
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="Where to.")
@click.option(
    "--readout",
    metavar="FILE|NAME",
    help=_READOUT,
)
@_data_is_option
@click.option("--layer", metavar="NAME", help=_LAYER)
@options.graph_option
@options.seed_option
@click.option(
    "--effort",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="A factor on how many sequences the costly methods look at.",
)
@click.option("--force", is_flag=True, help="Replace files of the same names in a folder that is not empty.")
@options.json_option
def analyze(  # noqa: PLR0913 (an option of a command is a parameter of its function)
    source: Path,
    config: Path | None,
    recurrent_activation: str | None,
    data: Path,
    out: Path,
    readout: str | None,
    data_is: "DataIs | None",
    *,
    layer: str | None,
    graph: str | None,
    seed: int,
    effort: float,
    force: bool,
    as_json: bool,
) -> None:
    """Measure on your data which steps SOURCE's output depends on; write tables, pictures and report.html."""
    _one_thread()
    from lstm_convert import reading_answers as answers  # noqa: PLC0415 (--help stays fast)
    from lstm_convert.reading import read_file  # noqa: PLC0415

    with terminal.progress() as progress:
        done = read_file(
            source,
            data,
            out,
            config=config,
            recurrent_activation=recurrent_activation,
            graph=graph,
            readout=readout,
            data_is=data_is,
            layer=layer,
            seed=seed,
            effort=effort,
            force=force,
            progress=progress,
        )
    if as_json:
        terminal.print_json(answers.reading_facts(str(source), done))
    else:
        terminal.print_lines(answers.of_reading(done))


def _of_both(name: str, metavar: str, text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return an option that is given once for both files, or twice; `-` gives one of them nothing."""

    def pair(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> Both:
        if len(given) > 2:  # noqa: PLR2004 (A and B)
            raise click.BadParameter(f"given {len(given)} times: once is for both files, twice for A and for B")
        one, other = (given * 2)[:2] if given else ("-", "-")
        return (None if one == "-" else one, None if other == "-" else other)

    how = f"{text} Twice: of A and of B, - where one has none."
    return click.option(name, metavar=metavar, multiple=True, callback=pair, help=how)


@click.command()
@click.argument("one", metavar="A", type=click.Path(path_type=Path))
@click.argument("other", metavar="B", type=click.Path(path_type=Path))
@options.reading_options
@options.data_option
@_data_is_option
@_of_both("--readout", "FILE|NAME", _READOUT)
@_of_both("--layer", "NAME", _LAYER)
@_of_both("--graph", "NAMES", "The order of a PyTorch state dict's modules, as `analyze` takes it.")
@options.seed_option
@options.json_option
def compare(  # noqa: PLR0913 (an option of a command is a parameter of its function)
    one: Path,
    other: Path,
    config: Path | None,
    recurrent_activation: str | None,
    data: Path | None,
    readout: Both,
    layer: Both,
    graph: Both,
    *,
    data_is: "DataIs | None",
    seed: int,
    as_json: bool,
) -> None:
    """Say how A and B differ: in what they compute first, in their weights second. Exit 0: one function, 1: two."""
    _one_thread()
    from lstm_convert import reading_answers as answers  # noqa: PLC0415 (--help stays fast)
    from lstm_convert.reading import compare_files  # noqa: PLC0415

    found = compare_files(
        one,
        other,
        data,
        config=config,
        recurrent_activation=recurrent_activation,
        graphs=graph,
        readouts=readout,
        layers=layer,
        data_is=data_is,
        seed=seed,
    )
    if as_json:
        terminal.print_json(answers.comparison_facts(found))
    else:
        terminal.print_table(*answers.distance_rows(found))
        terminal.print_lines(answers.of_comparison(found))
    if not found.same:
        sys.exit(DIFFERS)


@click.command()
@options.source_options
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--undo", is_flag=True, help="Bring SOURCE, which this command wrote, back to what it was.")
@click.option("--force", is_flag=True, help="Replace the target if it exists.")
@options.json_option
def normalize(
    source: Path,
    target: Path,
    config: Path | None,
    recurrent_activation: str | None,
    *,
    undo: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write SOURCE with its units in canonical order and sign, and beside it TARGET.moves.npz, which brings it back."""
    from lstm_convert import reading_answers as answers  # noqa: PLC0415 (--help stays fast)
    from lstm_convert.reading import normalize_file  # noqa: PLC0415

    done = normalize_file(
        source, target, config=config, recurrent_activation=recurrent_activation, undo=undo, force=force
    )
    if as_json:
        terminal.print_json(answers.normalization_facts(str(source), done))
    else:
        terminal.print_lines(answers.of_normalization(str(source), done))


def _one_thread() -> None:
    """Keep OpenBLAS from spreading products as small as an LSTM's over cores; before NumPy is imported."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


COMMANDS = (analyze, compare, normalize)
