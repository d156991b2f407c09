"""Every whole model that a framework saved and ran is ported to Keras 3 and to PyTorch, and computes there the same."""

import runpy
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import FIXTURES, Array

import lstm_convert
from lstm_convert import Model

MODELS = FIXTURES / "models"
TOLERANCE = 1e-5
# What no port of the whole model can hold, and what the refusal names.
REFUSED = {
    "refused_lambda": ["twice: Lambda"],
    "refused_layers": ["highway: Highway", "maxout: MaxoutDense", "srelu: SReLU"],
}


def files() -> list[Path]:
    found = [path for path in sorted(MODELS.rglob("*")) if path.suffix in (".h5", ".keras")]
    assert len(found) > 200
    return found


def case_of(path: Path) -> str:
    return path.name.partition(".")[0]


def params(paths: Sequence[Path]) -> list[Any]:
    return [pytest.param(path, id=f"{path.parent.name}/{path.name}") for path in paths]


@cache
def loaded(path: Path) -> Model:
    config = path.with_name(f"{case_of(path)}.json") if ".weights_only" in path.name else None
    return lstm_convert.load(path, config=config)


def recorded(path: Path) -> tuple[list[Array], list[Array]]:
    with np.load(path.with_name(f"{case_of(path)}.expected.npz")) as file:
        inputs, outputs = (
            [file[name] for name in sorted(file.files) if name[0] == kind and "/" not in name] for kind in "xy"
        )
    return inputs, outputs


def listed(returned: Any) -> list[Array]:
    outputs = returned if isinstance(returned, list | tuple) else [returned]
    return [np.asarray(output.detach() if isinstance(output, torch.Tensor) else output) for output in outputs]


def assert_same(found: Sequence[Array], expected: Sequence[Array]) -> None:
    assert [array.shape for array in found] == [array.shape for array in expected]
    for one, other in zip(found, expected, strict=True):
        scale = max(1.0, float(np.abs(other).max()))
        assert np.abs(one - other).max() <= TOLERANCE * scale


def in_torch(source: Path, inputs: Sequence[Array]) -> list[Array]:
    model = runpy.run_path(str(source))["load"]()
    kind = next((parameter.dtype for parameter in model.parameters()), torch.float32)
    given = [torch.from_numpy(x) if x.dtype.kind in "ib" else torch.from_numpy(x).to(kind) for x in inputs]
    with torch.no_grad():
        return listed(model(*given))


PORTED = [path for path in files() if case_of(path).partition("_")[0] != "refused"]
