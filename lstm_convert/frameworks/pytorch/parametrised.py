"""Weights that a state dict stores as something they are computed from, computed: the weight as inference uses it.

Source: torch 2.13.0, torch/nn/utils/weight_norm.py, spectral_norm.py, prune.py and parametrizations.py; fastai 2.8.12,
fastai/text/models/awdlstm.py, WeightDropout
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.containers import Contents, Stored
from lstm_convert.errors import InvalidFile, Unsupported
from lstm_convert.table import PYTORCH

Float64 = NDArray[np.float64]

_WEIGHT = rf"(?:{'|'.join(PYTORCH.names(projection=True))})(?:_l\d+)?(?:_reverse)?"
_PART = re.compile(
    rf"(?P<prefix>(?:.*[./])?)(?P<weight>{_WEIGHT})"
    r"(?P<part>_g|_v|_u|_orig|_mask|_raw|\.original\d*|\.\d+\..+)"
)


@dataclass(frozen=True)
class Recipe:
    """One way of computing a weight.

    Args:
        name: what people call it.
        parts: what its keys add to the weight's, in order.
        compute: the weight from these parts, in float64.
    """

    name: str
    parts: tuple[str, ...]
    compute: Callable[..., Float64]


def _weight_norm(g: Float64, v: Float64) -> Float64:
    """Return g v / |v|, the norm over the axes along which g has one number."""
    axes = tuple(axis for axis in range(v.ndim) if g.ndim != v.ndim or g.shape[axis] == 1)
    return np.asarray(g * (v / np.sqrt((v * v).sum(axis=axes, keepdims=g.ndim == v.ndim))))


def _spectral_norm(original: Float64, u: Float64, v: Float64) -> Float64:
    """Return W / sigma; u and v are its singular vectors as the last step of training left them."""
    return np.asarray(original / (u @ (original @ v)))


def _masked(original: Float64, mask: Float64) -> Float64:
    return original * mask


def _itself(raw: Float64) -> Float64:
    return raw


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

    def read() -> NDArray[Any]:
        try:
            with np.errstate(all="ignore"):  # weights that are no numbers are refused once they are all there
                values = [arrays[parts[part]].read().astype(np.float64) for part in recipe.parts]
                return np.asarray(recipe.compute(*values)).astype(weight.dtype).reshape(weight.shape)
        except ValueError as error:
            shapes = [f"{parts[part]}: {arrays[parts[part]].shape}" for part in recipe.parts]
            raise InvalidFile(f"the parts of a {recipe.name} do not fit together: {error}", shapes) from error

    return Stored(weight.shape, weight.dtype, read)
