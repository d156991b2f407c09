"""Every whole model that a framework saved and ran is ported to Keras 3 and to PyTorch, and computes there the same."""

import base64
import json
import marshal
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import torch
from helpers import FIXTURES, Array

import lstm_convert
from lstm_convert import InvalidFile, LstmConvertError, Model, Unsupported
from lstm_convert.network.reference import run_network

MODELS = FIXTURES / "models"
TOLERANCE = 1e-5
# Cases of which nothing whole can be ported, and what the refusal names.
REFUSED = {
    "refused_lambda": ["twice: Lambda holds code of its own"],
    "refused_layers": ["Highway", "MaxoutDense", "SReLU", "LocallyConnected1D", "SeparableConv1D", "Attention"],
    "refused_operations": ["Mean", "TFOpLambda"],
    "conv1d_same": ["padding"],
    "conv2d_same": ["padding"],
}
# What Keras 3 computes otherwise, and PyTorch source holds.
NOT_IN_KERAS_3 = {
    "keras-1.2.2": ["gru_masked", "gru_text", "merges_masked"],
    "keras-2.2.0": ["gru_masked", "gru_text", "merges_masked"],
    "tf-2.15": ["merges_masked"],
    "keras-3.15.1": ["merges_masked"],
}


def case_of(path: Path) -> str:
    return path.name.partition(".")[0]


FILES = [path for path in sorted(MODELS.rglob("*")) if path.suffix in (".h5", ".keras")]
PORTED = [path for path in FILES if case_of(path) not in REFUSED]


def params(paths: Sequence[Path]) -> list[Any]:
    return [pytest.param(path, id=f"{path.parent.name}/{path.name}") for path in paths]


@cache
def loaded(path: Path) -> Model:
    return lstm_convert.load(path, config=config_of(path))


def config_of(path: Path) -> Path | None:
    return path.with_name(f"{case_of(path)}.json") if ".weights_only" in path.name else None


def recorded(path: Path) -> tuple[list[Array], list[Array]]:
    with np.load(path.with_name(f"{case_of(path)}.expected.npz")) as file:
        names = sorted((name for name in file.files if "/" not in name), key=lambda name: int(name[1:]))
        inputs, outputs = ([file[name] for name in names if name[0] == kind] for kind in "xy")
    assert inputs
    assert outputs
    return inputs, outputs


def listed(returned: Any) -> list[Array]:
    outputs = returned if isinstance(returned, list | tuple) else [returned]
    return [y.numpy() if isinstance(y, torch.Tensor) else keras.ops.convert_to_numpy(y) for y in outputs]


def assert_same(found: Sequence[Array], expected: Sequence[Array]) -> None:
    assert [array.shape for array in found] == [array.shape for array in expected]
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one - other).max() <= TOLERANCE * max(1.0, float(np.abs(other).max()))


def in_torch(source: Path, inputs: Sequence[Array]) -> list[Array]:
    model = runpy.run_path(str(source))["load"]()
    kind = next((parameter.dtype for parameter in model.parameters()), torch.float32)
    given = [torch.from_numpy(x) if x.dtype.kind in "ib" else torch.from_numpy(x).to(kind) for x in inputs]
    with torch.no_grad():
        return listed(model(*given))


def in_keras(path: Path, inputs: Sequence[Array]) -> list[Array]:
    return listed(keras.models.load_model(path, safe_mode=True)(list(inputs), training=False))


def test_every_case_is_ported_or_refused() -> None:
    assert len(PORTED) > 200
    assert set(REFUSED) <= {case_of(path) for path in FILES}


@pytest.mark.parametrize("path", params(PORTED))
def test_a_model_computes_in_float64_what_its_framework_recorded(path: Path) -> None:
    network = loaded(path).network
    assert network is not None
    inputs, outputs = recorded(path)
    assert_same(run_network(network, inputs), outputs)


@pytest.mark.parametrize("path", params(PORTED))
def test_a_model_computes_the_same_as_written_out_pytorch(path: Path, tmp_path: Path) -> None:
    if loaded(path).network.is_stack:  # type: ignore[union-attr]  # the test before says that there is one
        pytest.fail("no fixture is a stack of recurrent layers alone")
    done = lstm_convert.convert(path, tmp_path / "model.py", config=config_of(path))
    assert done.proof.max_abs_difference <= done.proof.tolerance
    inputs, outputs = recorded(path)
    assert_same(in_torch(done.target, inputs), outputs)


RESCUED = [path for path in PORTED if case_of(path) not in NOT_IN_KERAS_3[path.parent.name]]


@pytest.mark.parametrize("path", params(RESCUED))
def test_a_rescued_model_computes_the_same_in_keras_3(path: Path, tmp_path: Path) -> None:
    done = lstm_convert.convert(path, tmp_path / "rescued.keras", config=config_of(path))
    assert done.proof.max_abs_difference <= done.proof.tolerance
    inputs, outputs = recorded(path)
    assert_same(in_keras(done.target, inputs), outputs)


