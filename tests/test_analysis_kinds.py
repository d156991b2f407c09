"""GRUs and simple RNNs: what torch's autograd and Keras say of them, and what is said where an LSTM has more."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from analyzing import random_cell_of
from helpers import FIXTURES
from test_analysis_compare import planted
from test_analysis_jacobian import differences

import lstm_convert
from lstm_convert.analysis.bounding import ranges_of
from lstm_convert.analysis.certificate import certificate
from lstm_convert.analysis.comparing import compare
from lstm_convert.analysis.decomposition import decomposed
from lstm_convert.analysis.engine import Analysis, analyze
from lstm_convert.analysis.jacobian import lag_jacobian
from lstm_convert.analysis.matching import matched
from lstm_convert.analysis.moving import moved_cell, moved_model, unmoved
from lstm_convert.analysis.normal import normalize
from lstm_convert.analysis.readout import Readout
from lstm_convert.analysis.replay import Replay
from lstm_convert.analysis.rest import rest_response
from lstm_convert.analysis.stacks import Stack
from lstm_convert.analysis.traces import last_output, trace
from lstm_convert.canonical import GRU, Activation, Feed, GRUCell, Model, Recurrent, SimpleRNN, SimpleRNNCell
from lstm_convert.errors import Unsupported
from lstm_convert.reference import run

KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "GRU": (GRUCell, {}),
    "GRU reset before": (GRUCell, {"reset_after": False}),
    "GRU relu": (GRUCell, {"candidate": Activation("relu")}),
    "RNN": (SimpleRNNCell, {}),
    "RNN relu": (SimpleRNNCell, {"candidate": Activation("relu")}),
}


def cell_of(kind: str, rng: np.random.Generator, units: int, inputs: int, scale: float = 0.5) -> Any:
    cell, options = KINDS[kind]
    return random_cell_of(cell, rng, units, inputs, scale=scale, **options)


def stacked(kind: str, rng: np.random.Generator, *, both: bool = False, scale: float = 0.5) -> Stack:
    sizes = [(5, 3), (5, 10 if both else 5)]
    return Stack(tuple(
        Recurrent.of(f"l{depth}", cell_of(kind, rng, *size, scale), cell_of(kind, rng, *size, scale) if both else None,
                     follows="l0" if depth else None)
        for depth, size in enumerate(sizes)
    ))  # fmt: skip


def torch_module(stack: Stack) -> Any:
    """The same stack as torch's own module, in float64; torch's gates are r, z, n."""
    first = stack.layers[0]
    order = [1, 0, 2] if first.kind == "GRU" else [0]
    kind = torch.nn.GRU if first.kind == "GRU" else torch.nn.RNN
    options: dict[str, Any] = (
        {} if first.kind == "GRU" else {"nonlinearity": first.forward.activations()["candidate"].name}
    )
    module = kind(first.forward.inputs, first.forward.units, num_layers=len(stack.layers), batch_first=True,
                  bidirectional=first.backward is not None, dtype=torch.float64, **options)  # fmt: skip
    names = {"W": "weight_ih", "U": "weight_hh", "b": "bias_ih", "b_rec": "bias_hh"}
    module.load_state_dict({
        f"{names[name]}_l{depth}{'_reverse' if direction == 'backward' else ''}":
            torch.tensor(np.concatenate(list(array[order])))
        for depth, layer in enumerate(stack.layers) for direction, cell in layer.cells.items()
        for name, array in cell.arrays().items()
    })  # fmt: skip
    return module


@pytest.mark.parametrize("both", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("kind", ["GRU", "RNN", "RNN relu"])
def test_the_lag_jacobian_is_what_torch_computes(kind: str, *, both: bool) -> None:
    rng = np.random.default_rng(1)
    stack = stacked(kind, rng, both=both)
    x, matrix = rng.normal(size=(4, 9, 3)), rng.normal(size=(2, stack.outputs))
    inputs = torch.tensor(x, requires_grad=True)
    outputs = torch_module(stack)(inputs)[0]
    np.testing.assert_allclose(last_output(trace(stack, x)), outputs[:, -1].detach().numpy(), rtol=0, atol=1e-12)
    y = outputs[:, -1] @ torch.tensor(matrix).T
    wanted = [torch.autograd.grad(y[:, row].sum(), inputs, retain_graph=True)[0].numpy() for row in range(2)]
    found = lag_jacobian(stack, x, Readout(matrix)).values
    np.testing.assert_allclose(found, np.stack(wanted, axis=1), rtol=0, atol=1e-12)
    assert np.abs(found).max() > 1e-2


@pytest.mark.parametrize("layer", [
    {}, {"both": True, "merge": "mul"}, {"go_backwards": True}, {"masked": True},
    {"masked": True, "both": True, "zero_output_for_mask": True},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_traces_are_the_references_and_gradients_their_differences(kind: str, layer: dict[str, Any]) -> None:
    rng = np.random.default_rng(2)
    options = dict(layer)
    both, masked = options.pop("both", False), options.pop("masked", False)
    cells = [cell_of(kind, rng, 4, 2) for _ in range(2)]
    stack = Stack((Recurrent.of("rnn", cells[0], cells[1] if both else None, **options),))
    x = rng.normal(size=(3, 6, 2))
    mask = rng.random((3, 6)) > 0.4 if masked else None
    if mask is not None:
        mask[:, -1] = True
    traced = trace(stack, x, mask=mask)
    wanted = run(stack.layers[0], x, mask=mask).output
    np.testing.assert_allclose(traced.layers[0].output.transpose(1, 0, 2), wanted, rtol=0, atol=1e-14)
    readout = Readout(rng.normal(size=(2, stack.outputs)))
    found = lag_jacobian(stack, x, readout, mask=mask).values
    np.testing.assert_allclose(found, differences(stack, x, readout, mask), rtol=0, atol=1e-9)


RECORDED = [*sorted(FIXTURES.glob("models/*/gru_options.h5")), FIXTURES / "models/tf-2.15/rnn_simple.h5"]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name} {path.stem}")
def test_traces_make_the_h_of_every_step_that_keras_recorded(path: Path) -> None:
    """Of both kinds of reset, and of hard gates: Keras shows h alone, and the traced gates make it step by step."""
    model, seen = lstm_convert.load(path), np.load(path.with_suffix(".expected.npz"))
    assert model.network is not None
    compared = 0
    for place, feed in enumerate(model.network.outputs):
        recurrent = model.network.layers[model.network.calls[feed.step - 1].layer].recurrent
        if recurrent is None or recurrent.backward or recurrent.go_backwards or not recurrent.return_sequences:
            continue
        if feed.output or model.network.calls[feed.step - 1].inputs != (Feed(0),):
            continue
        h = seen[f"y{place}"]
        traced = trace(Stack((recurrent,)), seen["x0"]).layers[0].cells[0].in_time()
        assert list(traced) == [*recurrent.forward.letters, "h"]
        np.testing.assert_allclose(traced["h"], h, rtol=0, atol=2e-6)
        if recurrent.kind == "GRU":
            before = np.concatenate([np.zeros_like(h[:, :1]), h[:, :-1]], axis=1)
            np.testing.assert_allclose(traced["z"] * before + (1 - traced["z"]) * traced["g"], h, rtol=0, atol=2e-6)
        compared += 1
    assert compared


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_history_that_is_swapped_is_one_that_was_run_whole(kind: str) -> None:
    rng = np.random.default_rng(5)
    stack, x = stacked(kind, rng), rng.normal(size=(4, 8, 3))
    replay, others = Replay.of(stack, x), np.array([1, 2, 3, 0])
    found = replay.resumed(5, others, replay.x[5:])
    whole = np.concatenate([x[others, :5], x[:, 5:]], axis=1)
    np.testing.assert_allclose(found, last_output(trace(stack, whole)), rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_response_at_rest_dies_at_the_rate_of_its_spectral_radius(kind: str) -> None:
    stack = Stack((Recurrent.of("rnn", cell_of(kind, np.random.default_rng(6), 4, 1, scale=0.3)),))
    found = rest_response(stack, np.array([0.1]), lags=200)
    wanted = lag_jacobian(stack, np.full((1, 400, 1), 0.1)).values[0, :, ::-1]
    np.testing.assert_allclose(found.values, wanted[:, :200], rtol=0, atol=1e-12)
    sizes = np.linalg.norm(found.values[:, :, 0], axis=0)
    (radius,) = found.spectral_radius.values()
    if kind == "GRU relu":  # all of whose units are shut at this point, so that h only decays by z
        assert sizes[0] == 0.0
        assert 0.0 < radius < 1.0
    else:
        assert (sizes[60] / sizes[40]) ** (1 / 20) == pytest.approx(radius, rel=0.05)


def test_a_leaky_gru_keeps_by_its_update_gate_alone() -> None:
    """z held at 19/20 and no loop: h decays by a twentieth a step, in closed form."""
    arrays = {"W": np.zeros((3, 1, 1)), "U": np.zeros((3, 1, 1)), "b": np.array([[np.log(19.0)], [0.0], [0.0]])}
    arrays["W"][2] = 1e-4
    model = Model((GRU("gru", GRUCell.of(arrays)),))
    found = analyze(model, np.random.default_rng(7).uniform(-1, 1, (50, 12, 1)))
    slopes = [row["value"] for row in found.tables["lags"].rows(method="jacobian", stat="mean")]
    assert np.array(slopes[:-1]) / slopes[1:] == pytest.approx(0.95, rel=1e-6)
    (unit,) = found.tables["units"].rows(basis="at_rest")
    assert unit["tau_life"] == pytest.approx(20.0)
    assert (unit["b_z"], unit["b_f"], unit["open_r"]) == (pytest.approx(np.log(19.0)), None, 0.5)


def test_a_chain_of_simple_units_shows_its_delay() -> None:
    """Each unit hands on what the one before it read: the third holds the input of two steps ago."""
    arrays = {"W": np.zeros((1, 3, 1)), "U": np.zeros((1, 3, 3))}
    arrays["W"][0, 0], arrays["U"][0, 1, 0], arrays["U"][0, 2, 1] = 0.01, 1.0, 1.0
    model = Model((SimpleRNN("rnn", SimpleRNNCell.of(arrays)),))
    x = np.random.default_rng(8).uniform(-1, 1, (200, 9, 1))
    found = analyze(model, x, readout=Readout(np.array([[0.0, 0.0, 100.0]])))
    assert "99 % of the effect lies within k = 2" in found.headline


@pytest.fixture(scope="module", params=["GRU", "RNN"])
def analyzed(request: pytest.FixtureRequest) -> Analysis:
    rng = np.random.default_rng(9)
    stack = stacked(request.param, rng)
    return analyze(Model(stack.layers), rng.normal(size=(30, 6, 3)))


def test_what_an_lstm_alone_has_is_said_and_not_faked(analyzed: Analysis) -> None:
    said = " ".join(sentence.text for sentence in analyzed.sentences)
    assert "has no cell state c" in said
    assert "The full one-step Jacobian of h at rest has" in said
    assert not analyzed.tables["lags"].rows(method="cell_path")
    assert len(analyzed.tables["decomposition"]) == 0
    assert all("c" not in dataset["data_vars"] for dataset in analyzed.traces.values())
    assert {"history_swap", "jacobian", "resample", "occlusion", "integrated_gradients", "rest_response"} <= set(
        analyzed.tables["lags"]["method"]
    )
    assert all(row["b_f"] is None for row in analyzed.tables["units"].rows())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_there_is_no_cell_path_and_no_write_time_without_a_cell_state(kind: str) -> None:
    stack = stacked(kind, np.random.default_rng(10))
    with pytest.raises(Unsupported, match="has no cell state c"):
        lag_jacobian(stack, np.ones((1, 3, 3)), cell_path=True)
    with pytest.raises(Unsupported, match="has no cell state c"):
        decomposed(trace(stack, np.ones((1, 3, 3))).layers[0].cells[0])


@pytest.mark.parametrize("kind", ["GRU", "GRU reset before", "RNN"])
def test_a_planted_signed_permutation_is_found_and_computes_the_same(kind: str) -> None:
    rng = np.random.default_rng(11)
    cell, wanted = cell_of(kind, rng, 24, 3), planted(rng, 24)
    found = matched(cell, moved_cell(cell, wanted.inverse, unmoved(3)), rng)
    assert (found.units.order == wanted.order).all()
    assert (found.units.signs == wanted.signs).all()
    stack = stacked(kind, rng)
    model = Model(stack.layers)
    moved = moved_model(model, {"l0": (planted(rng, 5),), "l1": (planted(rng, 5),)})
    compared = compare(model, moved, rng.normal(size=(8, 9, 3)))
    assert compared.same
    assert "once units are put in the other's order and sign" in compared.headline


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_normal_form_computes_the_same_and_can_be_undone(kind: str) -> None:
    rng = np.random.default_rng(12)
    model = Model(stacked(kind, rng, both=True).layers)
    normal, x = normalize(model), rng.normal(size=(4, 9, 3))
    assert not normal.moves["l0"][0].still
    assert (normal.moves["l0"][0].signs == 1).all() == ("relu" in kind)
    outputs = [last_output(trace(Stack(each.layers), x)) for each in (model, normal.model)]
    np.testing.assert_allclose(normal.original_output("l1", outputs[1]), outputs[0], rtol=0, atol=1e-12)
    for before, after in zip(model.layers, normal.original().layers, strict=True):
        for one, other in zip(before.cells.values(), after.cells.values(), strict=True):
            assert all((array == other.arrays()[name]).all() for name, array in one.arrays().items())


@pytest.mark.parametrize("scale", [0.2, 0.8])
@pytest.mark.parametrize("kind", ["GRU", "GRU reset before", "RNN"])
def test_no_input_of_the_box_leaves_the_proven_ranges(kind: str, scale: float) -> None:
    rng = np.random.default_rng(14)
    low, high = np.array([-1.0, 0.0]), np.array([2.0, 0.5])
    for _ in range(5):
        cell = cell_of(kind, rng, 5, 2, scale)
        bounds = ranges_of(cell, low, high)
        x = low + (high - low) * rng.integers(0, 2, size=(50, 30, 2))
        traced = trace(Stack((Recurrent.of("rnn", cell),)), x).layers[0].cells[0]
        for gate in cell.letters:
            values = getattr(traced.steps, gate)
            assert (values >= bounds.gates[gate].low - 1e-12).all()
            assert (values <= bounds.gates[gate].high + 1e-12).all()
        assert (np.abs(traced.h) <= bounds.h + 1e-12).all()


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", ["GRU", "GRU reset before", "RNN"])
def test_no_jacobian_exceeds_the_certificate(kind: str, layers: int) -> None:
    rng = np.random.default_rng(15)
    for scale in (0.15, 0.6):
        stack = Stack(stacked(kind, rng, scale=scale).layers[:layers])
        bounds = certificate(stack, -np.ones(3), np.ones(3), lags=8)
        jacobian = lag_jacobian(stack, rng.uniform(-1, 1, size=(40, 8, 3))).values
        largest = np.abs(jacobian).max(axis=0)[:, ::-1].transpose(1, 0, 2)
        assert (largest <= bounds.bounds).all()
        assert largest.max() > 0


def test_the_certificate_of_a_leaky_gru_is_exact() -> None:
    arrays = {"W": np.zeros((3, 1, 1)), "U": np.zeros((3, 1, 1)), "b": np.array([[np.log(19.0)], [0.0], [0.0]])}
    arrays["W"][2] = 1e-4
    found = certificate(Stack((GRU("gru", GRUCell.of(arrays)),)), -np.ones(1), np.ones(1), lags=10)
    np.testing.assert_allclose(found.bounds[1:] / found.bounds[:-1], 0.95, rtol=1e-6)
    assert found.rho == pytest.approx(0.95, rel=1e-6)


def test_a_gru_whose_candidate_has_no_bound_has_none() -> None:
    with pytest.raises(Unsupported, match="the candidate activation is relu"):
        ranges_of(cell_of("GRU relu", np.random.default_rng(16), 3, 2), -np.ones(2), np.ones(2))


def test_cells_of_other_kinds_are_compared_by_what_they_compute() -> None:
    rng = np.random.default_rng(13)
    one, other = (Model((Recurrent.of("rnn", cell_of(kind, rng, 4, 3)),)) for kind in ("GRU", "RNN"))
    found = compare(one, other, rng.normal(size=(8, 9, 3)))
    assert not found.same
    assert len(found.tables["matches"]) == 0
