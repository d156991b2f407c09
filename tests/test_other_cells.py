"""GRU and simple RNN: read from the real frameworks' files, computed as recorded, converted, and run by real ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from comparing import assert_close, assert_recorded, assert_same_weights
from helpers import FIXTURES, Case, Recorded
from running import run_reference

import lstm_convert
from lstm_convert import GRU, Model, Recurrent, SimpleRNN, Unsupported

CASES = [
    Case(f"cells/{path.parent.name}", path.name.removesuffix(".expected.npz"))
    for path in sorted(FIXTURES.glob("cells/*/*.expected.npz"))
]
RELU = [case for case in CASES if not case.keras and "relu" in case.name]


def files(cases: list[Case]) -> Iterator[Any]:
    for case in cases:
        yield from (pytest.param(case, file, id=f"{case.folder}/{file.name}") for file in case.files)


def load(case: Case, file: Path) -> Model:
    said = ".weights_only" in file.name and "cudnn" not in case.name
    if said and "gru_nobias" in case.name:
        return lstm_convert.load(file, config=file.with_name(f"{case.name}.json"))
    return lstm_convert.load(file, recurrent_activation="sigmoid" if said and "gru" in case.name else None)


def chain(case: Case, model: Model) -> list[Recurrent]:
    layers = list(model.layers)
    if case in RELU:  # which no state dict says
        layers = [
            layer.with_cells({
                name: cell.with_activations({"candidate": lstm_convert.Activation("relu")})
                for name, cell in layer.cells.items()
            })
            for layer in layers
        ]  # fmt: skip
    return layers


def recorded_layers(case: Case) -> list[Recorded]:
    layers = case.layers
    if case.name == "gru_masked":
        layers = [Recorded(one.path, one.x, one.y, mask=np.asarray(one.x.any(axis=-1))) for one in layers]
    return layers


def pairs(case: Case, model: Model) -> Iterator[tuple[Recorded, list[Recurrent]]]:
    layers = chain(case, model)
    for recorded in recorded_layers(case):
        yield recorded, [layer for layer in layers if layer.path == recorded.path]


READ = [
    param
    for param in files(CASES)
    if not (param.values[0].name == "gru_nobias" and ".weights_only" in param.values[1].name)
]


@pytest.mark.parametrize(("case", "file"), READ)
def test_the_reference_computes_what_the_framework_recorded(case: Case, file: Path) -> None:
    model = load(case, file)
    assert {type(layer) for layer in model.layers} == {GRU if "gru" in case.name else SimpleRNN}
    as_stated = ".weights_only" not in file.name
    for recorded, layers in pairs(case, model):
        assert_recorded(run_reference(layers, recorded, as_stated=as_stated), recorded)


@pytest.mark.parametrize(("folder", "ending"), [("tf-2.15", ".h5"), ("keras-3.15.1", ".keras")])
def test_every_option_of_a_gru_is_read(folder: str, ending: str) -> None:
    model = lstm_convert.load(FIXTURES / "models" / folder / f"gru_options{ending}")
    with np.load(FIXTURES / "models" / folder / "gru_options.expected.npz") as expected:
        for place, layer in enumerate(model.layers):
            assert isinstance(layer, GRU)
            assert layer.forward.reset_after == layer.name.startswith("after")
            computed = run_reference([layer], Recorded(layer.name, expected["x0"], expected[f"y{place}"]))
            assert_close(computed["y"], expected[f"y{place}"], 2e-6)


CONVERTED = [param for param in READ if ".weights_only" not in param.values[1].name]


@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5", ".npz", ".lstm.safetensors"])
@pytest.mark.parametrize(("case", "file"), CONVERTED)
def test_it_is_converted_to_everything_that_holds_it(case: Case, file: Path, ending: str, tmp_path: Path) -> None:
    done = lstm_convert.convert(file, tmp_path / f"a{ending}")
    back = lstm_convert.load(tmp_path / f"a{ending}")
    if not any("scaled" in line for line in done.usage):
        assert_same_weights(back, done.source)
    if ending == ".keras":
        for recorded, layers in pairs(case, done.source):
            if case not in RELU:
                assert_close(run_keras(tmp_path / "a.keras", layers, recorded), recorded.y, 3e-6)


def run_keras(path: Path, layers: list[Recurrent], recorded: Recorded) -> Any:
    """What the layers of a written file compute in real Keras 3, in a row."""
    model = keras.models.load_model(path, safe_mode=True)
    outputs: Any = recorded.x
    for number, layer in enumerate(layers):
        written = model.get_layer(layer.name.replace(".", "_"))
        count = len(layer.cells)
        states = None if recorded.h0 is None else list(recorded.h0[number * count :][:count])
        mask = {} if recorded.mask is None else {"mask": recorded.mask}
        outputs = written(outputs, initial_state=states, **mask)
    return np.asarray(outputs)


@pytest.mark.parametrize(("case", "file"), CONVERTED)
def test_pytorch_computes_it_or_it_is_refused_with_the_reason(case: Case, file: Path, tmp_path: Path) -> None:
    model = Model(tuple(chain(case, lstm_convert.load(file))))
    layers = model.layers
    reasons = {
        "a reset before the recurrent kernel": any(isinstance(x, GRU) and not x.forward.reset_after for x in layers),
        "hard_sigmoid": any(cell.activations().get("gate", lstm_convert.Activation("")).name == "hard_sigmoid"
                            for layer in layers for cell in layer.cells.values()),
        "mask": any(layer.masked_by for layer in layers),
    }  # fmt: skip
    if any(reasons.values()):
        with pytest.raises(Unsupported) as refused:
            lstm_convert.to_torch(model)
        for reason, holds in reasons.items():
            assert (reason in str(refused.value)) == holds
        return
    made: Any = lstm_convert.to_torch(model)
    for recorded, own in pairs(case, model):
        path = own[0].path
        module = made.get_submodule(path) if len({layer.path for layer in layers}) > 1 else made
        with torch.no_grad():
            h0 = None if recorded.h0 is None else torch.from_numpy(recorded.h0)
            y = run_torch(module, torch.from_numpy(recorded.x), h0)
        last = y if own[-1].return_sequences else y[:, -1]
        assert_close(last.numpy(), recorded.y, 2e-6)
    lstm_convert.save(model, tmp_path / "a.pt", allow=["relu"])
    relu = "relu" in case.name
    if relu:
        with pytest.raises(Unsupported, match="--allow relu"):
            lstm_convert.save(model, tmp_path / "b.pt")
    state = torch.load(tmp_path / "a.pt", weights_only=True)
    assert sum(tensor.numel() for tensor in state.values()) == sum(p.numel() for p in made.parameters())


def run_torch(module: Any, x: torch.Tensor, h0: torch.Tensor | None) -> torch.Tensor:
    if isinstance(module, torch.nn.RNNBase):
        output: torch.Tensor = module(x, h0)[0]
        return output
    steps, h = [], None if h0 is None else h0[0]
    for step in x.unbind(1):
        h = module(step, h)
        steps.append(h)
    return torch.stack(steps, 1)


def test_a_state_dict_s_simple_rnn_is_assumed_tanh_and_a_live_one_says() -> None:
    path = FIXTURES / "cells/torch-2.13/rnn_relu.pt"
    model = lstm_convert.load(path)
    assert "nonlinearity='tanh'" in model.assumed[0]
    module = torch.nn.RNN(3, 5, nonlinearity="relu", batch_first=True)
    live = lstm_convert.from_torch(module)
    assert not live.assumed
    assert str(live.layers[0].forward.activations()["candidate"]) == "relu"


def test_a_gru_without_bias_is_refused_until_its_architecture_says_where_it_is_reset() -> None:
    path = FIXTURES / "cells/keras-2.2.0/gru_nobias.weights_only.h5"
    with pytest.raises(Unsupported, match="reset gate") as refused:
        lstm_convert.load(path, recurrent_activation="sigmoid")
    assert "--config" in refused.value.next_step


@pytest.mark.parametrize("keras_kind", ["GRU", "SimpleRNN"])
def test_live_keras_layers_are_read_and_made(keras_kind: str) -> None:
    layer = getattr(keras.layers, keras_kind)(5, return_sequences=True, name="layer")
    x = np.random.default_rng(0).normal(size=(2, 7, 3)).astype("float32")
    y = np.asarray(layer(x))
    model = lstm_convert.from_keras(layer)
    again = lstm_convert.to_keras(model).get_layer("layer")
    np.testing.assert_allclose(np.asarray(again(x)), y, atol=1e-6)
    made: Any = lstm_convert.to_torch(model)
    np.testing.assert_allclose(made(torch.from_numpy(x))[0].detach().numpy(), y, atol=1e-6)


@pytest.mark.parametrize("name", ["gru_deep.pt", "rnn.pt", "gru_cell.pt"])
def test_both_files_of_a_conversion_are_the_same_in_their_frameworks(name: str, tmp_path: Path) -> None:
    source = FIXTURES / "cells/torch-2.13" / name
    lstm_convert.convert(source, tmp_path / "a.keras")
    found = lstm_convert.verify(source, tmp_path / "a.keras")
    assert found.same
    assert any("PyTorch" in note for note in found.notes)
    assert any("Keras" in note for note in found.notes)
    assert lstm_convert.diagnose(source, tmp_path / "a.keras").same


def test_a_gru_that_another_framework_resets_at_the_other_place_is_no_gru_that_is_the_same() -> None:
    after, before = (FIXTURES / "cells/keras-2.2.0" / f"{name}.h5" for name in ("gru_after", "gru"))
    found = lstm_convert.diagnose(after, before)
    assert not found.same
    assert "reset after" in found.mistakes[0].detail
