"""--graph: a state dict whose order the user states computes what the module that it came from does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from lstm_convert import LayoutMismatch, Model, Unsupported, cli, load, save
from lstm_convert.frameworks.pytorch.graph_words import WORDS
from lstm_convert.network.reference import run_network

FEATURES, STEPS = 3, 7


class Words(nn.Module):  # type: ignore[misc]  # torch is not followed
    """Words, two layers of both directions, the last states, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(11, 3)
        self.encoder = nn.ModuleDict({"rnn": nn.LSTM(3, 5, num_layers=2, bidirectional=True, batch_first=True)})
        self.norm = nn.BatchNorm1d(10)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2.0)
        self.hidden = nn.Linear(10, 13, bias=False)
        self.head = nn.Linear(13, 2)

    def forward(self, x: Any) -> Any:
        _, (h, _) = self.encoder["rnn"](self.emb(x))
        x = torch.cat([h[-2], h[-1]], -1)
        return self.head(torch.relu(self.hidden(self.norm(x)))).softmax(-1)


class Sequences(nn.Module):  # type: ignore[misc]
    """A GRU and a simple RNN, a normalisation of each step, one slope for all, a shared layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(FEATURES, 5)
        self.gru = nn.GRU(5, 5, batch_first=True, bidirectional=False)
        self.norm = nn.LayerNorm(5)
        self.slope = nn.PReLU()
        self.rnn = nn.RNN(5, 5, batch_first=True)

    def forward(self, x: Any) -> Any:
        x = self.slope(self.norm(self.gru(self.first(x))[0]))
        x, _ = self.rnn(self.rnn(x)[0])
        return torch.tanh(x)


class Steps(nn.Module):  # type: ignore[misc]
    """All steps at once."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(FEATURES, 5, batch_first=True)
        self.head = nn.Linear(5 * STEPS, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x)[0].flatten(1))


class Pooled(nn.Module):  # type: ignore[misc]
    """The last step, the mean and the largest of all steps: one at a time."""

    def __init__(self, way: Callable[[Any], Any]) -> None:
        super().__init__()
        self.way = way
        self.rnn = nn.LSTM(FEATURES, 5, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.way(self.rnn(x)[0]))


MODELS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "words": (Words, "emb,encoder.rnn,last,norm,hidden,relu,head,softmax"),
    "sequences": (Sequences, "first, gru, norm, slope:prelu, rnn, rnn, tanh"),
    "steps": (Steps, "rnn,flatten,head"),
    "last": (lambda: Pooled(lambda y: y[:, -1]), "rnn,dropout,last,head"),
    "mean": (lambda: Pooled(lambda y: y.mean(1)), "rnn,mean,head"),
    "max": (lambda: Pooled(lambda y: y.amax(1)), "rnn,max,head"),
}


def written(module: nn.Module, folder: Path) -> Path:
    path = folder / "net.pt"
    torch.save(module.state_dict(), path)
    return path


def assert_computes(model: Model, module: nn.Module) -> None:
    assert model.network is not None
    assert model.layers == model.network.recurrent
    words = model.network.inputs[0].dtype == "int64"
    x = torch.randint(0, 11, (2, STEPS)) if words else torch.randn(2, STEPS, FEATURES, dtype=torch.float64)
    with torch.no_grad():
        wanted = module.eval()(x).numpy()
    (found,) = run_network(model.network, [x.numpy()])
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1e-12 * np.abs(wanted).max()


@pytest.mark.parametrize(("build", "graph"), MODELS.values(), ids=MODELS)
def test_a_state_dict_in_the_order_stated_computes_what_its_module_does(
    build: Callable[[], nn.Module], graph: str, tmp_path: Path
) -> None:
    module = build().double()
    model = load(written(module, tmp_path), graph=graph)
    assert model.left_out == ()
    assert_computes(model, module)


@pytest.mark.parametrize("wrap", [lambda d: {"state_dict": d, "optimizer": {"state": {"x": torch.zeros(2)}}},
                                  lambda d: {f"module.{key}": tensor for key, tensor in d.items()}],
                         ids=["a checkpoint", "DataParallel"])  # fmt: skip
def test_names_are_those_of_the_module_whatever_wraps_its_state_dict(wrap: Any, tmp_path: Path) -> None:
    module = Words().double()
    torch.save(wrap(module.state_dict()), tmp_path / "net.pt")
    assert_computes(load(tmp_path / "net.pt", graph=MODELS["words"][1]), module)


def test_every_activation_that_may_be_named_is_pytorchs(tmp_path: Path) -> None:
    module = Steps().double()
    activations = [name for name, word in WORDS.items() if word.kind in ("activation", "softmax")]
    assert len(activations) > 10
    x = torch.randn(2, STEPS, FEATURES, dtype=torch.float64)
    for name in activations:
        function = getattr(nn.functional, name)
        model = load(written(module, tmp_path), graph=f"rnn,{name}")
        assert model.network is not None
        with torch.no_grad():
            y = module.rnn(x)[0]
            wanted = (function(y, dim=-1) if "softmax" in name else function(y)).numpy()
        assert np.abs(run_network(model.network, [x.numpy()])[0] - wanted).max() <= 1e-12


