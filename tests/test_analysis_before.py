"""What stands before the recurrent layers: tokens, masks and windows in, lags at what the layers read out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import FIXTURES
from networks import chain, dense, embedding, layer, lstm, words

import lstm_convert
from lstm_convert.analysis.before import Data, data_of
from lstm_convert.analysis.comparing import compare
from lstm_convert.analysis.engine import Analysis, analyze
from lstm_convert.analysis.outputs import readout_of
from lstm_convert.analysis.readout import outputs_of
from lstm_convert.analysis.replay import Replay
from lstm_convert.analysis.stacks import stack_of
from lstm_convert.analysis.traces import trace
from lstm_convert.canonical import Activation, Input, Model, Network
from lstm_convert.errors import LayoutMismatch
from lstm_convert.network.reference import run_network

MODELS = FIXTURES / "models"


def recorded(case: str) -> tuple[Model, Any]:
    path = MODELS / f"keras-3.15.1/{case}"
    return lstm_convert.load(path.with_suffix(".keras")), np.load(path.with_suffix(".expected.npz"))


def model_of(network: Network, **options: Any) -> Model:
    """The model of a network, its recurrent layers as a file would tell them."""
    layers = tuple(replace(each, **options) for each in network.recurrent)
    return Model(layers, network=network.with_recurrent(layers))


def said(found: Analysis, topic: str) -> str:
    return " ".join(sentence.text for sentence in found.sentences if sentence.topic == topic)


@pytest.mark.parametrize("case", ["text", "gru_text", "masked_average"])
def test_histories_are_swapped_with_their_padding(case: str) -> None:
    """Whole rows of the model's own input, cut and joined, run by the reference of the whole network with its masks."""
    model, seen = recorded(case)
    raw, stack, others = seen["x0"], stack_of(model), np.array([1, 2, 3, 0])
    assert model.network is not None
    given = data_of(model, stack, raw, "model").read(slice(None))
    assert given.counts is not None
    assert not given.counts.all()
    replay = Replay.of(stack, given.x, readout_of(model, stack, 7).readout, mask=given.counts)
    assert replay.counts is not None
    np.testing.assert_allclose(replay.y, seen["y0"], rtol=0, atol=2e-6)
    for time in (1, 3, 6):
        whole = np.concatenate([raw[others, :time], raw[:, time:]], axis=1)
        wanted = run_network(model.network, [whole])[0]
        found = replay.resumed(time, others, replay.x[time:], replay.counts[time:])
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    raw_other = raw.copy()
    raw_other[:, 2] = raw[others, 2]
    found = replay.replaced(2, replay.x[2][others], replay.counts[2][others])
    np.testing.assert_allclose(found, run_network(model.network, [raw_other])[0], rtol=0, atol=1e-12)


def tokens(count: int, steps: int, vocabulary: int = 11, padded: int = 0) -> Any:
    found = np.random.default_rng(0).integers(1, vocabulary, (count, steps))
    found[:, :padded] = 0
    return found


@pytest.fixture(scope="module")
def of_tokens() -> Analysis:
    model, _ = recorded("text")
    return analyze(model, tokens(40, 7, vocabulary=4, padded=2), name="text")


def test_tokens_are_analyzed_with_lags_at_their_own_steps(of_tokens: Analysis) -> None:
    """The first two of seven steps are masked padding: nothing of lag 5 and 6 can matter, whatever measures it."""
    assert "the data is the model's own input, of which embedding, spatial make what both reads" in said(
        of_tokens, "data"
    )
    assert "29% of the steps of your data are masked" in said(of_tokens, "data")
    lags = of_tokens.tables["lags"]
    assert sorted({row["lag"] for row in lags.rows(method="resample")}) == list(range(7))
    for method in ("resample", "occlusion", "integrated_gradients"):
        values = {row["lag"]: row["value"] for row in lags.rows(method=method, output="*", feature="*")}
        assert values[5] == values[6] == 0.0
        assert values[0] > 0
    swapped = {row["lag"]: row["value"] for row in lags.rows(method="history_swap", output="*")}
    assert swapped[5] == 0.0 < swapped[4]


def test_a_swapped_step_is_that_of_the_tokens_themselves() -> None:
    """What a resampled step of the embedding matters is what the token matters, in closed form over all pairs."""
    layers = embedding("embedding", 11, 3, mask_zero=False), lstm("lstm", 3, 4, return_sequences=False)
    network = chain(words(5), *layers, dense("head", 1, 4))
    model, raw = model_of(network), tokens(60, 5)
    stack = stack_of(model)
    given = data_of(model, stack, raw).read(slice(None))
    others = np.roll(np.arange(60), 1)
    mixed = raw.copy()
    mixed[:, 1] = raw[others, 1]
    replay = Replay.of(stack, given.x, readout_of(model, stack, 5).readout)
    np.testing.assert_allclose(
        replay.replaced(1, replay.x[1][others]), run_network(network, [mixed])[0], rtol=0, atol=1e-12
    )


def test_a_word_that_is_in_no_vocabulary_is_refused_by_its_layer() -> None:
    model, _ = recorded("text")
    with pytest.raises(LayoutMismatch, match="embedding"):
        analyze(model, tokens(4, 7, vocabulary=99))


def test_numbers_that_are_no_words_are_refused() -> None:
    model, _ = recorded("text")
    with pytest.raises(LayoutMismatch, match="expected words' numbers, whole ones"):
        analyze(model, tokens(4, 7) + 0.5)


