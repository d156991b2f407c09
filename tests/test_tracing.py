"""Live modules as whole networks: what torch.export traces computes the same in NumPy, or is refused, all of it."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from traced_modules import MODULES

from lstm_convert import Model, Unsupported, from_torch
from lstm_convert.network.reference import run_network

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}


def flat(outputs: Any) -> list[Any]:
    return [outputs] if isinstance(outputs, torch.Tensor) else [each for some in outputs for each in flat(some)]


def made(name: str, dtype: torch.dtype) -> tuple[nn.Module, tuple[Any, ...]]:
    """A module with weights and statistics of its own, in training mode, and its example."""
    torch.manual_seed(len(name))
    build, example = MODULES[name]
    module = build().to(dtype)
    for buffer_name, buffer in module.named_buffers():
        if buffer_name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
        elif buffer_name.endswith("running_mean"):
            buffer.normal_()
    return module, tuple(x.to(dtype) if x.is_floating_point() else x for x in example)


def assert_computes(network: Any, module: nn.Module, inputs: tuple[Any, ...], tolerance: float) -> None:
    """The network computes what the module does in eval mode, relative to the largest number of each output."""
    module.eval()
    with torch.no_grad():
        wanted = [output.double().numpy() for output in flat(module(*inputs))]
    found = run_network(network, [x.double().numpy() if x.is_floating_point() else x.numpy() for x in inputs])
    assert [y.shape for y in found] == [y.shape for y in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert np.abs(one - other).max() <= tolerance * max(1.0, np.abs(other).max())


@cache
def traced(name: str, dtype: torch.dtype) -> tuple[nn.Module, tuple[Any, ...], Model]:
    """A module, its example, and what was traced of it: tracing takes the time here."""
    module, example = made(name, dtype)
    return module, example, from_torch(module, example=example)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, torch.float64) for name in MODULES), ("convolutions", torch.float32)]
)
def test_a_traced_module_computes_the_same(name: str, dtype: torch.dtype) -> None:
    module, example, model = traced(name, dtype)
    assert model.network is not None
    assert model.layers == model.network.recurrent
    assert_computes(model.network, module, example, TOLERANCE[dtype])
    longer = tuple(
        torch.cat([x, x], 1) if given.shape[0] is None else x
        for x, given in zip(example, model.network.inputs, strict=True)
    )
    more = tuple(torch.cat([x, x, x]) for x in longer)
    assert_computes(model.network, module, more, TOLERANCE[dtype])


@pytest.mark.parametrize("name", MODULES)
def test_any_number_of_steps_is_taken_unless_the_module_reads_them_all_at_once(name: str) -> None:
    network = traced(name, torch.float64)[2].network
    assert network is not None
    free = all(each.shape[0] is None for each in network.inputs)
    assert free == (name not in ("all steps at once", "image", "shapes"))  # the last takes y[:, -2:]


def test_tracing_leaves_the_module_as_it_was() -> None:
    module, example = made("tagger", torch.float32)
    module.train()
    module.drop.eval()
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    from_torch(module, example=example)
    assert [each.training for each in module.modules()] == [each is not module.drop for each in module.modules()]
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())


def test_the_layers_are_called_as_the_modules_are() -> None:
    model = traced("tagger", torch.float64)[2]
    assert model.network is not None
    assert list(model.network.layers) == ["emb", "rnn.l0", "rnn.l1", "norm", "drop", "head", "softmax"]
    assert model["rnn.l1"].follows == "rnn.l0"
    assert model.notes == ("rnn: its dropout between layers (0.3), of training alone, is left out",)


def test_who_starts_from_whom_is_said() -> None:
    model = traced("translator", torch.float64)[2]
    assert (model["decoder.l0"].starts_from, model["decoder.l1"].starts_from) == ("encoder.l0", "encoder.l1")
    assert model["encoder.l0"].return_state
    assert not model["gru"].return_state


def test_settings_are_converted_and_not_assumed() -> None:
    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(3, 5, batch_first=True)
            self.norm = nn.BatchNorm1d(5, eps=1e-2, momentum=0.25)
            self.other = nn.LayerNorm((7, 5), eps=1e-3, elementwise_affine=False)
            self.drop = nn.Dropout(0.2)

        def forward(self, x: Any) -> Any:
            y, _ = self.rnn(x)
            return self.drop(self.other(self.norm(y.transpose(1, 2)).transpose(1, 2)))

    network = from_torch(Net(), example=torch.randn(2, 7, 3)).network
    assert network is not None
    assert network.layers["norm"].options == {"axis": -1, "epsilon": 1e-2, "momentum": 0.75}
    assert network.layers["other"].options == {"axes": (-2, -1), "epsilon": 1e-3}
    assert network.layers["drop"].options == {"form": "dropout", "rate": 0.2}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_numbers_stay_what_they_are(dtype: torch.dtype) -> None:
    module, example = made("tagger", dtype)
    network = from_torch(module, example=example).network
    assert network is not None
    arrays = [array for layer in network.layers.values() for array in layer.arrays.values()]
    arrays += [np.asarray(layer.forward.W) for layer in network.recurrent]
    assert {array.dtype.name for array in arrays} == {str(dtype).removeprefix("torch.")}


def test_an_input_is_inferred_where_the_first_layer_tells_it() -> None:
    module, _ = made("tagger", torch.float64)
    model = from_torch(module)
    assert model.network is not None
    assert "whole numbers, (batch, steps)" in " ".join(model.assumed)
    assert_computes(model.network, module, (torch.tensor([[1, 5, 3], [0, 10, 2]]),), 1e-12)


@pytest.mark.parametrize("name", ["last step", "picked"])
def test_sequences_are_inferred_where_the_first_layer_reads_features(name: str) -> None:
    module, example = made(name, torch.float64)
    model = from_torch(module)
    assert model.network is not None
    assert model.network.inputs[0].shape == (None, 3)
    assert_computes(model.network, module, example, 1e-12)


def test_without_an_example_that_can_be_inferred_the_layers_alone_are_read() -> None:
    module, _ = made("translator", torch.float32)
    model = from_torch(module)
    assert model.network is None
    assert model.not_understood == (
        "Translator: its forward takes other than one input; example=(tensor, …) says which",
    )


class Several(nn.Module):  # type: ignore[misc]  # torch is not followed
    """Much that the network has no layers for."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(4, 4, batch_first=True)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.norm = nn.GroupNorm(2, 4)
        self.inner = nn.ModuleDict({"cell": nn.LSTMCell(4, 4)})

    def forward(self, x: Any) -> Any:
        y, (h, _) = self.rnn(x)
        y, _ = self.attention(y, y, y)
        y = self.norm(y.transpose(1, 2))
        h, _ = self.inner["cell"](h[0])
        return torch.cumsum(y, 1), h * 2.0


