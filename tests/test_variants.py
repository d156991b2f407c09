"""Every variant of an LSTM, as its own framework recorded it: read, written for the others and run there, or refused.

Files are found by themselves: a new fixture is tested without a new line here, and fails until a table below says
which of its layers a target refuses.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from helpers import (
    FIXTURES,
    PLAIN,
    TOLERANCE,
    VARIANTS,
    Array,
    Case,
    Reading,
    Recorded,
    assert_close,
    assert_recorded,
    assert_same_model,
    keras_name,
    modules_of,
    paired,
    readings,
    run_keras,
    run_reference,
    run_torch,
)

import lstm_convert
from lstm_convert import (
    LSTM,
    Activation,
    Cell,
    Gates,
    InvalidFile,
    Model,
    Recurrent,
    RecurrentCell,
    UnknownFormat,
    Unsupported,
)
from lstm_convert.activations import named
from lstm_convert.bundle import Bundle
from lstm_convert.layout import Layout, Slot
from lstm_convert.network.inputs import network_inputs
from lstm_convert.network.reference import every_step
from lstm_convert.packing import pack, unpack
from lstm_convert.table import KERAS_3, KERAS_CUDNN

VISIBLE = 1e-3
# Where activations have no bound, c grows to 40 times h, and the rounding of float32 with it.
UNBOUNDED = {"variant_activations": 3.0}

# Weights alone do not say what is around them, but for a CuDNNLSTM's, whose shapes say what computes them.
READ = [reading for reading in readings(VARIANTS) if reading.whole or reading.case.name == "variant_cudnn"]
ONCE = [next(reading for reading in READ if reading.case is case) for case in VARIANTS]

# What a target does not hold: which layers, as folder/case/layer, and a part of the reason.
BY_TORCH = {
    r"/gate_(?!sigmoid$)|variant_relu/lstm_b": "gate activation",
    r"/cand_(?!tanh$)|variant_relu/": "candidate and output activation",
    r"variant_backward_layer/": "(backward): candidate and output activation relu: pytorch nn.LSTM computes only tanh",
    r"variant_backward_units/": "5 and 7 units in its two directions",
    r"variant_(ave|mul|none|sum)/|/both_sum_": "nn.LSTM joins by concat",
    r"variant_mask|variant_zero_output|variant_padding|_masked$": "nn.LSTM knows no masks",
    r"variant_go_backwards/|/(backwards|turned|given)": "nn.LSTM reads forwards",
}
BY_KERAS = {
    r"variant_proj": "a projection of",
    r"/(gate|cand)_(LeakyReLU|ThresholdedReLU)": "keras 3 has no such activation",
    r"(keras-[12].*|tf-2.15)/variant_activations/cand_hard_sigmoid": "keras 3 has no such activation",
    r"keras-[12].*/(both|turned).*sequence(_masked)?$": "returns the step before at masked steps",
}
NOT_MASKED_THERE = r"keras-2.2.0/variant_states/|/turned_sequence$"  # two that the last pattern finds, and no mask does


def reasons_of(table: Mapping[str, str], place: str) -> list[str]:
    found = [reason for pattern, reason in table.items() if re.search(pattern, place)]
    unmasked = re.search(NOT_MASKED_THERE, place)
    return [reason for reason in found if not (unmasked and "masked steps" in reason)]


def as_recorded(reading: Reading) -> tuple[Model, dict[str, Recorded]]:
    """A reading, told what weights alone do not say of it, and what was recorded of each layer by path."""
    model = reading.load()
    recorded = {layer.path: layer for layer in reading.case.layers}
    if not reading.whole:
        told = (replace(layer, return_sequences=not recorded[layer.path].last_only) for layer in model.layers)
        model = replace(model, layers=tuple(told))
    return model, recorded


def exact(case: Case, model: Model, target: Path, table: Mapping[str, str]) -> Model:
    """The layers that a target holds, once the others were refused with their reasons and nothing was written."""
    wanted = {layer.name: reasons_of(table, f"{case}/{layer.path}") for layer in model.layers}
    refused = {name for name, reasons in wanted.items() if reasons}
    if refused:
        with pytest.raises(Unsupported) as refusal:
            lstm_convert.save(model, target, lstm_only=True)
        details = refusal.value.details
        assert {re.split(r" \(|: ", detail)[0] for detail in details} == refused
        for name in refused:
            own = [detail for detail in details if detail.startswith((f"{name} (", f"{name}: "))]
            assert all(any(reason in detail for detail in own) for reason in wanted[name])
            assert all(any(reason in detail for reason in wanted[name]) for detail in own)
        assert not target.exists()
    return replace(model, layers=tuple(layer for layer in model.layers if layer.name not in refused))


@pytest.mark.parametrize("reading", READ, ids=str)
def test_the_reference_computes_what_the_framework_recorded(reading: Reading) -> None:
    for recorded, chain in paired(reading.case.layers, reading.load(), named=True):
        assert {cell.W.dtype.name for layer in chain for cell in layer.cells.values()} == {"float32"}
        assert {layer.masked_by is not None for layer in chain} == {recorded.mask is not None} or not reading.whole
        computed = run_reference(chain, recorded, as_stated=reading.whole)
        assert_recorded(computed, recorded, looser=UNBOUNDED.get(reading.case.name, 1.0))


@pytest.mark.parametrize("reading", ONCE, ids=lambda reading: str(reading.case))
def test_keras_3_computes_what_was_recorded_or_it_is_refused(reading: Reading, tmp_path: Path) -> None:
    model, recorded = as_recorded(reading)
    held = exact(reading.case, model, tmp_path / "model.keras", BY_KERAS)
    if not held.layers:
        return
    lstm_convert.save(held, tmp_path / "model.keras", lstm_only=True)
    written = keras.models.load_model(tmp_path / "model.keras")
    for layer in held.layers:
        wanted = recorded[layer.path]
        if not layer.return_state:
            wanted = replace(wanted, hn=None, cn=None)
        computed = run_keras([written.get_layer(keras_name(layer.name))], wanted)
        assert_recorded(computed, wanted, looser=UNBOUNDED.get(reading.case.name, 1.0))


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize("reading", ONCE, ids=lambda reading: str(reading.case))
def test_torch_computes_what_was_recorded_or_it_is_refused(reading: Reading, tmp_path: Path) -> None:
    model, recorded = as_recorded(reading)
    held = exact(reading.case, model, tmp_path / "weights.pt", BY_TORCH)
    if not held.layers:
        return
    lstm_convert.save(held, tmp_path / "weights.pt", lstm_only=True)
    modules = modules_of(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert set(modules) == {layer.path for layer in held.layers}
    for path, module in modules.items():
        assert_recorded(run_torch([module], recorded[path]), recorded[path])


def test_every_line_of_the_tables_refuses_something() -> None:
    places = [f"{reading.case}/{layer.path}" for reading in ONCE for layer in reading.case.layers]
    for pattern in (*BY_TORCH, *BY_KERAS, NOT_MASKED_THERE):
        assert any(re.search(pattern, place) for place in places), pattern


@pytest.mark.parametrize("ending", [".npz", ".lstm.safetensors"])
@pytest.mark.parametrize("reading", ONCE, ids=lambda reading: str(reading.case))
def test_the_canonical_form_holds_every_variant(reading: Reading, ending: str, tmp_path: Path) -> None:
    model, _ = as_recorded(reading)
    lstm_convert.save(model, tmp_path / f"canonical{ending}")
    assert_same_model(lstm_convert.load(tmp_path / f"canonical{ending}"), model)


@pytest.mark.parametrize("case", [case for case in VARIANTS if not case.keras], ids=str)
def test_a_parametrised_weight_is_computed_aloud(case: Case) -> None:
    notes = lstm_convert.load(case.files[0]).notes
    assert bool(notes) == (not case.name.startswith("variant_proj"))
    assert all(re.fullmatch(r"\S+: computed from its [\w ]+ \(.+\)", note) for note in notes)


@pytest.mark.parametrize("case", [case for case in PLAIN if case.hard], ids=str)
def test_hard_sigmoid_goes_to_keras_3_by_scaling_and_says_so(case: Case, tmp_path: Path) -> None:
    done = lstm_convert.convert(case.whole_files[0], tmp_path / "model.keras")
    said = [line for line in done.usage if "i, f and o are scaled by 6/5" in line]
    assert len(said) == (0 if case.folder.startswith("keras-3") else len(done.source.layers))
    assert {layer.forward.activations()["gate"].parameters["slope"] for layer in done.result.layers} == {1 / 6}
    for before, after in zip(done.source.layers, done.result.layers, strict=True):
        np.testing.assert_array_equal(after.forward.W.g, before.forward.W.g)


# Cells that no Keras or PyTorch layer has, their arrays unpacked by a row written here.


def in_one_array(bias: str) -> dict[str, Any]:
    return {"bias": Slot("bias", bias), "framework": "none", "source": "the fixture's make_cells.py", "checked": ()}


TF_1 = Layout(
    name="tensorflow 1", gates="ijfo", kernel=Slot("kernel of x", "input (gate unit)"),
    recurrent=Slot("kernel of h", "state (gate unit)"), projection=Slot("projection/kernel", "unit projection"),
    **in_one_array("(gate unit)"),
)  # fmt: skip
ONNX = Layout(
    name="onnx", gates="iofc", kernel=Slot("W", "(gate unit) input"), recurrent=Slot("R", "(gate unit) state"),
    **in_one_array("(side gate unit)"),
)  # fmt: skip
TF_1_CELLS, ONNX_CELLS = (sorted((FIXTURES / folder).glob("*.npz")) for folder in ("tf-1-cells", "onnx-cells"))

# ONNX's activations: ours, and which of our numbers its alpha and its beta are, with its defaults.
ONNX_ACTIVATIONS: dict[str, tuple[str, dict[str, tuple[str, float]]]] = {
    "Sigmoid": ("sigmoid", {}),
    "Tanh": ("tanh", {}),
    "Relu": ("relu", {}),
    "Softsign": ("softsign", {}),
    "Softplus": ("softplus", {}),
    "Elu": ("elu", {"alpha": ("alpha", 1.0)}),
    "LeakyRelu": ("leaky_relu", {"alpha": ("slope", 0.01)}),
    "HardSigmoid": ("hard_sigmoid", {"alpha": ("slope", 0.2), "beta": ("offset", 0.5)}),
    "ThresholdedRelu": ("threshold", {"alpha": ("threshold", 1.0)}),
    "Affine": ("affine", {"alpha": ("alpha", 1.0), "beta": ("beta", 0.0)}),
    "ScaledTanh": ("scaled_tanh", {"alpha": ("alpha", 1.0), "beta": ("beta", 1.0)}),
}
UNKNOWN = ("Affine", "ScaledTanh")


def opened(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("settings")))


def tf_1_layer(path: Path) -> tuple[LSTM, Recorded]:
    arrays, settings = opened(path)
    stored = {"bias": arrays["bias"]} | {k: arrays[k] for k in ("projection/kernel",) if k in arrays}
    stored["kernel of x"], stored["kernel of h"] = np.split(arrays["kernel"], [arrays["x"].shape[-1]])
    cell: Any = unpack(TF_1, Bundle(TF_1.name, stored))
    always = np.zeros((4, cell.units), np.float32)
    always["ifgo".index("f")] = settings["forget_bias"]
    peephole = [arrays[f"w_{gate}_diag"] for gate in "ifo"] if settings["use_peepholes"] else None
    cell = replace(
        cell,
        b_rec=Gates(always),
        peephole=None if peephole is None else np.stack(peephole),
        candidate=named(settings["activation"]),
        output=named(settings["activation"]),
        cell_clip=settings["cell_clip"],
        projection_clip=settings["proj_clip"],
    )
    fields = ("x", "y", "h0", "c0", "hn", "cn")
    return LSTM("cell", cell), Recorded("cell", **{name: arrays[name] for name in fields})


def onnx_activations(settings: Mapping[str, Any], directions: int) -> list[Activation]:
    """Gate, candidate and output of each direction; ONNX's lists of numbers are used up in order."""
    left = {letter: list(settings.get(f"activation_{letter}", ())) for letter in ("alpha", "beta")}
    found = []
    for theirs in settings.get("activations", ["Sigmoid", "Tanh", "Tanh"] * directions):
        ours, takes = ONNX_ACTIVATIONS[theirs]
        numbers = {number: left[k].pop(0) if left[k] else default for k, (number, default) in takes.items()}
        found.append(Activation(ours, numbers | ({"value": 0.0} if ours == "threshold" else {})))
    return found