@pytest.mark.parametrize(
    ("folder", "name"), [(folder, name) for folder, names in NOT_IN_KERAS_3.items() for name in names]
)
def test_what_keras_3_computes_otherwise_is_refused_with_the_reason(folder: str, name: str, tmp_path: Path) -> None:
    [source] = {path for path in FILES if (path.parent.name, path.stem) == (folder, name)}
    with pytest.raises(Unsupported) as refused:
        lstm_convert.convert(source, tmp_path / "rescued.keras")
    assert all("Keras 3" in reason for reason in refused.value.details)
    assert not (tmp_path / "rescued.keras").exists()


@pytest.mark.parametrize("path", params([path for path in FILES if path not in PORTED]))
def test_a_model_that_is_not_ported_is_refused_by_the_names_of_its_layers(path: Path, tmp_path: Path) -> None:
    with pytest.raises(LstmConvertError) as refused:
        lstm_convert.convert(path, tmp_path / "model.py", config=config_of(path))
    assert any(reason in str(refused.value) for reason in REFUSED[case_of(path)])
    assert not (tmp_path / "model.py").exists()


# A state dict of recurrent layers alone has their own paths, `two_gru.0`, which no attribute of a module can have.
WITH_OTHERS = [path for path in PORTED if case_of(path) != "rnn_cells_states"]


@pytest.mark.parametrize("path", params(WITH_OTHERS))
def test_a_state_dict_is_that_of_the_written_out_module(path: Path, tmp_path: Path) -> None:
    lstm_convert.convert(path, tmp_path / "model.py", config=config_of(path))
    lstm_convert.convert(path, tmp_path / "model.pt", config=config_of(path))
    whole = runpy.run_path(str(tmp_path / "model.py"))["load"]().state_dict()
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert list(state) == list(whole)
    for key, tensor in whole.items():
        torch.testing.assert_close(state[key], tensor, rtol=0, atol=0)


IN_KERAS = """
import json, sys, warnings
warnings.simplefilter("ignore")
import keras, numpy as np
if keras.backend.backend() == "torch":
    import torch
    torch.set_num_threads(1)
for path, recording in json.loads(sys.stdin.read()):
    with np.load(recording) as file:
        names = sorted((n for n in file.files if "/" not in n), key=lambda n: int(n[1:]))
        inputs, outputs = ([file[n] for n in names if n[0] == kind] for kind in "xy")
    model = keras.models.load_model(path, safe_mode=True)
    found = model(inputs, training=False)
    found = [keras.ops.convert_to_numpy(y) for y in (found if isinstance(found, (list, tuple)) else [found])]
    apart = max(float(np.abs(a - b).max() / max(1.0, np.abs(b).max())) for a, b in zip(found, outputs))
    before = [np.array(array) for array in model.get_weights()]
    # Keras 3.15.1 trains no stateful LSTM on torch: it writes over the states that the gradients need.
    if keras.backend.backend() == "tensorflow" or not any(getattr(layer, "stateful", False) for layer in model.layers):
        model.compile("sgd", "mse", run_eagerly=True, jit_compile=False)
        model.train_on_batch(inputs, [np.cos(np.arange(y.size, dtype=y.dtype)).reshape(y.shape) for y in outputs])
        moved = any((np.array(array) != old).any() for array, old in zip(model.get_weights(), before))
    else:
        moved = True
    again = f"{path}.{keras.backend.backend()}.keras"
    model.save(again)
    keras.models.load_model(again)
    print(json.dumps([apart, moved]))
"""


def test_rescued_models_open_in_safe_mode_train_a_step_and_save_again_on_both_backends(tmp_path: Path) -> None:
    work = [(tmp_path / f"{number}.keras", path) for number, path in enumerate(RESCUED)]
    for target, path in work:
        lstm_convert.convert(path, target, config=config_of(path))
    told = json.dumps([(str(target), str(path.with_name(f"{case_of(path)}.expected.npz"))) for target, path in work])
    running = [
        subprocess.Popen(  # noqa: S603 (our own script)
            [sys.executable, "-c", IN_KERAS], env={**os.environ, "KERAS_BACKEND": backend}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for backend in ("tensorflow", "torch")
    ]  # fmt: skip
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda process: process.communicate(told), running))
    for printed, errors in said:
        answers = [json.loads(line) for line in printed.splitlines() if line.startswith("[")]
        assert len(answers) == len(work), errors[-2000:]
        wrong = [number for number, (apart, moved) in enumerate(answers) if apart > TOLERANCE or not moved]
        assert [work[number][1] for number in wrong] == []


# Bad input.


def with_config(path: Path, target: Path, change: Any) -> Path:
    """A copy of an HDF5 file whose architecture was changed."""
    target.write_bytes(path.read_bytes())
    with h5py.File(target, "r+") as file:
        document = json.loads(file.attrs["model_config"])
        change(document)
        file.attrs["model_config"] = json.dumps(document)
    return target


