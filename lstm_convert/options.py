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