def onnx_layer(path: Path) -> tuple[LSTM, Recorded]:
    arrays, settings = opened(path)
    directions = len(arrays["W"])
    activations = onnx_activations(settings, directions)
    cells = []
    for number in range(directions):
        stored = {name: arrays[name][number] for name in "WR"}
        if "B" in arrays:
            stored["bias"] = arrays["B"][number]
        gate, candidate, output = activations[3 * number :][:3]
        peephole = arrays["P"][number].reshape(3, -1)[[0, 2, 1]] if "P" in arrays else None  # theirs are i, o, f
        unpacked: Any = unpack(ONNX, Bundle(ONNX.name, stored))
        cells.append(
            replace(
                unpacked,
                gate=gate, candidate=candidate, output=output, peephole=peephole,
                gate_clip=settings.get("clip"), coupled=bool(settings.get("input_forget")),
            )
        )  # fmt: skip
    reverse = settings.get("direction") == "reverse"
    x, y = arrays["X"].swapaxes(0, 1), arrays["Y"].transpose(1, 2, 0, 3)
    y = y[0, :, ::-1] if reverse else y if directions > 1 else y[0]  # ONNX turns its reverse output back
    lengths = arrays.get("sequence_lens")
    mask = None if lengths is None else np.arange(x.shape[1]) < lengths[:, None]
    h0, c0, hn, cn = (arrays[name] for name in ("initial_h", "initial_c", "Y_h", "Y_c"))
    layer = LSTM("node", cells[0], merge=None, go_backwards=reverse, zero_output_for_mask=mask is not None)
    layer = layer.with_cells(dict(zip(("forward", "backward"), cells, strict=False)))
    return layer, Recorded("node", x, y, h0, c0, hn, cn, mask)