TEXT = MODELS / "tf-2.15" / "text.h5"


def layer(document: Any, name: str) -> Any:
    return next(each for each in document["config"]["layers"] if each["config"]["name"] == name)["config"]


def test_a_config_that_lies_about_its_arrays_is_refused_by_the_array(tmp_path: Path) -> None:
    lying = with_config(TEXT, tmp_path / "lying.h5", lambda document: layer(document, "head").update(units=3))
    with pytest.raises(LstmConvertError, match=r"head: kernel: expected \(any, 3\), found \(7, 2\)|head.*expected"):
        lstm_convert.convert(lying, tmp_path / "model.py")
    assert not (tmp_path / "model.py").exists()


def test_a_circle_of_calls_is_refused(tmp_path: Path) -> None:
    def in_a_circle(document: Any) -> None:
        for each in document["config"]["layers"]:
            if each["name"] == "joined":
                each["inbound_nodes"] = [[["head", 0, 0, {}], ["head", 0, 0, {}]]]

    source = FIXTURES / "tf-2.15" / "functional.h5"
    with pytest.raises(InvalidFile, match=r"circle|cycl|itself"):
        lstm_convert.convert(with_config(source, tmp_path / "circle.h5", in_a_circle), tmp_path / "model.py")


def test_ten_thousand_layers_are_read_in_seconds(tmp_path: Path) -> None:
    source = FIXTURES / "keras-1.2.2" / "hard.weights_only.h5"
    document = json.loads(source.with_name("hard.json").read_text("utf-8"))
    document["config"] += [
        {"class_name": "Dropout", "config": {"name": f"more_{number}", "p": 0.5, "trainable": True}}
        for number in range(10_000)
    ]
    (tmp_path / "long.json").write_text(json.dumps(document), "utf-8")
    network = lstm_convert.load(source, config=tmp_path / "long.json").network
    assert network is not None
    assert len(network.calls) == 10_002
    lstm_convert.convert(source, tmp_path / "model.py", config=tmp_path / "long.json")


HOSTILE = ["bi-lstm/1", "class", "é", "x" * 2_000_000, '"""\nimport os\nos.abort()\n"""', "forward", "self.x = 1 #"]


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name[:12]))
def test_no_name_of_a_file_becomes_code(name: str, tmp_path: Path) -> None:
    model = loaded(TEXT)
    assert model.network is not None
    names = {old: name if old == "head" else old for old in model.network.layers}
    renamed = lstm_convert.Model(
        model.layers,
        network=model.network.with_names(names),
        provenance=lstm_convert.Provenance("keras", "2", file=name),
    )
    lstm_convert.save(renamed, tmp_path / "model.py")
    assert len((tmp_path / "model.py").read_text("utf-8")) < 20_000
    inputs, outputs = recorded(TEXT)
    assert_same(in_torch(tmp_path / "model.py", inputs), outputs)


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name[:12]))
def test_a_config_with_a_strange_name_is_converted_under_a_safe_one(name: str, tmp_path: Path) -> None:
    source = FIXTURES / "keras-1.2.2" / "hard.weights_only.h5"
    document = json.loads(source.with_name("hard.json").read_text("utf-8"))
    document["config"].append({"class_name": "Dropout", "config": {"name": name, "p": 0.5, "trainable": True}})
    (tmp_path / "strange.json").write_text(json.dumps(document), "utf-8")
    with np.load(source.with_name("hard.expected.npz")) as file:
        x = file["x0"]
    network = lstm_convert.load(source, config=tmp_path / "strange.json").network
    assert network is not None
    expected = run_network(network, [x])
    for target, runs in (("model.py", in_torch), ("rescued.keras", in_keras)):
        done = lstm_convert.convert(source, tmp_path / target, config=tmp_path / "strange.json")
        assert done.target.stat().st_size < 100_000
        assert_same(runs(done.target, [x]), expected)


@pytest.mark.parametrize("target", ["model.py", "model.pt", "rescued.keras"])
def test_the_bytecode_of_a_lambda_is_never_run(target: str, tmp_path: Path) -> None:
    code = compile(f"lambda x: open({str(tmp_path / 'run')!r}, 'w')", "hostile", "eval").co_consts[0]
    bytecode = [base64.b64encode(marshal.dumps(code)).decode(), None, None]

    def with_bytecode(document: Any) -> None:
        layer(document, "twice").update(function=bytecode, function_type="lambda")

    source = with_config(MODELS / "tf-2.15" / "refused_lambda.h5", tmp_path / "hostile.h5", with_bytecode)
    with pytest.raises(LstmConvertError, match="twice: Lambda holds code of its own, which is never run"):
        lstm_convert.convert(source, tmp_path / target)
    lstm_convert.convert(source, tmp_path / target, lstm_only=True)
    assert lstm_convert.verify(source, tmp_path / target).same
    assert not (tmp_path / "run").exists()