def test_all_that_is_not_understood_is_named_at_once() -> None:
    with pytest.raises(Unsupported) as refused:
        from_torch(Several(), example=torch.randn(2, 7, 4))
    places = [detail.partition(":")[0] for detail in refused.value.details]
    assert places == [
        "attention (nn.MultiheadAttention)", "norm (nn.GroupNorm)", "inner.cell (nn.LSTMCell)", "the model (Several)",
    ]  # fmt: skip
    assert "lstm_cell" in refused.value.details[2]
    assert "cumsum" in refused.value.details[3]


def test_what_is_not_understood_is_said_where_no_example_was_given() -> None:
    model = from_torch(Several())
    assert model.network is None
    assert [layer.name for layer in model.layers] == ["rnn", "inner.cell"]
    assert "norm (nn.GroupNorm): group_norm" in model.not_understood


def forward(code: Any) -> nn.Module:
    """An LSTM and a linear layer, and what a forward makes of them."""

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(3, 5, batch_first=True)
            self.other = nn.LSTM(3, 5)
            self.head = nn.Linear(5, 5)
            self.start = nn.Parameter(torch.randn(1, 1, 5))

        def forward(self, x: Any) -> Any:
            return code(self, x)

    return Net()


def _on_the_batch(net: Any, x: Any) -> Any:
    return net.other(x)[0]