def cell_layer(path: Path) -> tuple[LSTM, Recorded]:
    return tf_1_layer(path) if path in TF_1_CELLS else onnx_layer(path)


CELLS = [*TF_1_CELLS, *ONNX_CELLS]
KNOWN = [path for path in CELLS if not set(opened(path)[1].get("activations", ())) & set(UNKNOWN)]


def id_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", KNOWN, ids=id_of)
def test_the_reference_computes_what_tensorflow_1_and_onnxruntime_do(path: Path, tmp_path: Path) -> None:
    layer, recorded = cell_layer(path)
    assert_recorded(run_reference([layer], recorded), recorded)
    lstm_convert.save(Model((layer,)), tmp_path / "canonical.npz")
    [back] = lstm_convert.load(tmp_path / "canonical.npz").layers
    assert_recorded(run_reference([back], recorded), recorded)


@pytest.mark.parametrize("path", [path for path in CELLS if path not in KNOWN], ids=id_of)
def test_an_activation_that_only_onnx_has_is_refused_by_name(path: Path) -> None:
    layer, recorded = cell_layer(path)
    with pytest.raises(Unsupported, match=r"activation (affine|scaled_tanh)\(alpha=.*, beta=.*\) is not known"):
        run_reference([layer], recorded)


def test_no_cell_is_forgotten() -> None:
    assert len(KNOWN) >= 28
    beside = {"make_cells.py", "versions.json"}
    for folder in {path.parent for path in CELLS}:
        assert {path.name for path in folder.iterdir()} == beside | {p.name for p in CELLS if p.parent == folder}


