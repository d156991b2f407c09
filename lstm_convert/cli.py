"""The command line: the one place that prints, and that exits."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lstm_convert import __version__

if TYPE_CHECKING:
    from lstm_convert.canonical import LSTM, LeftOut, Model
    from lstm_convert.conversion import Conversion

COULD_NOT = 2
INTERRUPTED = 130

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def main() -> None:
    """Run the command line and exit: 0 done, 1 the answer is no, 2 could not do it, 130 interrupted."""
    try:
        _commands.main(standalone_mode=False)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(COULD_NOT)
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 (whatever happens, the user gets one message)
        _report(error)
        sys.exit(COULD_NOT)


def _report(error: Exception) -> None:
    from lstm_convert.errors import LstmConvertError  # noqa: PLC0415 (imported when something is wrong)

    if os.environ.get("LSTM_CONVERT_DEBUG") == "1":
        raise error
    if isinstance(error, LstmConvertError):
        click.echo(f"lstm-convert: {error}", err=True)
        return
    click.echo(f"lstm-convert: unexpected {type(error).__name__}: {error}", err=True)
    click.echo("This is a mistake of lstm-convert. LSTM_CONVERT_DEBUG=1 shows where; please report it.", err=True)


def _source_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option(
            "--recurrent-activation",
            metavar="NAME",
            help="The gates' activation, where a weights-only file does not say it: sigmoid or hard_sigmoid.",
        ),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="The architecture of a weights-only file: model.to_json() or to_yaml().",
        ),
        click.argument("source", type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


_json_option = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lstm-convert")
def _commands() -> None:
    """Move a trained LSTM between Keras and PyTorch, file to file, and prove that it still computes the same."""


@_commands.command()
@_source_options
@_json_option
def info(source: Path, config: Path | None, recurrent_activation: str | None, *, as_json: bool) -> None:
    """Show the LSTM layers of a file: sizes, activations, and where each array came from."""
    from lstm_convert.conversion import load  # noqa: PLC0415 (--help stays fast)

    model = load(source, config=config, recurrent_activation=recurrent_activation)
    if as_json:
        _print_json({"file": str(source), **_model_facts(model)})
        return
    click.echo(f"{source}: {_written_by(model)}, {_count(len(model.layers), 'LSTM layer')}")
    for layer in model.layers:
        click.echo(f"\n{layer.name}: {_sentence(layer)}")
        _print_arrays(layer)
    _print_notes(model)


@_commands.command()
@_source_options
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--stack", is_flag=True, help="Join consecutive layers of one size into one multi-layer nn.LSTM.")
@click.option(
    "--rename", multiple=True, metavar="OLD=NEW", help="Write a layer, or a prefix of paths, under a new path."
)
@click.option("--allow", multiple=True, metavar="WHAT", help="Take over what the target cannot state: hard_sigmoid.")
@click.option("--force", is_flag=True, help="Replace the target if it exists.")
@_json_option
def convert(
    source: Path,
    target: Path,
    config: Path | None,
    recurrent_activation: str | None,
    rename: tuple[str, ...],
    allow: tuple[str, ...],
    *,
    stack: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Convert SOURCE to TARGET, whose ending says what it is to be, and prove that both compute the same."""
    from lstm_convert.conversion import convert as run  # noqa: PLC0415 (--help stays fast)

    done = run(
        source,
        target,
        config=config,
        recurrent_activation=recurrent_activation,
        stack=stack,
        rename=dict(_pair(entry) for entry in rename),
        allow=allow,
        force=force,
    )
    if as_json:
        _print_json(_conversion_facts(source, done))
    else:
        _print_conversion(source, done)


@_commands.command()
@_json_option
def formats(*, as_json: bool) -> None:
    """Show what is read and written, and with which versions that is checked."""
    from lstm_convert.formats import support  # noqa: PLC0415 (--help stays fast)

    rows = support()
    if as_json:
        _print_json(rows)
        return
    _print_table(list(rows[0]), [list(row.values()) for row in rows])


def _pair(entry: str) -> tuple[str, str]:
    old, equals, new = entry.partition("=")
    if not equals or not old:
        raise click.BadParameter(f"expected OLD=NEW, found {entry!r}", param_hint="--rename")
    return old, new


def _print_json(answer: Any) -> None:
    click.echo(json.dumps(answer, indent=2))


def _print_table(header: list[str], rows: list[list[str]]) -> None:
    from rich import box  # noqa: PLC0415 (only tables need it)
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(*header, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 400).print(table)


