"""Every plain fixture, converted to the other framework and run there, computes what its own framework recorded."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from comparing import assert_close, assert_recorded, assert_same_bits, assert_same_model, assert_same_weights
from helpers import FIXTURES, PLAIN, TOLERANCE, Array, Case, Recorded, chains
from running import keras_name, modules_of, run_keras, run_torch
from safetensors.torch import load_file

import lstm_convert
from lstm_convert import Model, Recurrent, Unsupported


def params(cases: list[Case]) -> list[Any]:
    return [pytest.param(case, file, id=f"{case.folder}/{file.name}") for case in cases for file in case.whole_files]


WHOLE = params(PLAIN)
TORCH_FILES = params([case for case in PLAIN if not case.keras])
# What a subclassed model's file leaves open, names and return_sequences, no test can take from it.
KERAS_FILES = params([case for case in PLAIN if case.keras and not case.hard and case.name != "subclassed"])
TORCH_CASES = [case for case in PLAIN if not case.keras]


KERAS_CASES = [case for case in PLAIN if case.keras and case.name != "subclassed"]


def state_of(file: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = (
        load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)
    )
    return state


def in_torch(case: Case, state: Mapping[str, torch.Tensor]) -> list[tuple[Recorded, list[Any]]]:
    """Each recorded layer with the real modules that a state dict makes for it."""
    modules = modules_of(state, torch.float64 if case.dtype == "float64" else torch.float32)
    found: dict[str, list[Any]] = {}
    for path, module in modules.items():
        found.setdefault(path if not path.rpartition(".")[2].isdigit() else path.rpartition(".")[0], []).append(module)
    assert set(found) - {"gru"} == {layer.path for layer in case.layers}  # beside LSTMs nothing was recorded
    return [(layer, found[layer.path]) for layer in case.layers]


def assert_keras_computes(case: Case, source: Model, result: keras.Model) -> None:
    found = chains(source.layers)
    for recorded in case.layers:
        computed = run_keras([result.get_layer(keras_name(layer.name)) for layer in found[recorded.path]], recorded)
        assert_close(computed["y"], recorded.y, TOLERANCE[case.dtype])


@pytest.mark.parametrize(("case", "file"), KERAS_FILES)
@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_a_keras_file_computes_the_same_in_torch(case: Case, file: Path, ending: str, tmp_path: Path) -> None:
    target = tmp_path / f"weights{ending}"
    lstm_convert.convert(file, target, lstm_only=True)
    for recorded, modules in in_torch(case, state_of(target)):
        assert_recorded(run_torch(modules, recorded), recorded)


@pytest.mark.parametrize(("case", "file"), TORCH_FILES)
def test_a_torch_file_written_again_loads_into_the_same_modules(case: Case, file: Path, tmp_path: Path) -> None:
    lstm_convert.convert(file, tmp_path / "again.pt")
    for recorded, modules in in_torch(case, state_of(tmp_path / "again.pt")):
        assert_recorded(run_torch(modules, recorded), recorded)


@pytest.mark.parametrize(("case", "file"), TORCH_FILES)
def test_a_torch_file_computes_the_same_in_keras(case: Case, file: Path, tmp_path: Path) -> None:
    done = lstm_convert.convert(file, tmp_path / "model.keras")
    assert_keras_computes(case, done.source, keras.models.load_model(done.target))


@pytest.mark.parametrize("case", KERAS_CASES, ids=str)
def test_a_keras_file_of_any_age_computes_the_same_in_keras_3(case: Case, tmp_path: Path) -> None:
    done = lstm_convert.convert(case.whole_files[0], tmp_path / "model.keras", lstm_only=True)
    assert_keras_computes(case, done.source, keras.models.load_model(done.target))


@pytest.mark.parametrize("case", [case for case in TORCH_CASES if case.dtype != "bfloat16"], ids=str)
def test_a_torch_model_opens_as_the_older_h5(case: Case, tmp_path: Path) -> None:
    done = lstm_convert.convert(case.whole_files[0], tmp_path / "model.h5")
    assert_keras_computes(case, done.source, keras.models.load_model(done.target))


def test_bfloat16_is_not_written_as_h5_since_keras_opens_not_even_its_own(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cast"):
        keras.models.load_model(FIXTURES / "keras-3.15.1" / "bfloat16.h5")
    with pytest.raises(Unsupported, match="bfloat16"):
        lstm_convert.convert(FIXTURES / "torch-2.13" / "bfloat16.pt", tmp_path / "refused.h5")


@pytest.mark.parametrize("case", TORCH_CASES, ids=str)
def test_a_torch_model_loads_as_weights_into_a_model_built_by_hand(case: Case, tmp_path: Path) -> None:
    done = lstm_convert.convert(case.whole_files[0], tmp_path / "model.weights.h5")
    built = built_by_hand(done.source.layers)
    built.load_weights(done.target)
    assert_keras_computes(case, done.source, built)


def built_by_hand(layers: tuple[Recurrent, ...]) -> keras.Model:
    """A model with one input and one output for each recurrent layer, nothing in it yet."""
    inputs, outputs = [], []
    for layer in layers:
        cell = layer.forward
        settings: dict[str, Any] = {
            "recurrent_initializer": "glorot_uniform",
            "use_bias": cell.b is not None,
            "dtype": cell.W.dtype.name,
            "return_sequences": True,
        }
        name = keras_name(layer.name)
        made = getattr(keras.layers, layer.kind)(cell.units, name=name, **settings)
        wrapped = keras.layers.Bidirectional(made, name=name, dtype=cell.W.dtype.name) if layer.backward else made
        inputs.append(keras.Input((None, cell.inputs), dtype=cell.W.dtype.name))
        outputs.append(wrapped(inputs[-1]))
    return keras.Model(inputs, outputs)


def test_keras_opens_what_is_written_on_pytorch_too(tmp_path: Path) -> None:
    """Keras on PyTorch takes no dot in a layer's name; the names of the source come back all the same."""
    source = FIXTURES / "torch-2.13" / "two_layer.pt"
    lstm_convert.convert(source, tmp_path / "model.keras")
    script = "import keras, sys; print(*(layer.name for layer in keras.models.load_model(sys.argv[1]).layers))"
    found = subprocess.run(  # noqa: S603 (our own script)
        [sys.executable, "-c", script, str(tmp_path / "model.keras")],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["lstm_l0_input", "lstm_l0", "lstm_l1"]
    assert [layer.name for layer in lstm_convert.load(tmp_path / "model.keras").layers] == ["lstm.l0", "lstm.l1"]


def test_consecutive_layers_are_wired_and_run_as_one_model(tmp_path: Path) -> None:
    case = Case("torch-2.13", "three_layer")
    done = lstm_convert.convert(case.whole_files[0], tmp_path / "model.keras")
    x = case.layers[0].x
    [module] = modules_of({k: v for k, v in state_of(case.whole_files[0]).items() if k.startswith("lstm.")}).values()
    [wanted] = run_torch([module], Recorded("lstm", x, x)).values()
    assert_close(np.asarray(keras.models.load_model(done.target)(x)), wanted, TOLERANCE["float32"])


@pytest.mark.parametrize(("case", "file"), WHOLE)
@pytest.mark.parametrize("ending", [".npz", ".lstm.safetensors"])
def test_the_canonical_form_gives_back_every_field_and_bit(case: Case, file: Path, ending: str, tmp_path: Path) -> None:
    model = lstm_convert.load(file)
    if (case.dtype, ending) == ("bfloat16", ".npz"):
        with pytest.raises(Unsupported, match="bfloat16") as refused:
            lstm_convert.save(model, tmp_path / "canonical.npz")
        assert ".lstm.safetensors" in refused.value.next_step
        return
    lstm_convert.save(model, tmp_path / f"canonical{ending}")
    assert_same_model(lstm_convert.load(tmp_path / f"canonical{ending}"), model)
    assert {layer.forward.W.dtype.name for layer in model.layers} == {case.dtype}


STATE_DICTS = ["plain", "two_layer", "three_layer", "nobias", "cell", "several", "float16", "bfloat16", "float64"]


@pytest.mark.parametrize(
    ("name", "by_way_of"),
    [(n, e) for n in STATE_DICTS for e in (".keras", ".weights.h5", ".h5") if (n, e) != ("bfloat16", ".h5")],
)
def test_torch_to_keras_and_back_is_the_same_state_dict(name: str, by_way_of: str, tmp_path: Path) -> None:
    [source] = [path for path in Case("torch-2.13", name).whole_files if path.name == f"{name}.pt"]
    done = lstm_convert.convert(source, tmp_path / f"there{by_way_of}")
    lstm_convert.convert(done.target, tmp_path / "back.pt")
    left_out = {entry.key for entry in done.source.left_out}
    wanted = {key: tensor for key, tensor in state_of(source).items() if key not in left_out}
    assert any(key.endswith(("weight_hh_l0", "weight_hh")) for key in wanted)
    assert_same_bits(state_of(tmp_path / "back.pt"), wanted)


@pytest.mark.parametrize("case", [case for case in KERAS_CASES if not case.hard], ids=str)
@pytest.mark.parametrize("by_way_of", [".pt", ".safetensors"])
def test_keras_to_torch_and_back_is_the_same_weights(case: Case, by_way_of: str, tmp_path: Path) -> None:
    done = lstm_convert.convert(case.whole_files[0], tmp_path / f"there{by_way_of}")
    back = lstm_convert.convert(done.target, tmp_path / "back.keras")
    kept = keras_weights(keras.models.load_model(back.target), done.source)
    wanted = {
        (layer.name, direction, name): array
        for layer in done.source.layers
        for direction, cell in layer.cells.items()
        for name, array in cell.arrays().items()
    }
    assert_same_bits(kept, wanted)  # type: ignore[arg-type]


def keras_weights(model: keras.Model, source: Model) -> Mapping[Any, Array]:
    """The weights that Keras itself loaded, gates apart, read from its live layers by order."""
    kept: dict[Any, Array] = {}
    for layer in source.layers:
        weights = iter(model.get_layer(keras_name(layer.name)).get_weights())
        for direction, cell in layer.cells.items():
            units = cell.units
            for name in ("W", "U", "b"):
                if name in cell.arrays():
                    joined = next(weights)
                    kept[layer.name, direction, name] = joined.T.reshape(4, units, *joined.shape[:-1])
        assert next(weights, None) is None
    return kept


@pytest.mark.parametrize("case", [case for case in KERAS_CASES if case.name == "eleven"], ids=str)
def test_stack_joins_eleven_layers_into_one_module(case: Case, tmp_path: Path) -> None:
    lstm_convert.convert(case.whole_files[0], tmp_path / "stacked.pt", stack=True)
    modules = modules_of(state_of(tmp_path / "stacked.pt"))
    [(path, module)] = modules.items()
    assert (path, module.num_layers) == (case.layers[0].path, 11)
    whole = Recorded(path, case.layers[0].x, case.layers[-1].y)
    assert_recorded(run_torch([module], whole), whole)


@pytest.mark.parametrize("name", ["plain", "bidirectional", "nested", "rnn"])
def test_stack_leaves_layers_of_different_sizes_apart(name: str, tmp_path: Path) -> None:
    source = Case("keras-3.15.1", name).whole_files[0]
    lstm_convert.convert(source, tmp_path / "stacked.pt", stack=True)
    lstm_convert.convert(source, tmp_path / "apart.pt")
    assert_same_bits(state_of(tmp_path / "stacked.pt"), state_of(tmp_path / "apart.pt"))


@pytest.mark.parametrize("case", [case for case in KERAS_CASES if case.name == "bidirectional"], ids=str)
def test_a_bidirectional_s_last_output_is_the_last_two_states_joined(case: Case, tmp_path: Path) -> None:
    done = lstm_convert.convert(case.whole_files[0], tmp_path / "weights.pt", lstm_only=True)
    assert any("torch.cat([h_n[-2], h_n[-1]], -1)" in line for line in done.usage)
    recorded = case.layers[-1]
    module = modules_of(state_of(done.target))[recorded.path]
    with torch.no_grad():
        output, (h_n, _) = module(torch.from_numpy(recorded.x))
    assert_close(torch.cat([h_n[-2], h_n[-1]], -1).numpy(), recorded.y, TOLERANCE["float32"])
    assert np.abs(output[:, -1].numpy() - recorded.y).max() > 1e-3, "the last step of both directions is something else"


def test_weights_in_two_kinds_of_file_are_the_same_weights(tmp_path: Path) -> None:
    source = lstm_convert.load(Case("keras-3.15.1", "plain").whole_files[0])
    for ending in (".pt", ".safetensors", ".keras", ".weights.h5", ".h5"):
        lstm_convert.save(source, tmp_path / f"weights{ending}")
    assert_same_bits(state_of(tmp_path / "weights.pt"), state_of(tmp_path / "weights.safetensors"))
    assert_same_weights(lstm_convert.load(tmp_path / "weights.h5"), lstm_convert.load(tmp_path / "weights.keras"))