Mistake = Callable[[Any], Any]


def reordered(order: list[int]) -> Mistake:
    return lambda cell: cell if cell.peephole is None else replace(cell, peephole=cell.peephole[order])


MISTAKES: dict[str, Mistake] = {
    "peepholes of i and f exchanged": reordered([1, 0, 2]),
    "peepholes of f and o exchanged": reordered([0, 2, 1]),
    "peepholes dropped": lambda cell: replace(cell, peephole=None),
    "gate clip dropped": lambda cell: replace(cell, gate_clip=None),
    "cell clip dropped": lambda cell: replace(cell, cell_clip=None),
    "projection clip dropped": lambda cell: replace(cell, projection_clip=None),
    "coupling dropped": lambda cell: replace(cell, coupled=False),
    "forget bias dropped": lambda cell: replace(cell, b_rec=None),
    "candidate's activation for the output's": lambda cell: replace(cell, output=cell.candidate),
}


def differs(one: RecurrentCell, other: RecurrentCell) -> bool:
    """Whether two cells are set otherwise, so that one must not compute the other's outputs; none is zeros."""
    arrays, others = one.arrays(), other.arrays()
    for name in {*arrays, *others}:
        first, second = arrays.get(name, np.zeros(())), others.get(name, np.zeros(()))
        if (first != second).any():
            return True
    settings = ("gate", "candidate", "output", "gate_clip", "cell_clip", "projection_clip", "coupled")
    return any(getattr(one, name) != getattr(other, name) for name in settings)


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_in_a_setting_is_noticed(name: str) -> None:
    tried = 0
    for path in KNOWN:
        layer, recorded = cell_layer(path)
        mistaken = layer.with_cells({direction: MISTAKES[name](cell) for direction, cell in layer.cells.items()})
        if any(differs(cell, mistaken.cells[direction]) for direction, cell in layer.cells.items()):
            tried += 1
            assert missed(mistaken, recorded) > VISIBLE, id_of(path)
    assert tried