def _own_start(net: Any, x: Any) -> Any:
    start = net.start.expand(1, x.size(0), 5).contiguous()
    return net.rnn(x, (start, start))[0]


def _in_place(net: Any, x: Any) -> Any:
    y = net.rnn(x)[0]
    z = y[:, -1]
    z.relu_()
    return y


def _by_numbers(net: Any, x: Any) -> Any:
    return net.rnn(x)[0] if x.sum() > 0 else net.other(x)[0]


REFUSED = {
    "an LSTM along the batch": (_on_the_batch, "other (nn.LSTM): lstm.input (the batch is not axis 1"),
    "an own start": (_own_start, "expand (it reads a parameter or a constant)"),
    "the states as they lie": (lambda net, x: net.rnn(x), "what it returns: the states as they lie"),
    "in place": (_in_place, "it works in place on what others read too"),
    "a condition": (_by_numbers, "given (2, 7, 3) float32:"),
    "scaling": (lambda net, x: net.rnn(x)[0] * net.start, "one of the two is a parameter"),
    "one of the batch": (lambda net, x: net.rnn(x)[0][0], "it picks one of the batch"),
    "broadcasting": (lambda net, x: net.rnn(x)[0] + net.rnn(x)[0][:, :1], "the sizes (batch, 7, 5) and (batch, 1, 5)"),
    "every other step": (lambda net, x: net.rnn(x)[0][:, ::2], "it takes every 2th"),
    "steps as samples": (lambda net, x: net.head(net.rnn(x)[0].reshape(-1, 5)), "batch and steps as one axis"),
    "a mean of all": (lambda net, x: net.rnn(x)[0].mean(), "the model (Net): mean"),
    "one batch size": (lambda net, x: net.rnn(x)[0].reshape(2, 35), "reshape (the batch does not stay an axis"),
    "another type": (lambda net, x: net.rnn(x)[0].double(), "it makes the numbers float64"),
    "the type's bits": (lambda net, x: net.rnn(x)[0].view(torch.int32), "view.dtype"),
    "indices": (lambda net, x: net.rnn(x)[0].max(1)[1], "it reads the places of the largest numbers"),
    "approximate": (lambda net, x: nn.functional.gelu(net.rnn(x)[0], approximate="tanh"), "approximate='tanh'"),
    "the statistics of the batch": (
        lambda net, x: nn.functional.batch_norm(net.rnn(x)[0][:, -1], None, None, training=True),
        "it normalises by the batch itself",
    ),
}


@pytest.mark.parametrize(("code", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_said_exactly_is_refused(code: Any, reason: str) -> None:
    with pytest.raises(Unsupported) as refused:
        from_torch(forward(code), example=torch.randn(2, 7, 3))
    assert any(reason in detail for detail in refused.value.details), refused.value


def test_what_the_network_does_not_read_is_left_out() -> None:
    model = from_torch(forward(lambda net, x: net.rnn(x)[0]), example=torch.randn(2, 7, 3))
    assert [layer.name for layer in model.layers] == ["rnn"]
    assert {entry.key.partition(".")[0] for entry in model.left_out} == {"other", "head", "start"}


def test_weights_that_are_computed_are_computed() -> None:
    module = forward(lambda net, x: nn.functional.linear(net.rnn(x)[0], net.head.weight.t() * 2.0)).double()
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    network = from_torch(module, example=x).network
    assert_computes(network, module, (x,), 1e-12)


def test_a_batch_of_one_is_example_enough() -> None:
    module, (x,) = made("last step", torch.float64)
    network = from_torch(module, example=x[:1]).network
    assert_computes(network, module, (x,), 1e-12)
