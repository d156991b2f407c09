"""Cells that no Keras or PyTorch layer has, as TensorFlow 1 and ONNX store them: unpacked by a row written here."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from helpers import FIXTURES, Array, Recorded

from lstm_convert import LSTM, Activation, Gates
from lstm_convert.activations import named
from lstm_convert.bundle import Bundle
from lstm_convert.layout import Layout, Slot
from lstm_convert.packing import unpack


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
