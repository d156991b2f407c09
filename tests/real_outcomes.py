"""What becomes of each real trained file: what it computes, or why it is refused, and what the user must say."""

from dataclasses import dataclass

from real_models import (
    Recipe,
    Step,
    both,
    chain,
    convolution,
    dense,
    embedding,
    flat,
    lstm,
    masked_lstm,
    pooled,
    projected,
    relu,
    repeated,
    sigmoid,
    softmax,
    torch_stack,
    voice_activity,
)

from lstm_convert import InvalidFile, LstmConvertError, UnknownFormat, Unsupported

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