def test_what_no_state_dict_says_is_listed_as_assumed(tmp_path: Path) -> None:
    assumed = load(written(Words(), tmp_path), graph="emb,encoder.rnn,last,norm,leaky_relu").assumed
    assert "norm is nn.BatchNorm1d of the features, eps=1e-05, momentum=0.1" in " ".join(assumed)
    assert "leaky_relu has negative_slope=0.01, PyTorch's default" in assumed


def test_what_is_not_named_is_left_out(tmp_path: Path) -> None:
    model = load(written(Words(), tmp_path), graph="emb,encoder.rnn,last")
    assert {entry.key.partition(".")[0] for entry in model.left_out} == {"norm", "hidden", "head"}


def test_without_a_graph_the_recurrent_layers_alone_are_read(tmp_path: Path) -> None:
    model = load(written(Words(), tmp_path))
    assert model.network is None
    assert {entry.key.partition(".")[0] for entry in model.left_out} == {"emb", "norm", "hidden", "head"}


class Others(nn.Module):  # type: ignore[misc]
    """Modules whose arrays do not say what they are, or not all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.square = nn.Embedding(5, 5)
        self.rnn = nn.LSTM(5, 7, bidirectional=True)
        self.conv = nn.Conv1d(14, 3, 2)
        self.slopes = nn.PReLU()
        self.head = nn.Linear(14, 2)
        self.inner = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
        self.own = nn.ParameterDict({"matrix": torch.zeros(2, 2)})


WRONG = {
    "a name that is none": ("rnn,nothing", "nothing: the state dict has no such module; it has square, rnn, conv"),
    "words or features": ("square,rnn", "2 axes: say which it is, square:embedding or square:dense"),
    "slopes or a norm": ("rnn,slopes", "1 axes: say which it is, slopes:layer_norm or slopes:prelu"),
    "a convolution": ("rnn,conv", "a convolution's stride and padding are in no state dict"),
    "sizes": ("rnn,last,head,rnn", "rnn: expected a sequence, found one row a sample"),
    "widths": ("rnn,head,head", "head: expected 14 features, found 2"),
    "several modules": ("rnn,last,head,inner", "inner: holds modules of its own: name inner.a, inner.b in their order"),
    "arrays of no layer": ("rnn,last,own", "own: found matrix with 2 axes: no layer that is known has such arrays"),
    "another kind": ("rnn,head:prelu", "head: expected the arrays of prelu, found weight with 2"),
    "no kind": ("rnn,head:linear", "head: 'linear' is no kind; expected one of embedding, dense"),
    "a word first": ("relu,rnn", "relu: expected a module first"),
    "an embedding later": ("rnn,square:embedding", "square: expected words, found a sequence"),
    "the last step too late": ("rnn,relu,last", "last: expected right behind the layer of both directions"),
    "a kind of a recurrent layer": ("rnn:dense", "rnn: its arrays are a recurrent layer's, not of dense"),
    "nothing": ("", "the state dict has no such module"),
}  # fmt: skip


@pytest.mark.parametrize(("graph", "reason"), WRONG.values(), ids=WRONG)
def test_a_graph_that_does_not_fit_is_refused_with_the_reason(graph: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(LayoutMismatch) as refused:
        load(written(Others(), tmp_path), graph=graph)
    assert any(reason in detail for detail in refused.value.details), refused.value


def test_all_that_does_not_fit_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(LayoutMismatch) as refused:
        load(written(Others(), tmp_path), graph="square,conv,rnn,nothing,head,head,softmix")
    assert [detail.partition(":")[0] for detail in refused.value.details] == [
        "square", "conv", "nothing", "head", "softmix",
    ]  # fmt: skip


def test_an_open_kind_is_settled_by_the_user(tmp_path: Path) -> None:
    path = written(Others(), tmp_path)
    for kind, dtype in {"embedding": "int64", "dense": "float32"}.items():
        network = load(path, graph=f"square:{kind},rnn").network
        assert network is not None
        assert (network.layers["square"].kind, network.inputs[0].dtype) == (kind, dtype)


@pytest.mark.parametrize("ending", [".keras", ".h5", ".npz", ".lstm.safetensors"])
def test_a_file_that_is_no_state_dict_refuses_a_graph(ending: str, tmp_path: Path) -> None:
    source, target = written(Steps(), tmp_path), tmp_path / f"model{ending}"
    save(load(source), target)
    with pytest.raises(Unsupported, match="--graph: nothing to use it for"):
        load(target, graph="rnn")


def test_the_command_line_takes_a_graph(tmp_path: Path) -> None:
    path = str(written(Steps(), tmp_path))
    runner = CliRunner()
    assert runner.invoke(cli._commands, ["info", path, "--graph", "rnn,flatten,head"]).exit_code == 0  # noqa: SLF001 (no process needed)
    refused = runner.invoke(cli._commands, ["info", path, "--graph", "rnn,tail"])  # noqa: SLF001 (as above)
    assert isinstance(refused.exception, LayoutMismatch)
