"""The Keras layer of our own: what Keras has no layer for, written with `--custom-layer` and run by real Keras 3."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from custom_layers import (
    CELLS,
    COMBINED,
    HARD,
    PEEPHOLE,
    PROJECTION,
    TOLERANCE,
    assert_computes,
    assert_same,
    cast,
    given_to,
    in_keras,
    layer_of,
    opened,
    save,
)
from helpers import FIXTURES, Array

import lstm_convert
from lstm_convert import LSTM, Activation, Cell, Gates, InvalidFile, LayoutMismatch, Model, Unsupported
from lstm_convert.activations import FUNCTIONS, named
from lstm_convert.cli import main
from lstm_convert.formats import FORMATS
from lstm_convert.frameworks.keras import extended
from lstm_convert.layout import Layout, Slot
from lstm_convert.reference import run
from lstm_convert.support import example
from lstm_convert.table import KERAS_EXTENDED

# TensorFlow's variables have not the newest signature of NumPy's protocol.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.mark.parametrize(("cell", "layer"), COMBINED)
def test_keras_computes_what_the_reference_does(cell: str, layer: str, tmp_path: Path) -> None:
    for dtype in TOLERANCE:
        written = layer_of(cell, layer, dtype)
        assert_computes(opened(save(written, tmp_path / f"{dtype}.keras")), written)


@pytest.mark.parametrize("role", ["gate", "candidate", "output"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_activation_is_the_same_in_keras(role: str, name: str, tmp_path: Path) -> None:
    numbers = {key: value * 0.75 for key, value in named(name).parameters.items()}
    dtype = "float32" if name == "gelu" else "float64"  # Keras's own gelu rounds a constant to float32
    layer = LSTM("lstm", cast(example(**{role: Activation(name, numbers), "coupled": True}), dtype))
    assert_computes(opened(save(layer, tmp_path / "x.keras")), layer)


@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
@pytest.mark.parametrize(("cell", "layer"), COMBINED)
def test_there_and_back_is_the_same_bits(cell: str, layer: str, ending: str, tmp_path: Path) -> None:
    written = layer_of(cell, layer)
    read = lstm_convert.load(save(written, tmp_path / f"x{ending}")).layers[0]
    assert list(read.cells) == list(written.cells)
    for name, one in written.cells.items():
        assert_same(read.cells[name], one)
    given = ["merge", "go_backwards", "return_sequences", "return_state"]
    given += ["zero_output_for_mask"] if written.masked_by else []
    assert {name: getattr(read, name) for name in given} == {name: getattr(written, name) for name in given}
    assert bool(read.masked_by) == bool(written.masked_by)


@pytest.mark.parametrize("cell", CELLS)
def test_the_older_h5_and_the_weights_alone_open_in_keras(cell: str, tmp_path: Path) -> None:
    layer = layer_of(cell, "both")
    model = opened(save(layer, tmp_path / "x.h5"))
    assert_computes(model, layer)
    for variable in model.variables:
        variable.assign(variable * 0.0)
    model.load_weights(save(layer, tmp_path / "x.weights.h5"))
    assert_computes(model, layer)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize(("cell", "layer"), [("everything", "both"), ("peepholes", "masked"), ("coupled", "backwards")])
def test_keras_trains_it_saves_it_and_what_it_saved_is_read(cell: str, layer: str, ending: str, tmp_path: Path) -> None:
    written = layer_of(cell, layer)
    model = opened(save(written, tmp_path / "x.keras"))
    x, mask = given_to(written)
    inputs = x if mask is None else [x, mask]
    model.compile("sgd", keras.losses.MeanSquaredError())
    losses = [float(model.train_on_batch(inputs, np.ones_like(in_keras(model, written)[0]))) for _ in range(5)]
    assert losses[-1] < losses[0]
    model.save(tmp_path / f"again{ending}")
    again = opened(tmp_path / f"again{ending}")
    for one, other in zip(in_keras(model, written), in_keras(again, written), strict=True):
        np.testing.assert_array_equal(one, other)
    assert_computes(again, lstm_convert.load(tmp_path / f"again{ending}").layers[0])
    assert_computes(model, lstm_convert.from_keras(model).layers[0])


def tensorflow_cell(arrays: Mapping[str, Array]) -> tuple[Cell, dict[str, Any]]:
    """A TensorFlow 1 cell: rows of x, then of h; columns i, j, f, o; a forget bias added at run time."""
    settings = json.loads(str(arrays["settings"]))
    inputs = arrays["x"].shape[-1]
    gates = np.stack(np.split(arrays["kernel"], 4, axis=1))[[0, 2, 1, 3]].swapaxes(1, 2)
    bias = np.stack(np.split(arrays["bias"], 4))[[0, 2, 1, 3]]
    forget = np.zeros_like(bias)
    forget[1] = settings["forget_bias"]
    peephole = [arrays[f"w_{gate}_diag"] for gate in "ifo"] if "w_i_diag" in arrays else None
    cell = Cell(
        W=Gates(gates[..., :inputs]),
        U=Gates(gates[..., inputs:]),
        b=Gates(bias),
        b_rec=Gates(forget),
        peephole=None if peephole is None else np.stack(peephole),
        projection=arrays["projection/kernel"].T if "projection/kernel" in arrays else None,
        candidate=Activation(settings["activation"]),
        output=Activation(settings["activation"]),
        cell_clip=settings["cell_clip"],
        projection_clip=settings["proj_clip"],
    )
    return cell, settings


@pytest.mark.parametrize("file", sorted((FIXTURES / "tf-1-cells").glob("*.npz")), ids=lambda file: file.stem)
def test_it_computes_what_tensorflow_1_did(file: Path, tmp_path: Path) -> None:
    with np.load(file) as archive:
        arrays = dict(archive)
    cell, settings = tensorflow_cell(arrays)
    lstm_convert.save(Model((LSTM("lstm", cell, return_state=True),)), tmp_path / "x.keras", custom_layer=True)
    ours = settings["use_peepholes"] or settings["cell_clip"] or settings["num_proj"]
    assert (tmp_path / "lstm_layer.py").exists() == bool(ours)
    model = opened(tmp_path / "x.keras") if ours else keras.models.load_model(tmp_path / "x.keras")
    y, h, c = model.get_layer("lstm")(arrays["x"], initial_state=[arrays["h0"][0], arrays["c0"][0]])
    for found, name in ((y, "y"), (h, "hn"), (c, "cn")):
        np.testing.assert_allclose(found, arrays[name] if name == "y" else arrays[name][0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_a_process_with_nothing_but_keras_runs_it(backend: str, tmp_path: Path) -> None:
    layer = layer_of("everything", "both", "float32")  # on PyTorch, Keras multiplies float64 matrices in float32
    save(layer, tmp_path / "x.keras")
    x, _ = given_to(layer)
    np.save(tmp_path / "x.npy", x)
    script = (
        "import lstm_layer, keras, numpy, sys\n"
        "model = keras.models.load_model('x.keras')\n"
        "numpy.save('y.npy', keras.ops.convert_to_numpy(model(numpy.load('x.npy'))))\n"
        "assert 'lstm_convert' not in sys.modules"
    )
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True)  # noqa: S603 (this very Python)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), run(layer, x).output, rtol=0, atol=1e-6)


def test_without_its_source_keras_refuses_it(tmp_path: Path) -> None:
    save(layer_of("peepholes", "every step"), tmp_path / "x.keras")
    (tmp_path / "lstm_layer.py").unlink()
    script = "import keras; keras.models.load_model('x.keras')"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603
    assert "ExtendedLSTMCell" in done.stderr


# Beside what Keras has


def test_only_the_layers_that_need_it_are_of_our_own(tmp_path: Path) -> None:
    layers = (
        LSTM("plain", example(), follows=None),
        LSTM("old", replace(example(gate=HARD), W=Gates(np.ones((4, 5, 5)))), follows="plain"),
        LSTM("ours", example(projection=PROJECTION), return_state=True),
        LSTM("last", example(projection=PROJECTION), starts_from="ours"),
    )
    lstm_convert.save(Model(layers), tmp_path / "x.keras", custom_layer=True)
    model = opened(tmp_path / "x.keras")
    kinds = {name: type(model.get_layer(name)).__name__ for name in ("plain", "old", "ours", "last")}
    assert kinds == {"plain": "LSTM", "old": "LSTM", "ours": "RNN", "last": "RNN"}
    read = lstm_convert.load(tmp_path / "x.keras")
    assert {layer.path: layer.starts_from for layer in read.layers}["last"] == "ours"
    assert read["old"].follows == "plain"


def test_a_model_that_keras_holds_has_nothing_beside_it(tmp_path: Path) -> None:
    lstm_convert.save(Model((LSTM("lstm", example()),)), tmp_path / "x.keras", custom_layer=True)
    assert [path.name for path in tmp_path.iterdir()] == ["x.keras"]


# Refused


@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
@pytest.mark.parametrize("cell", CELLS)
def test_without_the_option_it_is_refused_and_the_option_named(cell: str, ending: str, tmp_path: Path) -> None:
    with pytest.raises(Unsupported) as caught:
        lstm_convert.save(Model((layer_of(cell, "every step"),)), tmp_path / f"x{ending}")
    assert caught.value.details[-1].endswith("; --custom-layer writes a Keras layer of its own for it")
    assert not list(tmp_path.iterdir())


def test_what_it_does_not_compute_either_is_refused_without_naming_it(tmp_path: Path) -> None:
    model = Model((LSTM("lstm", example(gate=Activation("my_own"), peephole=PEEPHOLE)),))
    with pytest.raises(Unsupported) as plain:
        lstm_convert.save(model, tmp_path / "x.keras")
    assert "--custom-layer" not in str(plain.value)
    with pytest.raises(Unsupported, match="my_own: keras 3 ExtendedLSTMCell has no such activation"):
        lstm_convert.save(model, tmp_path / "x.keras", custom_layer=True)


@pytest.mark.parametrize(
    "ending", [entry.extensions[0] for entry in FORMATS if entry.extensions and entry.framework != "keras"]
)
def test_where_there_is_no_keras_there_is_no_layer_of_its_own(ending: str, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="--custom-layer: no such file"):
        lstm_convert.save(Model((LSTM("lstm", example()),)), tmp_path / f"x{ending}", custom_layer=True)


# The file beside it


def test_the_source_is_one_text_whatever_the_model(tmp_path: Path) -> None:
    texts = set()
    for number, cell in enumerate(CELLS):
        folder = tmp_path / str(number)
        folder.mkdir()
        layer = replace(layer_of(cell, "every step"), path='"""; import os #')
        save(layer, folder / "x.npz.keras")
        texts.add((folder / "lstm_layer.py").read_text("utf-8"))
    assert texts == {extended.source_code()}


