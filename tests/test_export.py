"""The written-out PyTorch module against the float64 reference, and against what a user does with it."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comparing import assert_close, assert_same_bits
from exporting import (
    CHAIN,
    HARD,
    KINDS,
    OTHERS,
    SAMPLES,
    SEVERAL,
    Array,
    assert_formatted,
    cell,
    imported,
    loaded,
    written,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from torch import nn

from lstm_convert.activations import FUNCTIONS, named
from lstm_convert.canonical import LSTM, Activation, Model, Recurrent
from lstm_convert.containers import source_pair
from lstm_convert.export.state import state
from lstm_convert.reference import Run, run

pytestmark = [
    # What torch says of its own modules, whoever made them.
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning"),
    pytest.mark.filterwarnings("ignore:The tensor attributes .*_flat_weights.* were assigned:UserWarning"),
    # TorchScript is promised for as long as torch has it.
    pytest.mark.filterwarnings("ignore:`torch.jit.* is deprecated:DeprecationWarning"),
]

BATCH, STEPS = 4, 6
EVERY: dict[str, Recurrent] = {**SAMPLES, **OTHERS}
EXPLODING = 1e5  # exponentials of exponentials leave what float64 can tell apart


def joined(layer: Recurrent, states: Sequence[Array]) -> torch.Tensor:
    """The states of all directions as the module takes and returns them."""
    alike = len({(cell.units, cell.outputs) for cell in layer.cells.values()}) == 1
    return torch.from_numpy(np.stack(states) if alike else np.concatenate(states, -1)[None])


class Inputs:
    """Random sequences, states and masks for a layer; a row of the mask is all false, one all true."""

    def __init__(self, layer: Recurrent, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        cells = list(layer.cells.values())
        self.layer = layer
        self.x = random.normal(size=(BATCH, STEPS, layer.forward.inputs))
        self.h = [random.normal(size=(BATCH, each.outputs)) for each in cells]
        self.c = [random.normal(size=(BATCH, each.units)) for each in cells]
        self.mask = random.random((BATCH, STEPS)) < 0.5 if layer.masked_by else None
        if self.mask is not None:
            self.mask[0], self.mask[1] = False, True

    def tensors(self, dtype: torch.dtype = torch.float64) -> list[Any]:
        states = tuple(joined(self.layer, states).to(dtype) for states in (self.h, self.c))
        given: list[Any] = [torch.from_numpy(self.x).to(dtype), states if isinstance(self.layer, LSTM) else states[0]]
        return given if self.mask is None else [*given, torch.from_numpy(self.mask)]


def size_of(result: Run) -> float:
    """The largest number of a result, at least 1."""
    return max(
        1.0,
        *(float(np.abs(np.nan_to_num(array, nan=np.inf)).max()) for array in (*result.outputs, *result.h, *result.c)),
    )


def assert_like_reference(result: Any, layer: Recurrent, inputs: Inputs, atol: float = 1e-12) -> None:
    expected = run(layer, inputs.x, inputs.h, inputs.c, inputs.mask)
    atol *= size_of(expected) ** 2  # of what grows, the rounding grows
    output, last = result
    found = output if isinstance(output, tuple) else (output,)
    for one, other in zip(
        (*found, *(last if isinstance(last, tuple) else (last,))),
        (*expected.outputs, *(joined(layer, states) for states in filter(None, (expected.h, expected.c)))),
        strict=True,
    ):
        assert_close(one.detach().numpy(), np.asarray(other), atol)


@pytest.mark.parametrize("name", EVERY)
def test_it_computes_what_the_reference_computes(name: str, tmp_path: Path) -> None:
    layer = EVERY[name]
    inputs = Inputs(layer)
    assert_like_reference(loaded([layer], tmp_path)(*inputs.tensors()), layer, inputs)


@pytest.mark.parametrize("name", EVERY)
def test_it_computes_the_same_without_states_and_in_float32(name: str, tmp_path: Path) -> None:
    layer = EVERY[name]
    model = loaded([layer], tmp_path).float()
    inputs = Inputs(layer)
    assert_like_reference(model(*inputs.tensors(torch.float32)), layer, inputs, 1e-5)
    inputs.h, inputs.c, inputs.mask = [h * 0 for h in inputs.h], [c * 0 for c in inputs.c], None
    assert_like_reference(model(torch.from_numpy(inputs.x).float()), layer, inputs, 1e-5)


CLIPS = st.none() | st.floats(0.1, 2.0)
ACTIVATIONS = st.sampled_from([named(name) for name in FUNCTIONS] + [HARD])
FEATURES = st.fixed_dictionaries(
    {
        "units": st.integers(1, 4),
        "bias": st.sampled_from(["no", "one", "two", "recurrent"]),
        "projection": st.none() | st.integers(1, 4),
        "peephole": st.booleans(),
        "gate_clip": CLIPS,
        "cell_clip": CLIPS,
        "projection_clip": CLIPS,
        "coupled": st.booleans(),
        "gate": st.just(named("sigmoid")) | ACTIVATIONS,
        "candidate": st.just(named("tanh")) | ACTIVATIONS,
        "output": st.just(named("tanh")) | ACTIVATIONS,
    }
)


@st.composite
def mixtures(draw: st.DrawFn) -> LSTM:
    """A layer of any features together."""
    forward: dict[str, Any] = draw(FEATURES)
    backward: dict[str, Any] | None = draw(st.none() | FEATURES)
    merge = draw(st.sampled_from(["concat", "sum", "mul", "ave", None]))
    if backward and merge in ("sum", "mul", "ave"):
        backward |= {"units": forward["units"], "projection": forward["projection"]}
    other = cell(seed=1, **backward) if backward else None
    backwards, sequences, zero = draw(st.tuples(*[st.booleans()] * 3))
    return LSTM(
        "lstm", cell(**forward), other, merge=merge, go_backwards=backwards, return_sequences=sequences,
        masked_by=draw(st.sampled_from([None, "masking"])), zero_output_for_mask=zero,
    )  # fmt: skip


def test_any_mixture_computes_what_the_reference_computes(tmp_path: Path) -> None:
    @settings(deadline=None, max_examples=150)
    @given(layer=mixtures())
    def compare(layer: LSTM) -> None:
        inputs = Inputs(layer)
        path = written([layer], tmp_path)
        if size_of(run(layer, inputs.x, inputs.h, inputs.c, inputs.mask)) < EXPLODING:
            assert_like_reference(imported(path).load()(*inputs.tensors()), layer, inputs)

    compare()
    assert_formatted([*tmp_path.glob("*.py")])


@pytest.mark.parametrize("role", ["gate", "candidate", "output"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_activation_is_exact(name: str, role: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {role: named(name)}
    layer = LSTM("lstm", cell(scale=0.05, **options))
    inputs = Inputs(layer)
    model = loaded([layer], tmp_path)
    assert_like_reference(model(*inputs.tensors()), layer, inputs, 1e-11)
    assert_trains(model, inputs.tensors(), gates_shut=name in ("threshold", "hard_shrink", "soft_shrink"))


def test_numbers_of_an_activation_are_its_own(tmp_path: Path) -> None:
    layer = LSTM("bi", cell(gate=Activation("elu", {"alpha": 0.5})), cell(gate=Activation("elu", {"alpha": 2.0})))
    inputs = Inputs(layer)
    assert_like_reference(loaded([layer], tmp_path)(*inputs.tensors()), layer, inputs)


def reference_of_chain(layers: Sequence[LSTM], x: Array, mask: Array) -> tuple[Array, list[Any]]:
    runs = []
    for layer in layers:
        runs.append(run(layer, x, mask=mask if layer.masked_by else None))
        x = runs[-1].output
    return x, runs


def test_layers_that_follow_each_other_are_called_in_turn(tmp_path: Path) -> None:
    model = loaded(CHAIN, tmp_path)
    inputs = Inputs(CHAIN[0])
    mask = np.random.default_rng(1).random((BATCH, STEPS)) < 0.5
    expected, runs = reference_of_chain(CHAIN, inputs.x, mask)
    output, states = model(torch.from_numpy(inputs.x), mask=torch.from_numpy(mask))
    assert_close(output.detach().numpy(), expected, 1e-12)
    for layer, each in zip(CHAIN, runs, strict=True):
        assert_close(states[layer.path][0].detach().numpy(), joined(layer, each.h).numpy(), 1e-12)
        assert_close(states[layer.path][1].detach().numpy(), joined(layer, each.c).numpy(), 1e-12)
    again, _ = model(torch.from_numpy(inputs.x), {"second": states["second"]})
    assert not torch.equal(again, output)


def test_a_decoder_starts_where_its_encoder_ended(tmp_path: Path) -> None:
    model = loaded(SEVERAL, tmp_path)
    decoder, encoder, far, above = SEVERAL
    encoded, decoded = Inputs(encoder), Inputs(decoder)
    first = run(encoder, encoded.x)
    second = run(decoder, decoded.x, first.h, first.c, decoded.mask)
    x = [torch.from_numpy(array) for array in (encoded.x, decoded.x, encoded.x)]
    outputs, states = model(x_encoder=x[0], x_decoder=x[1], x_far=x[2], mask_decoder=torch.from_numpy(decoded.mask))
    assert list(states) == ["encoder", "decoder", "far", "above_far"]
    for key, expected in {
        "encoder": first.output,
        "decoder.forward": second.outputs[0],
        "decoder.backward": second.outputs[1],
        "above_far": run(above, run(far, encoded.x).output).output,
    }.items():
        assert_close(outputs[key].detach().numpy(), expected, 1e-12)
    assert "hand these in" in (type(model).__doc__ or "")


def arguments_of(layers: Sequence[Recurrent], model: nn.Module) -> list[Any]:
    """Inputs for one layer with states, for several without."""
    if len(layers) == 1:
        return Inputs(layers[0]).tensors()
    names = inspect.signature(model.forward).parameters
    heads = {layer.path: layer for layer in layers if not layer.follows}
    x = {f"x_{path}" if "x" not in names else "x": Inputs(layer).x for path, layer in heads.items()}
    return [torch.from_numpy(x[name]) for name in names if name in x]


def flat(value: Any) -> list[torch.Tensor]:
    leaves, _ = torch.utils._pytree.tree_flatten(value)  # noqa: SLF001 (torch has no public name for it)
    return list(leaves)


@pytest.mark.parametrize("kind", KINDS)
def test_torchscript_and_export_compute_the_same(kind: str, tmp_path: Path) -> None:
    model = loaded(KINDS[kind], tmp_path)
    arguments = arguments_of(KINDS[kind], model)
    expected = flat(model(*arguments))
    scripted = torch.jit.script(model)
    torch.testing.assert_close(flat(scripted(*arguments)), expected, rtol=0, atol=1e-12)
    exported = torch.export.export(model, tuple(arguments)).module()
    torch.testing.assert_close(flat(exported(*arguments)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["plain", "bidirectional sum", "hard", "masked zero", "two slopes"])
def test_an_exported_module_takes_any_batch(kind: str, tmp_path: Path) -> None:
    model = loaded(KINDS[kind], tmp_path)
    x = torch.from_numpy(Inputs(KINDS[kind][0]).x)
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()
    longer = torch.cat([x, x[:3]])
    torch.testing.assert_close(flat(exported(longer)), flat(model(longer)), rtol=0, atol=1e-12)


def assert_trains(model: nn.Module, arguments: Sequence[Any], *, gates_shut: bool = False) -> None:
    """One step of gradient descent moves every weight that counts, by finite numbers."""
    model.train()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    assert before
    loss = torch.stack([(leaf**2).sum() for leaf in flat(model(*arguments))]).sum()
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients.values())
    torch.optim.SGD(model.parameters(), lr=1e-3).step()
    moved = [name for name, parameter in model.named_parameters() if not torch.equal(before[name], parameter)]
    assert moved == [name for name, gradient in gradients.items() if gradient is not None and gradient.any()]
    assert moved or gates_shut


@pytest.mark.parametrize("kind", KINDS)
def test_it_trains(kind: str, tmp_path: Path) -> None:
    model = loaded(KINDS[kind], tmp_path)
    assert not model.training
    assert_trains(model, arguments_of(KINDS[kind], model))


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_are_its_whole_state_dict(kind: str, tmp_path: Path) -> None:
    path = written(KINDS[kind], tmp_path)
    module = imported(path)
    weights = load_file(source_pair.beside(path))
    assert_same_bits(weights, state(Model(tuple(KINDS[kind]))))
    module.Model().load_state_dict({key: torch.from_numpy(array) for key, array in weights.items()}, strict=True)
    assert_same_bits(module.load(source_pair.beside(path)).state_dict(), weights)
