"""Every real trained file of the folder LSTM_CONVERT_REAL_DIR: its LSTM computes what was recorded, or it is refused.

Most recordings are of the whole model. What stands before and after the LSTM is computed here in a few lines of NumPy
from the file's other arrays, so that the LSTM's own part is what is compared.
"""

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from helpers import Array

import lstm_convert
from lstm_convert import InvalidFile, LstmConvertError, Model, UnknownFormat, Unsupported
from lstm_convert.reference import run

if not os.environ.get("LSTM_CONVERT_REAL_DIR"):
    pytest.skip("LSTM_CONVERT_REAL_DIR names no folder of real models", allow_module_level=True)

REAL = Path(os.environ["LSTM_CONVERT_REAL_DIR"])


def arrays_of(file: Path | io.BytesIO) -> dict[str, Array]:
    """An HDF5 file's arrays but the optimizer's."""
    found: dict[str, Array] = {}
    with h5py.File(file) as opened:
        opened.visititems(lambda name, item: found.__setitem__(name, item[()]) if hasattr(item, "dtype") else None)
    return {name: array for name, array in found.items() if not name.startswith("optimizer")}


@dataclass(frozen=True)
class Source:
    """A real file: its LSTMs as they were read, its other arrays by the end of their names, and what was recorded."""

    path: Path
    model: Model

    @cached_property
    def recorded(self) -> dict[str, Array]:
        with np.load(self.path.with_name(f"{self.path.name}.npz"), allow_pickle=False) as file:
            return dict(file)

    @cached_property
    def arrays(self) -> dict[str, Array]:
        if self.path.suffix == ".keras":
            with zipfile.ZipFile(self.path) as archive:
                return arrays_of(io.BytesIO(archive.read("model.weights.h5")))
        if not h5py.is_hdf5(self.path):
            content = torch.load(self.path, weights_only=True, map_location="cpu")
            return {name: tensor.cpu().numpy() for name, tensor in content.items()}
        return arrays_of(self.path)

    def array(self, *names: str) -> Array:
        """The one array whose path ends in one of some names."""
        [found] = [array for name, array in self.arrays.items() if name.removesuffix(":0").endswith(names)]
        return found


Step = Callable[[Source, Array], Array]


# What stands around an LSTM.


def lstm(name: str = "") -> Step:
    def step(source: Source, x: Array) -> Array:
        return run(source.model[name] if name else source.model.layers[0], x).output

    return step


def masked_lstm(masked_value: float) -> Step:
    """An LSTM behind Masking(masked_value)."""
    return lambda source, x: run(source.model.layers[0], x, mask=(x != masked_value).any(axis=-1)).output


def dense(name: str) -> Step:
    def step(source: Source, x: Array) -> Array:
        kernel = source.array(f"{name}/kernel", f"{name}_W", f"{name}/vars/0")
        return x @ kernel + source.array(f"{name}/bias", f"{name}_b", f"{name}/vars/1")

    return step


def embedding(name: str) -> Step:
    return lambda source, x: np.asarray(source.array(f"{name}/embeddings", f"{name}_W")[x.astype(int)])


