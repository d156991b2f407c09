"""The command line: the one place that prints, and that exits."""

import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from types import FrameType

import click

from lstm_convert import __version__, cli_batch, cli_reading, options, terminal
from lstm_convert.options import COULD_NOT, DIFFERS, INTERRUPTED


def main() -> None:
    """Run the command line and exit: 0 done, 1 the answer is no, 2 could not do it, 130 interrupted."""
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):  # Windows has no SIGHUP
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores it
            signal.signal(number, _ended)
    try:
        _commands.main(standalone_mode=False)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(COULD_NOT)
    except (click.exceptions.Abort, KeyboardInterrupt) as stop:
        if not isinstance(stop.__cause__, EOFError):
            sys.exit(INTERRUPTED)
        _report(stop.__cause__)  # click takes the end of any file for the end of what a user types
        sys.exit(COULD_NOT)
    except Exception as error:  # noqa: BLE001 (whatever happens, the user gets one message)
        _report(error)
        sys.exit(COULD_NOT)


def _ended(number: int, _frame: FrameType | None) -> None:
    """Leave as a shell reports it, so that what is half made is taken away."""
    sys.exit(128 + number)


def _report(error: Exception) -> None:
    from lstm_convert.errors import LstmConvertError  # noqa: PLC0415 (imported when something is wrong)

    if os.environ.get("LSTM_CONVERT_DEBUG") == "1":
        raise error
    if isinstance(error, LstmConvertError):
        click.echo(f"lstm-convert: {error}", err=True)
        return
    click.echo(f"lstm-convert: unexpected {type(error).__name__}: {error}", err=True)
    click.echo("This is a mistake of lstm-convert. LSTM_CONVERT_DEBUG=1 shows where; please report it.", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lstm-convert")
def _commands() -> None:
    """Move a trained LSTM between Keras and PyTorch, file to file, and prove that it still computes the same."""


@_commands.command()
@options.source_options
@options.graph_option
@click.option("--gates", is_flag=True, help="Show what each gate's weights are: sizes, norms, openings, dead units.")
@click.option(
    "--box",
    type=(float, float),
    metavar="LOW HIGH",
    help="With --gates: prove each gate's range for all inputs from LOW to HIGH; --data takes your data's.",
)
@options.data_option
@options.json_option
def info(
    source: Path,
    config: Path | None,
    recurrent_activation: str | None,
    graph: str | None,
    box: tuple[float, float] | None,
    data: Path | None,
    *,
    gates: bool,
    as_json: bool,
) -> None:
    """Show the LSTM layers of a file: sizes, activations, and where each array came from."""
    from lstm_convert import answers  # noqa: PLC0415 (--help stays fast)
    from lstm_convert.conversion import load  # noqa: PLC0415

    if (box or data) and (not gates or (box and data)):
        raise click.UsageError("--box and --data state the inputs for which --gates proves ranges: give one of them.")
    model = load(source, config=config, recurrent_activation=recurrent_activation, graph=graph)
    if gates:
        cli_reading.gates(source, model, box=box, data=data, as_json=as_json)
    elif as_json:
        terminal.print_json({"file": str(source), **answers.model_facts(model)})
    else:
        terminal.print_lines(answers.of_model(source, model))


@_commands.command()
@options.source_options
@click.argument("target", type=click.Path(path_type=Path))
@options.graph_option
@options.writing_options
@options.json_option
def convert(  # noqa: PLR0913 (an option of a command is a parameter of its function)
    source: Path,
    target: Path,
    config: Path | None,
    recurrent_activation: str | None,
    graph: str | None,
    rename: dict[str, str],
    allow: tuple[str, ...],
    dtype: str | None,
    *,
    stack: bool,
    custom_layer: bool,
    lstm_only: bool,
    proof: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Convert SOURCE to TARGET, whose ending says what it is to be, and prove that both compute the same."""
    from lstm_convert import answers  # noqa: PLC0415 (--help stays fast)
    from lstm_convert.conversion import convert as run  # noqa: PLC0415
    from lstm_convert.leases import alone  # noqa: PLC0415

    with alone():
        done = run(
            source,
            target,
            config=config,
            recurrent_activation=recurrent_activation,
            graph=graph,
            stack=stack,
            rename=rename,
            allow=allow,
            dtype=dtype,
            custom_layer=custom_layer,
            lstm_only=lstm_only,
            proof=proof,
            force=force,
        )
    if as_json:
        terminal.print_json(answers.conversion_facts(source, done))
    else:
        terminal.print_lines(answers.of_conversion(source, done))


@_commands.command()
@options.source_options
@click.argument("other", required=False, type=click.Path(path_type=Path))
@options.data_option
@options.seed_option
@options.json_option
def verify(
    source: Path,
    other: Path | None,
    config: Path | None,
    recurrent_activation: str | None,
    data: Path | None,
    seed: int,
    *,
    as_json: bool,
) -> None:
    """Run SOURCE and OTHER, in float64 and in their own frameworks where installed: 0 same, 1 differs, 2 could not.

    With SOURCE alone, run the proof that `convert --proof` left beside it.
    """
    from lstm_convert.verification import verify as run  # noqa: PLC0415 (--help stays fast)

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes about the machine are no answer
    found = run(source, other, data=data, seed=seed, config=config, recurrent_activation=recurrent_activation)
    if as_json:
        terminal.print_json(found.facts())
    else:
        terminal.print_verification(found)
    if not found.same:
        sys.exit(DIFFERS)


@_commands.command()
@click.argument("right", metavar="A", type=click.Path(path_type=Path))
@click.argument("other", metavar="B", type=click.Path(path_type=Path))
@options.reading_options
@options.json_option
def diagnose(right: Path, other: Path, config: Path | None, recurrent_activation: str | None, *, as_json: bool) -> None:
    """Name the mistake that makes B another network than A, which is right. Exit 0: the same, 1: they differ."""
    from lstm_convert import answers  # noqa: PLC0415 (--help stays fast)
    from lstm_convert.diagnosis.models import diagnose as run  # noqa: PLC0415

    found = run(right, other, config=config, recurrent_activation=recurrent_activation)
    if as_json:
        terminal.print_json(asdict(found))
    else:
        terminal.print_lines(answers.of_diagnosis(found))
    if not found.same:
        sys.exit(DIFFERS)


for _command in (cli_batch.batch, *cli_reading.COMMANDS):
    _commands.add_command(_command)


@_commands.command()
@click.option("--matrix", is_flag=True, help="Show what becomes of each variant of an LSTM in each kind of file.")
@options.json_option
def formats(*, matrix: bool, as_json: bool) -> None:
    """Show what is read and written, and with which versions that is checked."""
    if matrix:
        from lstm_convert import support  # noqa: PLC0415 (the matrix alone needs numpy)

        if not as_json:
            click.echo(support.matrix_markdown(), nl=False)
            return
        rows = support.matrix()
    else:
        from lstm_convert import formats as kinds  # noqa: PLC0415 (--help stays fast)

        rows = kinds.support()
    if as_json:
        terminal.print_json(rows)
        return
    terminal.print_table(list(rows[0]), [list(row.values()) for row in rows])
