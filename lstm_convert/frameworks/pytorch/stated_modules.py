"""The modules that `--graph` names: which keys of a state dict are whose, and what kind of module has such arrays."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import Recurrent
from lstm_convert.canonical.kinds import RECURRENT
from lstm_convert.containers import Stored
from lstm_convert.frameworks.pytorch.state_dict import shortened_paths

# What a name may be followed by where its arrays leave it open: `emb:embedding`.
STATED = ("embedding", "dense", "layer_norm", "prelu")

# The arrays of each kind in a state dict, by their names in the network.
_NAMES: Mapping[str, Mapping[str, str]] = MappingProxyType({
    "embedding": {"kernel": "weight"},
    "dense": {"kernel": "weight", "bias": "bias"},
    "layer_norm": {"gamma": "weight", "beta": "bias"},
    "batch_norm": {"gamma": "weight", "beta": "bias", "mean": "running_mean", "variance": "running_var"},
    "prelu": {"alpha": "weight"},
})  # fmt: skip
_COUNTER = "num_batches_tracked"
_MATRIX = 2


@dataclass(frozen=True, eq=False)
class Module:
    """A module of the state dict.

    Args:
        name: as the user states it.
        keys: of its arrays, by what is behind its name.
        kind: of the canonical network, or empty where `problem` says why there is none.
        arrays: by their names in the network; a recurrent module has none here.
        layers: those of a recurrent module.
        possible: the kinds that its arrays may be of, where these are several.
        problem: why it cannot be a layer.
    """

    name: str
    keys: Mapping[str, str]
    kind: str = ""
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    layers: tuple[Recurrent, ...] = ()
    possible: tuple[str, ...] = ()
    problem: str = ""

    @property
    def reads(self) -> int | None:
        """The number of features that it reads; None where any number will do, or words."""
        if self.kind == RECURRENT:
            return self.layers[0].forward.inputs
        if self.kind == "dense":
            return int(self.arrays["kernel"].shape[1])
        sizes = {array.size for array in self.arrays.values()}
        return None if self.kind in ("", "embedding") or sizes == {1} else max(sizes)

    @property
    def makes(self) -> int | None:
        """The number of features that it makes; None where that is what it reads."""
        if self.kind == RECURRENT:
            return len(self.layers[-1].cells) * self.layers[-1].forward.outputs
        axis = {"dense": 0, "embedding": 1}.get(self.kind)
        return None if axis is None else int(self.arrays["kernel"].shape[axis])


def plain_keys(keys: Iterable[str]) -> dict[str, str]:
    """Return each key of a state dict by its name without what only wraps the model."""
    keys = list(keys)
    split = {key: re.fullmatch(r"(?:(.*)[./])?([^./]*)", key, re.DOTALL) for key in keys}
    paths = {key: match[1] or "" for key, match in split.items() if match}
    shortened = shortened_paths(list(dict.fromkeys(paths.values())))
    return {f"{shortened[path]}.{key[len(path) :].lstrip('./')}".lstrip("."): key for key, path in paths.items()}


def module(
    name: str, stated: str, keys: Mapping[str, str], arrays: Mapping[str, Stored], layers: Iterable[Recurrent]
) -> Module:
    """Return the module under a name.

    Args:
        name: its path.
        stated: the kind that the user states, or empty.
        keys: of its arrays, by what is behind its name.
        arrays: all of the state dict by key.
        layers: all recurrent layers of the state dict.
    """
    here = set(keys.values())
    own = tuple(layer for layer in layers if here >= _keys_of(layer) != set())
    inner = list(dict.fromkeys(rest.rpartition(".")[0] for rest in keys if "." in rest))
    if inner:
        inside = ", ".join(f"{name}.{each}" for each in inner)
        return Module(name, keys, problem=f"holds modules of its own: name {inside} in their order")
    if own:
        wrong = f"its arrays are a recurrent layer's, not of {stated}" if stated else ""
        return Module(name, keys, RECURRENT, layers=own, problem=wrong)
    axes = {rest: len(arrays[key].shape) for rest, key in keys.items() if rest != _COUNTER}
    possible = _possible(axes)
    kind, problem = _kind(name, axes, possible, stated)
    if problem:
        return Module(name, keys, possible=possible if not stated else (), problem=problem)
    found = {ours: _read(arrays[keys[theirs]]) for ours, theirs in _NAMES[kind].items() if theirs in keys}
    return Module(name, keys, kind, found)


def _keys_of(layer: Recurrent) -> set[str]:
    return {key for keys in (layer.origin.keys if layer.origin else ()) for key in keys.values()}


def _read(stored: Stored) -> NDArray[Any]:
    return np.ascontiguousarray(stored.read())


def _kind(name: str, axes: Mapping[str, int], possible: tuple[str, ...], stated: str) -> tuple[str, str]:
    """Return the kind of module that has arrays with so many axes; empty where it is open; and what is wrong."""
    shown = "found " + ", ".join(f"{rest} with {count} axes" for rest, count in axes.items())
    if stated:
        return (stated, "") if stated in possible else ("", f"expected the arrays of {stated}, {shown}")
    if len(possible) == 1:
        return possible[0], ""
    if possible:
        return "", f"{shown}: say which it is, {' or '.join(f'{name}:{kind}' for kind in possible)}"
    if axes.get("weight", 0) > _MATRIX:
        return "", f"{shown}: a convolution's stride and padding are in no state dict; a live module says them"
    return "", f"{shown}: no layer that is known has such arrays"


def _possible(axes: Mapping[str, int]) -> tuple[str, ...]:
    if {"running_mean", "running_var"} <= axes.keys():
        return ("batch_norm",) if axes.keys() <= {"weight", "bias", "running_mean", "running_var"} else ()
    match axes:
        case {"weight": 2, "bias": 1} if len(axes) == _MATRIX:
            return ("dense",)
        case {"weight": 2} if len(axes) == 1:
            return ("embedding", "dense")
        case {"weight": 1, "bias": 1} if len(axes) == _MATRIX:
            return ("layer_norm",)
        case {"weight": 1} if len(axes) == 1:
            return ("layer_norm", "prelu")
    return ()