def missed(layer: Recurrent, recorded: Recorded) -> float:
    """How far a layer is from what was recorded; infinitely where not even the shapes agree."""
    y = run_reference([layer], recorded)["y"]
    return float(np.abs(y - recorded.y).max()) if y.shape == recorded.y.shape else np.inf


# Types of number.

BITS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}
EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}


@pytest.mark.parametrize("source", BITS)
@pytest.mark.parametrize("target", BITS)
def test_weights_are_rounded_to_the_type_that_is_asked_for(source: str, target: str, tmp_path: Path) -> None:
    file = FIXTURES / "torch-2.13" / ("plain.pt" if source == "float32" else f"{source}.pt")
    done = lstm_convert.convert(file, tmp_path / "weights.pt", dtype=target)
    original, state = (torch.load(path, weights_only=True) for path in (file, done.target))
    for key, tensor in state.items():
        assert tensor.dtype == BITS[target]
        assert torch.equal(tensor, original[key].to(BITS[target]))
    assert done.proof.tolerance == 8 * 7 * max(EPSILON[source], EPSILON[target])
    assert (done.proof.max_abs_difference == 0) == (EPSILON[target] <= EPSILON[source])


@pytest.mark.parametrize("ending", [".keras", ".weights.h5", ".lstm.safetensors", ".safetensors"])
@pytest.mark.parametrize("dtype", BITS)
def test_every_kind_of_file_keeps_the_type_that_is_asked_for(ending: str, dtype: str, tmp_path: Path) -> None:
    done = lstm_convert.convert(FIXTURES / "keras-3.15.1/plain.keras", tmp_path / f"weights{ending}", dtype=dtype)
    assert {array.dtype.name for layer in done.result.layers for array in layer.forward.arrays().values()} == {dtype}
    again = lstm_convert.load(done.target)
    assert {array.dtype.name for layer in again.layers for array in layer.forward.arrays().values()} == {dtype}


def test_a_weight_too_large_for_the_type_is_refused_and_named(tmp_path: Path) -> None:
    W = np.ones((4, 5, 3), np.float32)  # noqa: N806 (the field's own letter)
    W[2, 1, 0] = 1e5
    model = Model((LSTM("lstm", Cell(Gates(W), Gates(np.ones((4, 5, 5), np.float32)))),))
    with pytest.raises(InvalidFile, match="too large for float16") as refused:
        lstm_convert.save(model, tmp_path / "weights.pt", dtype="float16")
    assert refused.value.details == ("lstm (forward) W: the largest number is 1e+05",)
    assert not (tmp_path / "weights.pt").exists()
    lstm_convert.save(model, tmp_path / "weights.pt", dtype="bfloat16")