def _print_arrays(layer: "LSTM") -> None:
    """Print where each canonical array of a layer came from, and which gate lies where in it."""
    from lstm_convert.layout import whereabouts  # noqa: PLC0415 (--help stays fast)
    from lstm_convert.table import LAYOUTS  # noqa: PLC0415

    for position, (direction, cell) in enumerate(layer.cells.items()):
        one_gate = {name: array.shape[1:] for name, array in cell.arrays().items() if name != "projection"}
        shapes = {name: "x".join(map(str, shape)) for name, shape in one_gate.items()}
        keys = layer.origin.keys[position] if layer.origin and layer.origin.keys else {}
        row = LAYOUTS.get(layer.origin.layout) if layer.origin else None
        click.echo(f"  {direction}: one gate is " + ", ".join(f"{name} {shape}" for name, shape in shapes.items()))
        width = max(map(len, keys.values()), default=0)
        for name, key in keys.items():
            gates = whereabouts(row, name, cell.units) if row else ""
            click.echo(f"    {key:<{width}}  {gates}".rstrip())


def _print_conversion(source: Path, done: "Conversion") -> None:
    from lstm_convert.formats import for_writing  # noqa: PLC0415 (--help stays fast)

    click.echo(f"{source} ({_written_by(done.source)}) -> {done.target} ({for_writing(done.target)[0].name})")
    for line in done.usage:
        click.echo(f"  {line}")
    _print_notes(done.source)
    difference, tolerance = done.proof.max_abs_difference, done.proof.tolerance
    click.echo(
        f"proof: read back and run in float64 over {done.proof.steps} steps, largest difference {difference:.1e} "
        f"(rounding explains up to {tolerance:.1e})"
    )


def _print_notes(model: "Model") -> None:
    for sentence in model.assumed:
        click.echo(f"assumed: {sentence}")
    if model.left_out:
        click.echo(f"left out, part of no LSTM: {_count(len(model.left_out), 'array')}")
    for line in _left_out_lines(model.left_out):
        click.echo(f"  {line}")


def _left_out_lines(left_out: tuple["LeftOut", ...]) -> Iterator[str]:
    """Yield a line for each weight left out, and one for all the rest of each purpose."""
    for entry in left_out:
        if entry.purpose == "weight":
            yield f"{entry.key} {entry.shape} {entry.dtype}"
    for purpose in dict.fromkeys(entry.purpose for entry in left_out if entry.purpose != "weight"):
        yield f"{purpose}: {_count(sum(entry.purpose == purpose for entry in left_out), 'array')}"


def _written_by(model: "Model") -> str:
    source = model.provenance
    return f"{' '.join(filter(None, (source.framework, source.version)))}, {source.format}"


def _sentence(layer: "LSTM") -> str:
    cell = layer.forward
    kind = "bidirectional, " if layer.backward else ""
    returns = "every step" if layer.return_sequences else "the last step"
    follows = f", reads {layer.follows}" if layer.follows else ""
    sizes = f"{kind}{cell.inputs} inputs, {cell.units} units, {cell.W.dtype.name}"
    activations = f"gates {cell.gate}, candidate {cell.candidate}, output {cell.output}"
    return f"{sizes}; {activations}; returns {returns}{follows}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _model_facts(model: "Model") -> dict[str, Any]:
    return {
        "provenance": asdict(model.provenance),
        "layers": [_layer_facts(layer) for layer in model.layers],
        "left_out": [asdict(entry) for entry in model.left_out],
        "assumed": list(model.assumed),
    }


def _layer_facts(layer: "LSTM") -> dict[str, Any]:
    cell = layer.forward
    return {
        "name": layer.name,
        "inputs": cell.inputs,
        "units": cell.units,
        "outputs": cell.outputs,
        "directions": list(layer.cells),
        "dtype": cell.W.dtype.name,
        "activations": {"gate": str(cell.gate), "candidate": str(cell.candidate), "output": str(cell.output)},
        "return_sequences": layer.return_sequences,
        "follows": layer.follows,
        "layout": layer.origin.layout if layer.origin else None,
        "keys": [dict(keys) for keys in layer.origin.keys] if layer.origin else [],
    }


def _conversion_facts(source: Path, done: "Conversion") -> dict[str, Any]:
    return {
        "source": str(source),
        "target": str(done.target),
        "format": done.format,
        "usage": list(done.usage),
        "proof": asdict(done.proof),
        **_model_facts(done.source),
    }
