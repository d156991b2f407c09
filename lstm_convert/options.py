"""The options that several commands share, and the exit codes."""

from collections.abc import Callable
from pathlib import Path

import click

DIFFERS = 1
COULD_NOT = 2
INTERRUPTED = 130


def reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add what tells how a weights-only file is read.

    Args:
        command: the command.
    """
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
    ):
        command = option(command)
    return command


def source_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the file that is read, and how.

    Args:
        command: the command.
    """
    return click.argument("source", type=click.Path(path_type=Path))(reading_options(command))


def writing_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add what is to become of a model that is written, and what may be given up for it.

    Args:
        command: the command.
    """
    for option in (
        click.option("--force", is_flag=True, help="Replace the target if it exists."),
        click.option(
            "--proof", is_flag=True, help="Write TARGET.proof.npz beside it, which `verify TARGET` runs again."
        ),
        click.option("--lstm-only", is_flag=True, help="Write the recurrent layers alone, not the whole model."),
        click.option(
            "--custom-layer",
            is_flag=True,
            help="Write what Keras has no layer for as one in lstm_layer.py beside TARGET.",
        ),
        click.option("--dtype", metavar="TYPE", help="Round the weights: float16, bfloat16, float32 or float64."),
        click.option(
            "--allow",
            multiple=True,
            metavar="WHAT",
            help="Take over what the target cannot state: hard_sigmoid, mask, go_backwards, merge.",
        ),
        click.option(
            "--rename",
            multiple=True,
            metavar="OLD=NEW",
            callback=_pairs,
            help="Write a layer, or a prefix of paths, under a new path.",
        ),
        click.option("--stack", is_flag=True, help="Join consecutive layers of one size into one multi-layer nn.LSTM."),
    ):
        command = option(command)
    return command


def _pairs(_context: click.Context, option: click.Parameter, entries: tuple[str, ...]) -> dict[str, str]:
    """Return the value of each name from entries such as OLD=NEW."""
    pairs = {}
    for entry in entries:
        old, equals, new = entry.partition("=")
        if not equals or not old:
            raise click.BadParameter(f"expected OLD=NEW, found {entry!r}", param_hint=option.opts[0])
        pairs[old] = new
    return pairs


graph_option = click.option(
    "--graph",
    metavar="NAMES",
    help="The order in which a PyTorch state dict's modules are called: emb,rnn,last,head. Between them: "
    "relu, tanh, sigmoid, softmax, last, mean, flatten …",
)
data_option = click.option(
    "--data", type=click.Path(path_type=Path), metavar="FILE", help="Your own sequences: .npy, (batch, time, features)."
)
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all that is drawn by chance."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