def test_a_second_model_in_the_folder_shares_the_source(tmp_path: Path) -> None:
    save(layer_of("peepholes", "every step"), tmp_path / "one.keras")
    before = (tmp_path / "lstm_layer.py").stat()
    save(layer_of("coupled", "every step"), tmp_path / "two.keras")
    assert (tmp_path / "lstm_layer.py").stat() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lstm_layer.py", "one.keras", "two.keras"]


def test_another_file_of_that_name_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    layer = layer_of("peepholes", "every step")
    other = tmp_path / "lstm_layer.py"
    other.write_text("mine", "utf-8")
    with pytest.raises(InvalidFile, match=r"needs lstm_layer\.py beside it, and another file has that name already"):
        save(layer, tmp_path / "x.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["lstm_layer.py"]
    assert other.read_text("utf-8") == "mine"
    save(layer, tmp_path / "x.keras", force=True)
    assert other.read_text("utf-8") == extended.source_code()


def test_a_folder_of_that_name_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "lstm_layer.py").mkdir()
    with pytest.raises(InvalidFile, match="another file has that name"):
        save(layer_of("peepholes", "every step"), tmp_path / "x.keras", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["lstm_layer.py"]


def test_the_command_line_says_what_to_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lstm_convert.save(Model((layer_of("everything", "both"),)), tmp_path / "x.npz")
    monkeypatch.setattr(
        sys, "argv", ["lstm-convert", "convert", str(tmp_path / "x.npz"), str(tmp_path / "x.keras"), "--custom-layer"]
    )
    main()
    said = capsys.readouterr().out
    assert "lstm: Bidirectional(RNN(ExtendedLSTMCell(5, …), return_sequences=True))" in said
    assert "import lstm_layer.py, which lies beside it, before Keras loads it" in said
    assert (tmp_path / "lstm_layer.py").exists()


# What is read


def config_of(path: Path) -> dict[str, Any]:
    model = opened(path)
    return dict(json.loads(model.to_json()))


def test_weights_without_an_architecture_are_refused_and_read_with_one(tmp_path: Path) -> None:
    layer = layer_of("everything", "both")
    model = opened(save(layer, tmp_path / "x.keras"))
    model.save_weights(tmp_path / "alone.weights.h5")
    (tmp_path / "model.json").write_text(model.to_json(), "utf-8")
    with pytest.raises(LayoutMismatch, match="a recurrent cell with more arrays than an LSTM's"):
        lstm_convert.load(tmp_path / "alone.weights.h5")
    read = lstm_convert.load(tmp_path / "alone.weights.h5", config=tmp_path / "model.json")
    assert_same(read.layers[0].forward, layer.forward)


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("cell_clip", "much", "has a cell_clip that is no number: 'much'"),
        ("cell_clip", 10**400, "has a cell_clip that is no number: 10000000"),
        ("activation", {"name": "elu", "alpha": "much"}, "has an activation that is none"),
        ("recurrent_activation", {"name": 1}, "has an activation that is none"),
        ("output_activation", ["relu"], "has an activation that is none"),
    ],
    ids=lambda said: f"{said!s:.30}",
)
def test_settings_that_are_none_are_refused(setting: str, value: Any, says: str) -> None:
    with pytest.raises(InvalidFile, match=says):
        extended.stated_options({setting: value})


