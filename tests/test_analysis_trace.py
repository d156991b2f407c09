"""The trace engine against the reference of every proof, which is itself held to the frameworks."""

from typing import Any

import numpy as np
import pytest
from analyzing import OPEN, cell_of, one, random_cell

from lstm_convert.analysis.stacks import Stack, stack_of
from lstm_convert.analysis.traces import last_output, trace
from lstm_convert.canonical import LSTM, Activation, Model
from lstm_convert.errors import LayoutMismatch, Unsupported
from lstm_convert.reference import run

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "peepholes": {"peepholes": True},
    "projection": {"outputs": 3, "projection_clip": 0.2},
    "clips": {"gate_clip": 0.7, "cell_clip": 0.3},
    "coupled": {"coupled": True, "peepholes": True},
    "hard": {"gate": Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5}), "output": Activation("softsign")},
    "softmax gates": {"gate": Activation("softmax")},
}


@pytest.mark.parametrize("mask", [False, True], ids=["all steps", "masked"])
@pytest.mark.parametrize("layer", [
    {}, {"both": True}, {"both": True, "merge": "mul"}, {"both": True, "merge": "ave"}, {"both": True, "merge": "sum"},
    {"go_backwards": True}, {"zero_output_for_mask": True},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("variant", VARIANTS)
def test_traces_are_what_the_reference_computes(variant: str, layer: dict[str, Any], mask: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    rng = np.random.default_rng(5)
    cells = [random_cell(rng, 5, 3, **VARIANTS[variant]) for _ in range(2)]
    options = dict(layer)
    both = options.pop("both", False)
    made = LSTM("lstm", cells[0], cells[1] if both else None, **options)
    x = rng.normal(size=(4, 7, 3))
    counts = rng.random((4, 7)) > 0.4 if mask else None
    states = [(rng.normal(size=(4, 5)), rng.normal(size=(4, cells[0].outputs))) for _ in made.cells]
    wanted = run(made, x, [h for _, h in states], [c for c, _ in states], counts)
    found = trace(Stack((made,)), x, mask=counts, states=[states])
    np.testing.assert_allclose(found.layers[0].output.transpose(1, 0, 2), wanted.output, rtol=0, atol=1e-14)
    for traced, h, c in zip(found.layers[0].cells, wanted.h, wanted.c, strict=True):
        np.testing.assert_allclose(traced.h[-1], h, rtol=0, atol=1e-14)
        np.testing.assert_allclose(traced.c[-1], c, rtol=0, atol=1e-14)


def test_a_stack_reads_the_output_of_the_layer_below() -> None:
    rng = np.random.default_rng(6)
    lower = LSTM("a", random_cell(rng, 4, 2), random_cell(rng, 4, 2))
    upper = LSTM("b", random_cell(rng, 3, 8), follows="a", return_sequences=False)
    x = rng.normal(size=(3, 6, 2))
    found = trace(stack_of(Model((lower, upper))), x)
    wanted = run(upper, run(lower, x).output)
    np.testing.assert_allclose(last_output(found), wanted.output, rtol=0, atol=1e-14)


def test_the_gates_are_in_time_and_named_for_xarray() -> None:
    rng = np.random.default_rng(7)
    layer = LSTM("lstm", random_cell(rng, 4, 2), random_cell(rng, 4, 2))
    x = rng.normal(size=(3, 6, 2))
    data = trace(Stack((layer,)), x).layers[0].dataset(samples=2)
    assert data["dims"] == {"direction": 2, "sample": 2, "time": 6, "unit": 4, "output": 4}
    assert {name: each["data"].shape for name, each in data["data_vars"].items()} == dict.fromkeys(
        "ifgoch", (2, 2, 6, 4)
    )
    forward, backward = data["data_vars"]["h"]["data"]
    np.testing.assert_allclose(np.concatenate([forward, backward], axis=-1), run(layer, x[:2]).output, atol=1e-14)
    arrays = {name: each["data"] for name, each in data["data_vars"].items()}
    i, f, g, c = (arrays[name][0] for name in "ifgc")
    np.testing.assert_allclose(c[:, 1:], f[:, 1:] * c[:, :-1] + i[:, 1:] * g[:, 1:], rtol=0, atol=1e-15)


def test_the_model_is_not_written_to() -> None:
    cell = cell_of(2, 1, b=(0.0, 1.0, 0.0, OPEN))
    before = {name: array.copy() for name, array in cell.arrays().items()}
    trace(one(cell), np.ones((1, 3, 1)))
    assert all((array == before[name]).all() for name, array in cell.arrays().items())


def test_data_of_another_width_is_refused() -> None:
    with pytest.raises(LayoutMismatch, match=r"expected \(sequences, steps, 1\), found \(1, 3, 2\)"):
        trace(one(cell_of(2, 1)), np.ones((1, 3, 2)))


@pytest.mark.parametrize(("layers", "reason"), [
    ((LSTM("a", cell_of(2, 1)), LSTM("b", cell_of(2, 1))), "2 recurrent layers that no other follows"),
    ((LSTM("a", cell_of(2, 1), cell_of(2, 1), merge=None),), "not merged"),
    ((LSTM("a", cell_of(2, 1), starts_from="z"),), "starts from the states of z"),
    ((LSTM("a", cell_of(2, 1), return_sequences=False), LSTM("b", cell_of(2, 2), follows="a")), "last step alone"),
], ids=["two ends", "unmerged", "encoder", "gap"])  # fmt: skip
def test_what_is_no_stack_is_refused(layers: tuple[LSTM, ...], reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        stack_of(Model(layers))


def test_directions_of_other_widths_stand_side_by_side() -> None:
    rng = np.random.default_rng(8)
    layer = LSTM("lstm", random_cell(rng, 4, 2), random_cell(rng, 3, 2))
    h = trace(Stack((layer,)), rng.normal(size=(3, 6, 2))).layers[0].dataset()["data_vars"]["h"]["data"]
    assert h.shape == (2, 3, 6, 4)
    assert np.isnan(h[1, ..., 3]).all()
    assert np.isfinite(h[0]).all()
    assert np.isfinite(h[1, ..., :3]).all()