def test_a_type_of_number_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormat, match="int8 is no type of number here"):
        lstm_convert.convert(FIXTURES / "torch-2.13/plain.pt", tmp_path / "weights.pt", dtype="int8")


# The silent failures of others. Each is shown to be one, here, and not to be ours.


def of_each_cell(**changes: Any) -> Callable[[Any], Any]:
    return lambda layer: layer.with_cells({name: replace(cell, **changes) for name, cell in layer.cells.items()})


def bias_in_both(layer: Recurrent) -> Recurrent:
    return layer.with_cells({name: replace(cell, b_rec=cell.b) for name, cell in layer.cells.items()})


def of_layer(**changes: Any) -> Callable[[Any], Any]:
    return lambda layer: replace(layer, **changes)


# What others do to which layer, and what becomes of it here on its way to nn.LSTM: "" where it is exact.
SILENT: dict[str, tuple[str, str, Callable[[Any], Any], str]] = {
    "A3 hard_sigmoid read with the slope of Keras 3, 5.6e-2": (
        "tf-2.15", "hard", of_each_cell(gate=KERAS_3.activations["hard_sigmoid"]), "gate activation hard_sigmoid",
    ),
    "A5 hard_sigmoid read as sigmoid, 2.9e-2": (
        "tf-2.15", "hard", of_each_cell(gate=Activation("sigmoid")), "gate activation hard_sigmoid",
    ),
    "A5 bias copied into both biases, 0.47": ("tf-2.15", "plain", bias_in_both, ""),
    "A5 go_backwards lost, 0.57": (
        "tf-2.15", "variant_go_backwards", of_layer(go_backwards=False), "nn.LSTM reads forwards",
    ),
    "A5 relu read as tanh, 0.71": (
        "tf-2.15", "variant_relu", of_each_cell(candidate=Activation("tanh"), output=Activation("tanh")),
        "candidate and output activation relu",
    ),
    "A5 merge_mode sum joined by concat": (
        "tf-2.15", "variant_sum", of_layer(merge="concat"), "nn.LSTM joins by concat",
    ),
    "2.6 gates of another framework's order": (
        "tf-2.15", "plain", lambda layer: layer.with_cells(
            {name: replace(cell, U=Gates(np.asarray(cell.U)[[0, 1, 3, 2]])) for name, cell in layer.cells.items()}
        ), "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_a_silent_failure_of_others_is_none_of_ours(name: str, tmp_path: Path) -> None:
    folder, case_name, mistake, refusal = SILENT[name]
    case = Case(folder, case_name)
    model, recorded = lstm_convert.load(case.whole_files[0]), case.layers[0]
    layer = model[recorded.path]
    assert missed(layer, recorded) <= TOLERANCE["float32"]
    assert missed(mistake(layer), recorded) > VISIBLE
    if refusal:
        with pytest.raises(Unsupported, match=refusal):
            lstm_convert.save(model, tmp_path / "weights.pt", lstm_only=True)
    else:
        lstm_convert.convert(case.whole_files[0], tmp_path / "weights.pt", lstm_only=True)
        module = modules_of(torch.load(tmp_path / "weights.pt", weights_only=True))[recorded.path]
        assert_recorded(run_torch([module], recorded), recorded)
    lstm_convert.save(Model((layer,)), tmp_path / "model.keras")
    written = keras.models.load_model(tmp_path / "model.keras").get_layer(keras_name(layer.name))
    assert_recorded(run_keras([written], recorded), recorded)


@pytest.mark.parametrize("folder", ["keras-1.2.2", "tf-2.15", "keras-3.15.1"])
def test_a5_masks_lost_033(folder: str, tmp_path: Path) -> None:
    case = Case(folder, "variant_masking")
    model, recorded = lstm_convert.load(case.whole_files[0]), case.layers[0]
    assert missed(model.layers[0], replace(recorded, mask=None)) > VISIBLE
    with pytest.raises(Unsupported, match=r"nn\.LSTM knows no masks; --allow mask if your own module does it"):
        lstm_convert.save(model, tmp_path / "weights.pt", lstm_only=True)
    lstm_convert.save(model, tmp_path / "model.keras", lstm_only=True)
    written = keras.models.load_model(tmp_path / "model.keras")
    assert_recorded(run_keras([written.get_layer(keras_name(recorded.path))], recorded), recorded)
    assert any("its mask came from" in line for line in lstm_convert.convert(
        case.whole_files[0], tmp_path / "said.keras", lstm_only=True).usage)  # fmt: skip


@pytest.mark.parametrize("case", [case for case in PLAIN if case.name == "bidirectional" and case.keras], ids=str)
def test_a5_the_wrong_end_of_a_bidirectional_lstm_055(case: Case, tmp_path: Path) -> None:
    recorded = next(layer for layer in case.layers if layer.last_only)
    done = lstm_convert.convert(case.whole_files[0], tmp_path / "weights.pt", lstm_only=True)
    module = modules_of(torch.load(done.target, weights_only=True))[recorded.path]
    with torch.no_grad():
        output, (h, _) = module(torch.from_numpy(recorded.x))
    assert np.abs(output[:, -1].numpy() - recorded.y).max() > VISIBLE
    assert_close(torch.cat([h[-2], h[-1]], -1).numpy(), recorded.y, TOLERANCE["float32"])
    assert any("torch.cat([h_n[-2], h_n[-1]], -1)" in line for line in done.usage)


@pytest.mark.parametrize("case", [case for case in PLAIN if case.name == "nobias"], ids=str)
def test_a5_use_bias_false_crashes_no_recipe_of_ours(case: Case, tmp_path: Path) -> None:
    for ending in (".pt", ".keras", ".h5", ".npz"):
        done = lstm_convert.convert(case.whole_files[0], tmp_path / f"target{ending}")
        assert all(
            cell.b is None and cell.b_rec is None for layer in done.result.layers for cell in layer.cells.values()
        )


def test_2_10_a_cudnnlstm_is_not_read_as_the_lstm_whose_names_its_arrays_have() -> None:
    case = Case("tf-2.15", "variant_cudnn")
    recorded = case.layers[0]
    layer = lstm_convert.load(case.files[0])[recorded.path]
    assert missed(layer, recorded) <= TOLERANCE["float32"]
    as_an_lstm = replace(KERAS_CUDNN, kernel=KERAS_3.kernel, recurrent=KERAS_3.recurrent)
    mistaken = unpack(as_an_lstm, pack(KERAS_CUDNN, layer.forward))
    assert missed(replace(layer, forward=mistaken), recorded) > VISIBLE


@pytest.mark.parametrize("case", [Case("tf-2.15", name) for name in ("plain", "bidirectional", "hard")], ids=str)
def test_a3_a_file_with_time_major_opens_in_keras_3_once_it_is_converted(case: Case, tmp_path: Path) -> None:
    for file in case.whole_files:
        with pytest.raises((TypeError, ValueError), match="time_major"):
            keras.models.load_model(file)
        done = lstm_convert.convert(file, tmp_path / f"{file.suffix[1:]}.keras")
        assert keras.models.load_model(done.target).count_params()


def test_a3_an_architecture_with_time_major_has_time_first_around_the_same_layers(tmp_path: Path) -> None:
    case = Case("tf-2.15", "plain")
    config = tmp_path / "config.json"
    config.write_text(case.architectures[0].read_text("utf-8").replace('"time_major": false', '"time_major": true'))
    weights = next(file for file in case.files if file.name.endswith(".weights_only.h5"))
    plain, turned = lstm_convert.load(weights, config=case.architectures[0]), lstm_convert.load(weights, config=config)
    assert plain.network is not None
    assert turned.network is not None
    x = network_inputs(plain.network, batch=7)[0]
    expected = every_step(plain.network, [x.swapaxes(0, 1)])[1][0]
    found = every_step(turned.network, [x])[2][0]
    np.testing.assert_array_equal(found, expected)
