"""Adapters: a framework's names and settings to canonical layers and back. An adapter never sees a gate.

Each offers `recognises(contents)` and `read(contents, options)`, and, where it can write, `refusals(layer, options)`,
`manner(layer)`, `write(model, options)` and `usage(model, options)`, which says how to use what was written; where some
files need another beside them, also `companions(model, options)`, its text by its name; and where it writes whole
networks, `network_refusals(network, options)`, and `reread(contents, model)` where a file alone does not say that it
holds one. What lies where in an array is the table's to say.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lstm_convert.canonical import Model, Network, Recurrent
from lstm_convert.errors import Unsupported


@dataclass(frozen=True)
class ReadOptions:
    """What the user adds to a file that does not say it all.

    Args:
        architecture: the decoded architecture document that belongs to a weights-only file.
        recurrent_activation: the gates' activation where nothing states it.
        keepsakes: whether to read what lstm_convert left beside the weights for the way back, which no framework
            reads.
        graph: the modules of a state dict in the order in which they are called, names with commas between them.
    """

    architecture: Any = None
    recurrent_activation: str | None = None
    keepsakes: bool = True
    graph: str | None = None


@dataclass(frozen=True)
class WriteOptions:
    """How the user wants a file written.

    Args:
        extension: the kind of file, `.keras`, `.weights.h5` …, where a framework has several.
        stack: whether consecutive layers of one size become one multi-layer module.
        rename: old path to new path, for layers or whole prefixes.
        allow: what the target cannot state and the user takes over: `hard_sigmoid`, `mask`, `go_backwards`, `merge`.
        dtype: the type of number to round the weights to, or None.
        custom_layer: whether a layer that the framework does not have is written as source code of our own.
        lstm_only: whether only the recurrent layers are written though the source tells the whole network; a writer
            is then given a model without it.
    """

    extension: str = ""
    stack: bool = False
    rename: Mapping[str, str] = field(default_factory=dict)
    allow: frozenset[str] = frozenset()
    dtype: str | None = None
    custom_layer: bool = False
    lstm_only: bool = False


def refuse_options(options: ReadOptions, kind: str, used: Iterable[str] = ()) -> None:
    """Raise where the user adds what a kind of file has no use for, rather than leave it aside in silence.

    Args:
        options: what the user adds.
        kind: what the file is, and why it needs none of that.
        used: what it has a use for, as the command line calls it.
    """
    given = {
        "--config": options.architecture,
        "--recurrent-activation": options.recurrent_activation,
        "--graph": options.graph,
    }
    unused = [name for name, value in given.items() if value is not None and name not in used]
    if unused:
        raise Unsupported(f"is {kind}", [f"{name}: nothing to use it for" for name in unused], "Leave it out.")


def renamed(layers: Iterable[Recurrent], rename: Mapping[str, str]) -> tuple[Recurrent, ...]:
    """Return layers under new paths.

    Args:
        layers: the layers.
        rename: old path or prefix of a path to new one; an empty new one takes the prefix away.

    Raises:
        Unsupported: an old path is no layer's, or two layers would have one name.
    """
    layers = tuple(layers)
    if not rename:
        return layers
    paths = renamed_paths([layer.path for layer in layers], rename)
    moved = [replace(layer, path=paths[layer.path]) for layer in layers]
    names = {old.name: new.name for old, new in zip(layers, moved, strict=True)}
    refuse_same(names)
    return tuple(
        replace(
            layer,
            follows=names.get(layer.follows or ""),
            starts_from=names.get(layer.starts_from or "", layer.starts_from),
        )
        for layer in moved
    )


def renamed_network(model: Model, network: Network, rename: Mapping[str, str]) -> Model:
    """Return a model with all layers of its network under new paths, as `renamed` does with recurrent ones.

    Args:
        model: the model.
        network: its network.
        rename: as in `renamed`.

    Raises:
        Unsupported: as `renamed` raises.
    """
    names = renamed_paths(network.layers, rename)
    refuse_same(names)
    recurrent = {old: new for old, new in names.items() if network.layers[old].recurrent and old != new}
    return replace(model, network=network.with_names(names)).with_layers(renamed(model.layers, recurrent))


def refuse_same(names: Mapping[str, str]) -> None:
    """Raise where two layers would have one name; the old name of each is its key."""
    if len(set(names.values())) < len(names):
        raise Unsupported(
            "two layers would have one name",
            [f"{old} as {new}" for old, new in names.items()],
            "Give each layer a name of its own.",
        )


def renamed_paths(paths: Iterable[str], rename: Mapping[str, str]) -> dict[str, str]:
    """Return the new path of each old one.

    Args:
        paths: the paths of a source's layers.
        rename: old path or prefix of a path to new one; an empty new one takes the prefix away.

    Raises:
        Unsupported: an old path is no layer's.
    """
    paths = list(dict.fromkeys(paths))
    if unused := [old for old in rename if not any(_moved(path, {old: ""}) != path for path in paths)]:
        raise Unsupported(
            "no layer has the path to be renamed",
            [f"{old}: there are {', '.join(paths)}" for old in unused],
            "Rename one of these, or a prefix that ends before a dot.",
        )
    return {path: _moved(path, rename) for path in paths}


def _moved(path: str, rename: Mapping[str, str]) -> str:
    for old, new in rename.items():
        if path == old:
            return new
        if path.startswith(f"{old}."):
            return f"{new}.{path.removeprefix(f'{old}.')}" if new else path.removeprefix(f"{old}.")
    return path
