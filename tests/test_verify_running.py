"""Who runs a file that `verify` is given: its framework, layers made anew, or the reference; never code it brings."""

import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from helpers import FIXTURES, KERAS_3, TORCH

import lstm_convert
from lstm_convert import verify
from lstm_convert.errors import MissingFramework
from lstm_convert.frameworks.keras.opening import strange_classes
from lstm_convert.frameworks.pytorch import running as torch_running

PLAIN_TORCH = TORCH / "plain.pt"


def test_without_a_framework_the_reference_stands_alone_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "keras", "tf_keras"):
        monkeypatch.setitem(sys.modules, name, None)
    found = verify(KERAS_3 / "plain.keras", KERAS_3 / "plain.h5")
    assert found.same
    assert {row.compared for row in found.rows} == {"reference A, reference B"}
    assert "A: run by the float64 reference alone; running it needs Keras 3, which is not installed" in found.notes
    assert any(
        "running it needs PyTorch, which is not installed" in note for note in verify(PLAIN_TORCH, PLAIN_TORCH).notes
    )
    with pytest.raises(MissingFramework):
        torch_running.runner(lstm_convert.load(PLAIN_TORCH), PLAIN_TORCH, None)


def test_layers_made_anew_are_called_rebuilt(tmp_path: Path) -> None:
    lstm_convert.convert(FIXTURES / "keras-1.2.2/plain.h5", tmp_path / "new.pt")
    found = verify(FIXTURES / "keras-1.2.2/plain.h5", tmp_path / "new.pt")
    assert any(", rebuilt A, PyTorch" in row.compared for row in found.rows)
    assert any("its layers rebuilt from the weights: tf_keras" in note for note in found.notes)


def test_keras_2_runs_its_own_files_where_it_is_installed() -> None:
    found = verify(FIXTURES / "tf-2.15/hard.keras", FIXTURES / "tf-2.15/hard.h5")
    assert found.same
    ran = "run by tf_keras" if find_spec("tf_keras") else "rebuilt from the weights: tf_keras, which is Keras 2, is not"
    assert all(any(f"{side}: " in note and ran in note for note in found.notes) for side in "AB")


def test_a_file_that_pytorch_would_have_to_execute_is_not_handed_over() -> None:
    found = verify(TORCH / "plain.module.pt", PLAIN_TORCH)
    assert found.same
    assert any("PyTorch does not open the file: Weights only load failed" in note for note in found.notes)


STRANGE: list[Mapping[str, Any]] = [
    {"class_name": "Lambda", "module": "keras.layers", "config": {}},
    {"class_name": "__lambda__", "config": {"value": "4wE="}},
    {"class_name": "function", "module": "builtins", "config": "eval"},
    {"class_name": "Dense", "module": "os", "config": {}},
    {"class_name": "function", "module": "keras.utils", "config": "get_file"},
    {"class_name": "StringLookup", "module": "keras.layers", "config": {"vocabulary": "/etc/passwd"}},
    {"class_name": "TorchModuleWrapper", "module": "keras.layers", "config": {}},
]


@pytest.mark.parametrize("strange", STRANGE, ids=lambda entry: f"{entry.get('module')}.{entry['class_name']}")
@pytest.mark.parametrize("deep", [False, True])
def test_what_may_hold_code_is_not_handed_to_keras(strange: Mapping[str, Any], *, deep: bool) -> None:
    inside: dict[str, Any] = {"class_name": "Dense", "config": {"activation": [strange]}} if deep else dict(strange)
    architecture = {"class_name": "Sequential", "config": {"layers": [inside]}}
    assert list(strange_classes(architecture)) == [strange["class_name"]]


def test_a_model_with_a_lambda_is_not_executed(tmp_path: Path) -> None:
    """The Lambda would leave a file behind if anybody called it, or only opened it as Keras 2 did."""
    trace = tmp_path / "executed"
    script = f"""
import keras
from pathlib import Path
inputs = keras.Input((None, 3))
x = keras.layers.LSTM(5, return_sequences=True)(inputs)
x = keras.layers.Lambda(lambda t: (Path({str(trace)!r}).touch(), t)[1], output_shape=(None, 5))(x)
keras.Model(inputs, x).save({str(tmp_path / "evil.h5")!r})
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)  # noqa: S603 (this very Python)
    trace.unlink(missing_ok=True)
    found = verify(tmp_path / "evil.h5", tmp_path / "evil.h5")
    assert found.same
    assert any("may hold code in" in note for note in found.notes)
    assert not trace.exists()
