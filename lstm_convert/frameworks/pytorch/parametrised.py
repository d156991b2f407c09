"""Weights that a state dict stores as something they are computed from, computed: the weight as inference uses it.

Source: torch 2.13.0, torch/nn/utils/weight_norm.py, spectral_norm.py, prune.py and parametrizations.py; fastai 2.8.12,
fastai/text/models/awdlstm.py, WeightDropout
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.blocks import kept
from lstm_convert.containers import Contents, Stored
from lstm_convert.errors import InvalidFile, Unsupported
from lstm_convert.mapped import let_go
from lstm_convert.table import PYTORCH

Array = NDArray[Any]
Float64 = NDArray[np.float64]
Shape = tuple[int, ...]
Rows = Callable[[slice], Float64]

_WEIGHT = rf"(?:{'|'.join(PYTORCH.names(projection=True))})(?:_l\d+)?(?:_reverse)?"
_PART = re.compile(
    rf"(?P<prefix>(?:.*[./])?)(?P<weight>{_WEIGHT})"
    r"(?P<part>_g|_v|_u|_orig|_mask|_raw|\.original\d*|\.\d+\..+)"
)


# Of a weight so many numbers are computed at a time.
_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Recipe:
    """One way of computing a weight.

    Args:
        name: what people call it.
        parts: what its keys add to the weight's, in order.
        rows: from the parts and the weight's shape, what computes some of its rows in float64.
    """

    name: str
    parts: tuple[str, ...]
    rows: Callable[..., Rows]


def _weight_norm(shape: Shape, g: Array, v: Array) -> Rows:
    """Return g v / |v|, the norm over the axes along which g has one number."""
    axes = tuple(axis for axis in range(v.ndim) if g.ndim != v.ndim or g.shape[axis] == 1)
    squares = [(block * block).sum(axis=axes, keepdims=g.ndim == v.ndim) for block in _blocks(v)]
    length = np.sqrt(sum(squares) if 0 in axes else np.concatenate(squares))
    return lambda at: _some(g, shape, at) * (_some(v, shape, at) / _some(length, shape, at))


def _spectral_norm(shape: Shape, original: Array, u: Array, v: Array) -> Rows:
    """Return W / sigma; u and v are its singular vectors as the last step of training left them."""
    sigma = u.astype(np.float64) @ np.concatenate([block @ v.astype(np.float64) for block in _blocks(original)])
    return lambda at: _some(original, shape, at) / _some(sigma, shape, at)


def _masked(shape: Shape, original: Array, mask: Array) -> Rows:
    return lambda at: _some(original, shape, at) * _some(mask, shape, at)


def _itself(shape: Shape, raw: Array) -> Rows:
    return lambda at: _some(raw, shape, at)


def _blocks(array: Array) -> Iterator[Float64]:
    return (_some(array, array.shape, at) for at in _places(array.shape))


def _places(shape: Shape) -> Iterator[slice]:
    """Yield the rows of an array of some shape, as many at a time as have about so many numbers."""
    at_once = max(1, _AT_ONCE // max(1, math.prod(shape[1:])))
    return (slice(start, start + at_once) for start in range(0, shape[0], at_once))


def _some(array: Array, shape: Shape, at: slice) -> Float64:
    """Return some rows, in float64, of what an array is once it has a shape that it may be repeated to."""
    rows = np.broadcast_to(array, shape)[at]
    numbers = rows.astype(np.float64)
    let_go(rows)
    return numbers


RECIPES = (
    Recipe("weight_norm", ("_g", "_v"), _weight_norm),
    Recipe("weight_norm", (".original0", ".original1"), _weight_norm),
    Recipe("spectral_norm", ("_orig", "_u", "_v"), _spectral_norm),
    Recipe("spectral_norm", (".original", ".0._u", ".0._v"), _spectral_norm),
    Recipe("pruning", ("_orig", "_mask"), _masked),
    Recipe("weight dropout", ("_raw",), _itself),
)


def folded(contents: Contents) -> tuple[Contents, tuple[str, ...]]:
    """Return a state dict with every parametrised LSTM weight computed, and a note for each.

    Args:
        contents: the state dict.

    Raises:
        Unsupported: a weight is parametrised in a way that is not known; all of them are listed.
        InvalidFile: the parts of a weight do not fit together.
    """
    found: dict[tuple[str, str], dict[str, str]] = {}
    for key in contents.arrays:
        if match := _PART.fullmatch(key):
            prefix = match["prefix"].removesuffix("parametrizations.")
            found.setdefault((prefix, match["weight"]), {})[match["part"]] = key
    if unknown := [weight for weight, parts in found.items() if _recipe(parts) is None]:
        raise Unsupported(
            "stores LSTM weights as something they are computed from, in a way that is not known",
            [f"{prefix}{name}: {', '.join(found[prefix, name].values())}" for prefix, name in unknown],
            "Remove it in PyTorch (torch.nn.utils.parametrize.remove_parametrizations) and save again.",
        )
    used = {key for parts in found.values() for key in parts.values()}
    arrays = {key: stored for key, stored in contents.arrays.items() if key not in used}
    notes = []
    for (prefix, weight), parts in found.items():
        recipe = _recipe(parts)
        assert recipe is not None  # noqa: S101 (the unknown ones were refused above)
        # fastai's wrapper has the LSTM as `module`; the raw weight is the wrapper's own, at first it was the LSTM's.
        wraps = recipe.name == "weight dropout" and any(key.startswith(f"{prefix}module.") for key in arrays)
        inner = f"{prefix}module." if wraps else prefix
        arrays[f"{inner}{weight}"] = _computed(recipe, parts, contents.arrays)
        notes.append(f"{inner}{weight}: computed from its {recipe.name} ({', '.join(parts.values())})")
    return Contents(arrays, contents.attributes), tuple(notes)


def _recipe(parts: Mapping[str, str]) -> Recipe | None:
    return next((recipe for recipe in RECIPES if set(recipe.parts) == set(parts)), None)


def _computed(recipe: Recipe, parts: Mapping[str, str], arrays: Mapping[str, Stored]) -> Stored:
    weight = max((arrays[key] for key in parts.values()), key=lambda stored: math.prod(stored.shape))

    if weight.dtype.kind in "biu":
        raise InvalidFile(f"the parts of a {recipe.name} are whole numbers: {', '.join(parts.values())}")

    def read() -> Array:
        try:
            with np.errstate(all="ignore"):  # weights that are no numbers are refused once they are all there
                rows = recipe.rows(weight.shape, *(arrays[parts[part]].read() for part in recipe.parts))
                blocks = (rows(at).astype(weight.dtype) for at in _places(weight.shape))
                return kept(weight.shape, weight.dtype, blocks)
        except (ValueError, IndexError) as error:
            shapes = [f"{parts[part]}: {arrays[parts[part]].shape}" for part in recipe.parts]
            raise InvalidFile(f"the parts of a {recipe.name} do not fit together: {error}", shapes) from error

    return Stored(weight.shape, weight.dtype, read)
