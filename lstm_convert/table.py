"""The table: one row for each way in which a framework stores an LSTM cell. Add a row to add a layout.

Read a row from left to right: `gates` in stored order, then each array with its axes. `input (gate unit)` is Keras's
(inputs, 4 * units); `(gate unit) input` is PyTorch's (4 * hidden_size, input_size).
"""

from dataclasses import replace

from lstm_convert.activations import FUNCTIONS, named
from lstm_convert.canonical import Activation
from lstm_convert.layout import Layout, Slot

# What each generation of Keras means by the name of an activation. hard_sigmoid is clip(slope * x + offset, 0, 1) with
# two slopes under one name. Source: keras 1.2.2 and 2.3.1, keras/activations.py; keras 2.15.0, keras/src/activations.py
# and backend.py; keras 3.15.1, keras/src/activations/__init__.py and keras/src/backend/*/nn.py
_KERAS_1_NAMES = ("sigmoid", "tanh", "relu", "linear", "softmax", "softplus", "softsign", "elu")
_KERAS_2_NAMES = (
    *_KERAS_1_NAMES, "selu", "exponential", "gelu", "mish", "leaky_relu", "relu6", "silu", "log_softmax",
)  # fmt: skip
_KERAS_3_NAMES = (
    *_KERAS_2_NAMES, "celu", "squareplus", "soft_shrink", "sparse_plus", "tanh_shrink", "sparse_sigmoid", "hard_silu",
    "hard_tanh", "hard_shrink", "log_sigmoid", "sparsemax",
)  # fmt: skip
_KERAS_1_ACTIVATIONS = {
    **{name: named(name) for name in _KERAS_1_NAMES},
    "hard_sigmoid": Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5}),
}
_KERAS_2_ACTIVATIONS = {
    **_KERAS_1_ACTIVATIONS,
    **{name: named(name) for name in _KERAS_2_NAMES},
    "swish": named("silu"),
    # The names of activation layers were taken for those of functions.
    "ELU": named("elu"),
    "LeakyReLU": Activation("leaky_relu", {"slope": 0.3}),
    "ReLU": named("relu"),
    "Softmax": named("softmax"),
    "ThresholdedReLU": named("threshold"),
}
_KERAS_3_ACTIVATIONS = {
    **{name: named(name) for name in _KERAS_3_NAMES},
    "hard_sigmoid": Activation("hard_sigmoid", {"slope": 1 / 6, "offset": 0.5}),
    "swish": named("silu"),
    "hard_swish": named("hard_silu"),
}

KERAS_1 = Layout(
    name="keras 1",
    framework="keras",
    gates="icfo",
    kernel=Slot("W_{gate}", "input unit"),
    recurrent=Slot("U_{gate}", "state unit"),
    bias=Slot("b_{gate}", "unit"),
    gate_option="inner_activation",
    candidate_option="activation",
    activations=_KERAS_1_ACTIVATIONS,
    source="keras 1.2.2, keras/layers/recurrent.py, LSTM.build",
    checked=("1.2.2",),
)

KERAS_1_GPU = replace(
    KERAS_1,
    name="keras 1 consume_less='gpu'",
    gates="ifco",
    kernel=Slot("W", "input (gate unit)"),
    recurrent=Slot("U", "state (gate unit)"),
    bias=Slot("b", "(gate unit)"),
)

KERAS_2 = Layout(
    name="keras 2",
    framework="keras",
    gates="ifco",
    kernel=Slot("kernel", "input (gate unit)"),
    recurrent=Slot("recurrent_kernel", "state (gate unit)"),
    bias=Slot("bias", "(gate unit)"),
    gate_option="recurrent_activation",
    candidate_option="activation",
    activations=_KERAS_2_ACTIVATIONS,
    source="keras 2.15.0, keras/src/layers/rnn/lstm.py, LSTMCell.build",
    checked=("2.2.0", "2.3.1", "2.12.0", "2.13.1", "2.14.0", "2.15.0"),
)

KERAS_CUDNN = replace(
    KERAS_2,
    name="keras CuDNNLSTM",
    kernel=Slot("kernel", "input (gate unit)", byte_transposed=True),
    recurrent=Slot("recurrent_kernel", "state (gate unit)", byte_transposed=True),
    bias=Slot("bias", "(side gate unit)"),
    gate_option="",
    candidate_option="",
    activations={},
    source="keras 2.15.0, keras/src/layers/rnn/cudnn_lstm.py; keras/src/saving/legacy/hdf5_format.py",
    checked=("2.15.0",),
)

KERAS_3 = replace(
    KERAS_2,
    name="keras 3",
    activations=_KERAS_3_ACTIVATIONS,
    source="keras 3.15.1, keras/src/layers/rnn/lstm.py, LSTMCell.build",
    checked=("3.0.5", "3.15.1"),
)

# The layer of our own, for what Keras 3 has none for: in Keras's gate order, which surprises nobody.
KERAS_EXTENDED = replace(
    KERAS_3,
    name="keras 3 ExtendedLSTMCell",
    peephole=Slot("peephole_kernel", "peephole unit"),
    projection=Slot("projection_kernel", "unit projection"),
    output_option="output_activation",
    settings=("gate_clip", "cell_clip", "projection_clip", "coupled"),
    activations={name: named(name) for name in FUNCTIONS},
    states_numbers=True,
    source="lstm_convert/frameworks/keras/lstm_layer.py, ExtendedLSTMCell.build",
    checked=("3.15.1",),
)

PYTORCH = Layout(
    name="pytorch nn.LSTM",
    framework="pytorch",
    gates="ifgo",
    kernel=Slot("weight_ih", "(gate unit) input"),
    recurrent=Slot("weight_hh", "(gate unit) state"),
    bias=Slot("bias_ih", "(gate unit)"),
    recurrent_bias=Slot("bias_hh", "(gate unit)"),
    projection=Slot("weight_hr", "projection unit"),
    key="{array}_l{depth}{direction}",
    directions=("", "_reverse"),
    source="torch 2.13.0, torch/nn/modules/rnn.py, LSTM",
    checked=("2.13.0",),
)

PYTORCH_CELL = replace(
    PYTORCH,
    name="pytorch nn.LSTMCell",
    projection=None,
    key="{array}",
    source="torch 2.13.0, torch/nn/modules/rnn.py, LSTMCell",
)

LAYOUTS = {
    row.name: row
    for row in (KERAS_1, KERAS_1_GPU, KERAS_2, KERAS_CUDNN, KERAS_3, KERAS_EXTENDED, PYTORCH, PYTORCH_CELL)
}