@pytest.mark.parametrize(("strides", "padding", "made"), [
    (1, "causal", "stands for the same step of the data, but is made of others too"),
    (2, "valid", "steps of the data do not stay steps; lags count the steps that lstm reads"),
])  # fmt: skip
def test_a_window_before_is_said_and_its_steps_are_those_of_the_layer(strides: int, padding: str, made: str) -> None:
    conv = layer("conv", "conv", rank=1, strides=(strides,), padding=padding, dilation=(1,), groups=1, channels="last",
                 activation=Activation("relu"), kernel=np.random.default_rng(1).normal(size=(4, 3, 2)),
                 bias=np.zeros(4))  # fmt: skip
    network = chain(Input("x", (9, 3)), conv, lstm("lstm", 4, 5, return_sequences=False), dense("head", 1, 5))
    raw = np.random.default_rng(2).normal(size=(30, 9, 3))
    found = analyze(model_of(network), raw)
    assert made in said(found, "data")
    steps = 9 if padding == "causal" else 4
    assert {row["lag"] for row in found.tables["lags"].rows(method="occlusion")} == set(range(steps))
    assert found.metadata["steps"] == steps


def widths(width: int) -> Model:
    network = chain(Input("x", (None, 3)), dense("each", width, 3), lstm("lstm", width, 4, return_sequences=False),
                    dense("head", 1, 4))  # fmt: skip
    return model_of(network)


def test_data_is_what_its_shape_says_and_else_what_it_is_said_to_be() -> None:
    rng = np.random.default_rng(3)
    wide = widths(5)
    assert data_of(wide, stack_of(wide), rng.normal(size=(4, 6, 3))).network is not None
    assert data_of(wide, stack_of(wide), rng.normal(size=(4, 6, 5))).network is None
    with pytest.raises(
        LayoutMismatch, match=r"input x, \(sequences, any, 3\), or what lstm reads, \(sequences, steps, 5\)"
    ):
        data_of(wide, stack_of(wide), rng.normal(size=(4, 6, 4)))
    same, data = widths(3), rng.normal(size=(4, 6, 3))
    with pytest.raises(LayoutMismatch, match="--data-is model or --data-is layer"):
        data_of(same, stack_of(same), data)
    own, read = (data_of(same, stack_of(same), data, each).read(slice(None)) for each in ("model", "layer"))
    assert same.network is not None
    kernel, bias = (np.asarray(same.network.layers["each"].arrays[name], np.float64) for name in ("kernel", "bias"))
    np.testing.assert_allclose(own.x, data @ kernel.T + bias, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(read.x, data)


def test_what_a_masking_layer_hands_on_is_never_ambiguous() -> None:
    model, seen = (
        recorded("masked_steps") if (MODELS / "keras-3.15.1/masked_steps.keras").exists() else recorded("gru_masked")
    )
    data = data_of(model, stack_of(model, model.layers[0].name), seen["x0"])
    assert data.network is not None


def test_a_state_dict_tells_no_network_so_data_is_what_the_layer_reads() -> None:
    model = lstm_convert.load(FIXTURES / "torch-2.13/plain.pt")
    stack = stack_of(model, model.layers[0].name)
    assert data_of(model, stack, np.ones((2, 4, stack.inputs))).network is None
    with pytest.raises(LayoutMismatch, match="not known what stands between"):
        data_of(model, stack, np.ones((2, 4, stack.inputs)), "model")


def in_other_frameworks(version: str, tmp_path: Path) -> list[Model]:
    """One model of tokens, its rest pooling over all steps: its own file, one of Keras 3, and a module of torch."""
    source = lstm_convert.load(MODELS / f"{version}/text_nomask.h5")
    lstm_convert.save(source, tmp_path / "text.keras")
    models = [source, lstm_convert.load(tmp_path / "text.keras")]
    if version != "keras-1.2.2":  # whose hard gates are no module of torch's own
        module = lstm_convert.to_torch(source)
        models.append(lstm_convert.from_torch(module, example=torch.tensor(tokens(2, 7))))
    return models


@pytest.mark.parametrize("version", ["keras-1.2.2", "keras-3.15.1"])
def test_whole_models_give_the_same_tables_from_other_frameworks(version: str, tmp_path: Path) -> None:
    first, *others = (analyze(model, tokens(30, 7)).tables for model in in_other_frameworks(version, tmp_path))
    scaled = {"gates", "units"} if version == "keras-1.2.2" else set()  # so that Keras 3's hard gates do the same
    for name in {"gates", "units", "lags", "disagreement"} - scaled:
        for other in others:
            assert len(first[name]) == len(other[name]) > 0
            for column in set(first[name].columns) - {"layer"}:
                pairs = zip(first[name][column], other[name][column], strict=True)
                assert [
                    (a, b) for a, b in pairs if a != (pytest.approx(b, abs=1e-7) if isinstance(b, float) else b)
                ] == []


def test_models_are_compared_on_their_own_input(tmp_path: Path) -> None:
    first, *others = in_other_frameworks("keras-3.15.1", tmp_path)
    for other in others:
        assert compare(first, other, tokens(12, 7)).same


def test_batches_are_read_as_all_at_once() -> None:
    model, _ = recorded("text")
    data = data_of(model, stack_of(model), tokens(9, 7, vocabulary=4, padded=1))
    whole, part = data.read(slice(None)), data.read(np.array([2, 5]))
    np.testing.assert_array_equal(whole.x[[2, 5]], part.x)
    assert isinstance(data, Data)
    assert outputs_of(readout_of(model, stack_of(model), 7).readout,
                      trace(stack_of(model), part.x, mask=part.counts)).shape == (2, 2)  # fmt: skip