def test_the_class_of_another_package_is_not_taken_for_it(tmp_path: Path) -> None:
    model = opened(save(layer_of("peepholes", "every step"), tmp_path / "x.keras"))
    model.save_weights(tmp_path / "alone.weights.h5")
    document = model.to_json().replace("lstm_convert>", "another>")
    (tmp_path / "model.json").write_text(document, "utf-8")
    with pytest.raises(Unsupported, match="ExtendedLSTMCell in RNN"):
        lstm_convert.load(tmp_path / "alone.weights.h5", config=tmp_path / "model.json")


@pytest.mark.parametrize(
    "wrong",
    [
        {"gates": "ifog"},
        {"gates": "figo"},
        {"peephole": None},
        {"projection": Slot("projection_kernel", "projection unit")},
    ],
    ids=str,
)
def test_a_wrong_row_is_noticed(wrong: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras runs the layer with the right row's arrays alone: a row that is wrong in one thing computes otherwise."""
    row: Layout = replace(KERAS_EXTENDED, **wrong)
    layer = layer_of("everything", "every step")
    for module in ("extended", "functional", "layers", "writing"):
        monkeypatch.setattr(f"lstm_convert.frameworks.keras.{module}.KERAS_EXTENDED", row)
    with pytest.raises((AssertionError, Unsupported, ValueError)):
        assert_computes(opened(save(layer, tmp_path / "x.keras")), layer)