def convolution(name: str, *, stride: int = 1) -> Step:
    """Keras's Conv1D with padding "same" and Keras 1's Convolution1D on Theano, which turns the kernel around."""

    def step(source: Source, x: Array) -> Array:
        kernel = source.array(f"{name}/kernel", f"{name}_W")
        bias = source.array(f"{name}/bias", f"{name}_b")
        if kernel.ndim == 4:
            kernel = kernel[::-1, 0]
        else:
            wanted = -(-x.shape[1] // stride) * stride - stride + len(kernel) - x.shape[1]
            x = np.pad(x, [(0, 0), (max(wanted, 0) // 2, max(wanted, 0) - max(wanted, 0) // 2), (0, 0)])
        windows = np.lib.stride_tricks.sliding_window_view(x, len(kernel), axis=1)[:, ::stride]
        return np.asarray(np.einsum("btik,kio->bto", windows, kernel) + bias)

    return step


def pooled(width: int) -> Step:
    return lambda _, x: x[:, : x.shape[1] // width * width].reshape(len(x), -1, width, x.shape[2]).max(axis=2)


def repeated(times: int) -> Step:
    return lambda _, x: np.repeat(x[:, None], times, axis=1)


def flat(_: Source, x: Array) -> Array:
    return x.reshape(len(x), -1)


def relu(_: Source, x: Array) -> Array:
    return np.maximum(x, 0)


def sigmoid(_: Source, x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(_: Source, x: Array) -> Array:
    scaled = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=-1, keepdims=True))


def linear(name: str) -> Step:
    return lambda source, x: x @ source.arrays[f"{name}.weight"].T + source.arrays[f"{name}.bias"]


def chain(*steps: Step, x: str = "x0", y: str = "y0") -> Callable[[Source], Iterator[tuple[str, Array]]]:
    """What the file computes, step by step, and the recording that it must equal."""

    def computed(source: Source) -> Iterator[tuple[str, Array]]:
        value = np.asarray(source.recorded[x], np.float64)
        for step in steps:
            value = step(source, value)
        yield y, value

    return computed


Recipe = Callable[[Source], Iterator[tuple[str, Array]]]


def both(*recipes: Recipe) -> Recipe:
    return lambda source: (pair for recipe in recipes for pair in recipe(source))


def torch_stack(source: Source) -> Iterator[tuple[str, Array]]:
    """nn.LSTM of two layers, then fc(relu(last step)); the last step is recorded too."""
    x = source.recorded["x0"]
    for layer in source.model.layers:
        x = run(layer, x).output
    yield "y1", x[:, -1]
    yield "y0", linear("fc")(source, relu(source, x[:, -1]))


def projected(source: Source) -> Iterator[tuple[str, Array]]:
    result = run(source.model.layers[0], source.recorded["x0"])
    yield from zip(("y0", "y1", "y2"), (result.output, result.h[0][None], result.c[0][None]), strict=True)


def voice_activity(source: Source) -> Iterator[tuple[str, Array]]:
    """512 samples behind 64 of the frame before: spectrum, four convolutions, one LSTM step, a probability."""
    weights = {name: tensor.numpy() for name, tensor in torch.jit.load(source.path).state_dict().items()}
    frames = source.recorded["x0"][:, 0].astype(np.float64)
    before = np.concatenate([np.zeros((1, 64)), frames[:-1, -64:]])
    x = np.pad(np.concatenate([before, frames], axis=1), [(0, 0), (0, 64)], mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(x, 256, axis=1)[:, ::128]
    real, imaginary = np.split(windows @ weights["_model.stft.forward_basis_buffer"][:, 0].T, 2, axis=2)
    x = np.hypot(real, imaginary)
    for number, stride in enumerate((1, 2, 2, 1)):
        name = f"_model.encoder.{number}.reparam_conv"
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, [(0, 0), (1, 1), (0, 0)]), 3, axis=1)[:, ::stride]
        x = np.maximum(np.einsum("btik,oik->bto", windows, weights[f"{name}.weight"]) + weights[f"{name}.bias"], 0)
    h = run(source.model["_model.decoder.rnn"], x.transpose(1, 0, 2)).output[0]
    head = "_model.decoder.decoder.2"
    y = np.maximum(h, 0) @ weights[f"{head}.weight"][0, :, 0] + weights[f"{head}.bias"]
    yield "y0", sigmoid(source, y)[:, None, None]


# What becomes of each file.

MATCHES = "converted and matching"
HARD = "hard_sigmoid: matching in the canonical form and in Keras 3, to PyTorch only by name"
NOT_PLAIN = "relu or masked: matching in the canonical form and in Keras 3, refused to PyTorch"
FOREIGN = "refused: neither Keras nor PyTorch, or no recurrent layer"


@dataclass(frozen=True)
class Outcome:
    """What becomes of a file: what it computes, why it is refused, what the user must say."""

    kind: str
    recipe: Recipe | None = None
    error: type[LstmConvertError] = Unsupported
    reason: str = ""
    config: str | None = None
    recurrent_activation: str | None = None
    tolerance: float = 1e-5


def matches(*steps: Step, **said: str) -> Outcome:
    return Outcome(MATCHES, chain(*steps), **said)  # type: ignore[arg-type]  # only what the user must say


def hard(*steps: Step, **said: str) -> Outcome:
    return Outcome(HARD, chain(*steps), reason="hard_sigmoid", **said)  # type: ignore[arg-type]  # the same


def not_plain(reason: str, *steps: Step) -> Outcome:
    return Outcome(NOT_PLAIN, chain(*steps), reason=reason)


DTLN = both(
    chain(lstm("lstm"), lstm("lstm_1"), dense("dense"), sigmoid),
    chain(lstm("lstm_2"), lstm("lstm_3"), dense("dense_1"), sigmoid, x="x1", y="y1"),
)
CUDNN = Outcome(
    MATCHES,
    both(
        chain(embedding("embedding"), lstm("rnn_1")),
        chain(embedding("embedding"), lstm("rnn_1"), lstm("rnn_2"), y="y1"),
    ),
    tolerance=1e-4,  # so far do torch and TensorFlow, both in float32, lie apart here
)
RELU, RELU_GATES = "candidate and output activation relu", "gate activation relu"
SIMPLE = "KonduitAI+dl4j-test-resources/examples__simple_lstm__simple_lstm_tf_keras_1"
FLATTEN = "KonduitAI+dl4j-test-resources/examples__simple_flatten_lstm__simple_flatten_lstm_tf_keras_2"
ETHNICOLR = "appeler+ethnicolr/ethnicolr__models__"
KONDUIT = "KonduitAI+dl4j-test-resources/"
NAMES = matches(embedding("embedding"), lstm(), dense("dense"), softmax)
NO_LSTM = Outcome(FOREIGN, error=InvalidFile, reason="has no LSTM")
UNKNOWN = Outcome(FOREIGN, error=UnknownFormat, reason="no file of a known kind")

OUTCOMES = {
    "Arumugamda+Stock-Price-Prediction-using-ARIMA/lstm_model.keras": not_plain(RELU, lstm(), dense("layers/dense")),
    "GuitarML+GuitarLSTM/models__ts9_model.h5": matches(
        convolution("conv1d", stride=12), convolution("conv1d_1", stride=12), lstm(), dense("dense")
    ),
    f"{ETHNICOLR}census__lstm__census2000_ln_lstm.h5": NAMES,
    f"{ETHNICOLR}fl_voter_reg__lstm__fl_all_ln_lstm_5_cat_2022.h5": NAMES,
    f"{ETHNICOLR}wiki__lstm__wiki_name_lstm.h5": NAMES,
    "breizhn+DTLN/pretrained_model__DTLN_norm_500h.h5": Outcome(MATCHES, DTLN),
    "breizhn+DTLN/pretrained_model__model.h5": Outcome(MATCHES, DTLN, recurrent_activation="sigmoid"),
    "iamirmasoud+energy_consumption_prediction/models__lstm_model.pt": Outcome(MATCHES, torch_stack),
    "snakers4+silero-vad/src__silero_vad__data__silero_vad.jit": Outcome(MATCHES, voice_activity),
    "faroit+CountNet/models__F-CRNN.h5": hard(
        convolution("convolution1d_1"), relu, pooled(4), convolution("convolution1d_2"), relu, pooled(2),
        convolution("convolution1d_3"), relu, lstm(), pooled(2), flat, dense("dense_1"), softmax,
    ),
    "kootenpv+neural_complete/backend__models__neural_char.h5": hard(lstm(), dense("dense_1"), softmax),
    f"{KONDUIT}examples__functional_lstm__lstm_functional_tf_keras_2.h5": hard(lstm(), dense("outputLayer_a"), softmax),
    f"{FLATTEN}_model.h5": hard(lstm(), dense("dense_1")),
    f"{FLATTEN}_weights.h5": hard(lstm(), dense("dense_1"), config=f"{FLATTEN}_config.json"),
    f"{SIMPLE}_model.h5": hard(lstm(), dense("dense_1")),
    f"{SIMPLE}_weights.h5": hard(lstm(), dense("dense_1"), config=f"{SIMPLE}_config.json"),
    f"{KONDUIT}keras__simple__lstm_tf_model.h5": hard(
        lstm("lstm_1"), lstm("lstm_2"), dense("timedistributeddense_1"), softmax
    ),
    f"{KONDUIT}tfkeras__rnn_126.h5": hard(lstm("lstm_88"), relu, repeated(5), lstm("lstm_89"), relu),
    f"{KONDUIT}tfkeras__rnn_127.h5": hard(lstm("bidirectional_76"), relu, repeated(5), lstm("bidirectional_77"), relu),
    f"{KONDUIT}tfkeras__rnn_220.h5": hard(lstm("lstm_156"), relu, lstm("lstm_157"), relu),
    f"{KONDUIT}tfkeras__rnn_221.h5": hard(lstm("bidirectional_134"), relu, lstm("bidirectional_135"), relu),
    f"{KONDUIT}tfkeras__rnn_7.h5": hard(lstm(), relu),
    f"{KONDUIT}weights__bidirectional_lstm_no_return_sequences_tensorflow_2.h5": hard(lstm()),
    f"{KONDUIT}weights__bidirectional_lstm_no_return_sequences_theano_1.h5": hard(lstm()),
    f"{KONDUIT}weights__bidirectional_lstm_tensorflow_1.h5": hard(lstm()),
    f"{KONDUIT}weights__bidirectional_lstm_theano_2.h5": hard(lstm()),
    f"{KONDUIT}weights__embedding_lstm_tensorflow_1.h5": hard(embedding("embedding_1"), lstm()),
    f"{KONDUIT}weights__embedding_lstm_theano_2.h5": hard(embedding("embedding_1"), lstm()),
    f"{KONDUIT}weights__lstm_tensorflow_1.h5": hard(lstm()),
    f"{KONDUIT}weights__lstm_theano_2.h5": hard(lstm()),
    f"{KONDUIT}examples__masking__masking_two_lstm.h5": not_plain(
        "a mask from 'masking_2' reaches it", masked_lstm(2.0)
    ),
    f"{KONDUIT}tfkeras__rnn_36.h5": not_plain(RELU, lstm("lstm_20"), lstm("lstm_21")),
    f"{KONDUIT}tfkeras__rnn_95.h5": not_plain(
        RELU_GATES, lstm("bidirectional_58"), repeated(5), lstm("bidirectional_59")
    ),
    **{f"{KONDUIT}tfkeras__rnn_{n}.h5": not_plain(RELU, lstm()) for n in (110, 111, 156, 157)},
    **{f"{KONDUIT}tfkeras__rnn_{n}.h5": not_plain(RELU_GATES, lstm()) for n in (22, 116, 117)},
    "forgi86+RNN-adaptation/models__lstm.pt": Outcome(MATCHES, projected),
    "forgi86+RNN-adaptation/models__lstm_retrain.pt": Outcome(MATCHES, projected),
    "minimaxir+textgenrnn/textgenrnn__textgenrnn_weights.hdf5": CUDNN,
    "minimaxir+textgenrnn/weights__hacker_news.hdf5": CUDNN,
    # Simple RNNs.
    f"{KONDUIT}tfkeras__rnn_26.h5": matches(lstm("simple_rnn_12"), relu, repeated(5), lstm("simple_rnn_13"), relu),
    f"{KONDUIT}tfkeras__rnn_48.h5": matches(lstm(), relu),
    f"{KONDUIT}tfkeras__rnn_72.h5": matches(lstm("simple_rnn_32"), relu, lstm("simple_rnn_33"), relu),
    f"{KONDUIT}tfkeras__rnn_75.h5": matches(
        lstm("bidirectional_42"), relu, repeated(5), lstm("bidirectional_43"), relu
    ),
    f"{KONDUIT}tfkeras__rnn_145.h5": matches(lstm(), relu),
    f"{KONDUIT}tfkeras__rnn_217.h5": matches(lstm("bidirectional_130"), relu, lstm("bidirectional_131"), relu),
    **{f"{KONDUIT}tfkeras__rnn_{n}.h5": not_plain("--allow relu", lstm()) for n in (9, 58, 152, 155)},
    f"{KONDUIT}tf1_lstm_cells.npz": NO_LSTM,
    **{
        f"transcranial+keras-js/test__data__layers__recurrent__LSTM.json#recurrent.LSTM.{number}.npz": NO_LSTM
        for number in (0, 2, 4, 5, 8)
    },
    **{
        f"Alec-Wright+Automated-GuitarAmpModelling/Results__{name}__model_best.json": UNKNOWN
        for name in ("ht1-ht11", "ht1-ht13", "muff-muff2")
    },
    "PINTO0309+onnx2tf/make_test_op__ops__LSTM_1layer_fixed.onnx": UNKNOWN,
    "breizhn+DTLN/pretrained_model__model_1.onnx": UNKNOWN,
    **{f"jatinchowdhury18+RTNeural/models__{name}.json": UNKNOWN for name in ("gru", "lstm", "lstm_torch")},
    **{
        f"onnx+onnx/backend__test__node__test_lstm_{name}.onnx": UNKNOWN
        for name in ("defaults", "reverse", "with_peepholes")
    },
    "onnx+tensorflow-onnx/tests__models__lstm__frozen.pb": UNKNOWN,
    "sdatkinson+NeuralAmpModelerCore/example_models__lstm.nam": UNKNOWN,
    "snakers4+silero-vad/src__silero_vad__data__silero_vad_16k_op15.onnx": UNKNOWN,
}  # fmt: skip
COMPUTED = [name for name, outcome in OUTCOMES.items() if outcome.recipe]
NEEDS_TELLING = [name for name, outcome in OUTCOMES.items() if outcome.config or outcome.recurrent_activation]


def loaded(name: str) -> Source:
    outcome = OUTCOMES[name]
    config = REAL / outcome.config if outcome.config else None
    path = REAL / name
    model = lstm_convert.load(path, config=config, recurrent_activation=outcome.recurrent_activation)
    return Source(path, model)


def assert_matches(found: Array, wanted: Array, tolerance: float = 1e-5) -> None:
    """Equal within a share of the largest recorded number."""
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


def assert_computes(outcome: Outcome, source: Source) -> None:
    assert outcome.recipe is not None
    for key, computed in outcome.recipe(source):
        assert_matches(computed, source.recorded[key], outcome.tolerance)


def says_hard_sigmoid(model: Model) -> bool:
    cells = [cell for layer in model.layers for cell in layer.cells.values()]
    return any(activation.name == "hard_sigmoid" for cell in cells for activation in cell.activations().values())


def test_no_file_of_the_folder_is_forgotten() -> None:
    files = {str(path.relative_to(REAL)) for path in REAL.glob("*/*")}
    recordings = {name for name in files if name.removesuffix(".npz").removesuffix(".repo") in files - {name}}
    configs = {outcome.config for outcome in OUTCOMES.values()}
    assert files - recordings - configs == set(OUTCOMES)


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_real_file_ends_as_the_table_says(name: str, tmp_path: Path, record_property: Any) -> None:
    outcome = OUTCOMES[name]
    target = tmp_path / "target.pt"
    said: dict[str, Any] = {"config": REAL / outcome.config if outcome.config else None}
    said["recurrent_activation"] = outcome.recurrent_activation
    if outcome.reason:
        with pytest.raises(outcome.error) as refused:
            lstm_convert.convert(REAL / name, target, lstm_only=True, **said)
        assert outcome.reason in str(refused.value)
        assert not target.exists()
    else:
        done = lstm_convert.convert(REAL / name, target, lstm_only=True, **said)
        assert done.proof.max_abs_difference <= done.proof.tolerance
        torch.load(target, weights_only=True)
    if outcome.kind == HARD:
        lstm_convert.convert(REAL / name, target, allow=["hard_sigmoid"], lstm_only=True, **said)
    if outcome.kind in (HARD, NOT_PLAIN):
        for ending in (".npz", ".keras"):
            done = lstm_convert.convert(REAL / name, tmp_path / f"target{ending}", lstm_only=True, **said)
            assert_computes(outcome, Source(REAL / name, lstm_convert.load(done.target)))
            assert ("scaled by 6/5" in "\n".join(done.usage)) == (ending == ".keras" and says_hard_sigmoid(done.source))
    record_property("real file", outcome.kind)


@pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated:DeprecationWarning")  # one real file is TorchScript
@pytest.mark.parametrize("name", COMPUTED)
def test_the_lstm_of_a_real_file_computes_what_was_recorded(name: str) -> None:
    assert_computes(OUTCOMES[name], loaded(name))


@pytest.mark.parametrize("name", [name for name in COMPUTED if (REAL / f"{name}.repo.npz").exists()])
def test_it_is_what_the_repository_itself_recorded_too(name: str) -> None:
    source = loaded(name)
    with np.load(REAL / f"{name}.repo.npz", allow_pickle=False) as file:
        source.__dict__["recorded"] = dict(file)
    assert_computes(OUTCOMES[name], source)


def test_the_last_recurrent_layer_inside_a_model_matches_too() -> None:
    source = loaded("faroit+CountNet/models__F-CRNN.h5")
    steps = (convolution("convolution1d_1"), relu, pooled(4), convolution("convolution1d_2"), relu, pooled(2))
    [(key, computed)] = chain(*steps, convolution("convolution1d_3"), relu, lstm(), y="y1")(source)
    assert_matches(computed, source.recorded[key])


@pytest.mark.parametrize("name", NEEDS_TELLING)
def test_weights_alone_of_unknown_age_are_refused_until_told(name: str) -> None:
    with pytest.raises(Unsupported, match="versions of Keras differ"):
        lstm_convert.load(REAL / name)


@pytest.mark.parametrize("name", NEEDS_TELLING)
def test_told_the_other_activation_it_computes_something_else(name: str) -> None:
    wrong = "hard_sigmoid" if OUTCOMES[name].kind == MATCHES else "sigmoid"
    source = Source(REAL / name, lstm_convert.load(REAL / name, recurrent_activation=wrong))
    assert any(
        np.abs(computed - source.recorded[key]).max() > 1e-3 * np.abs(source.recorded[key]).max()
        for key, computed in OUTCOMES[name].recipe(source)  # type: ignore[misc]  # those told something have one
    )
