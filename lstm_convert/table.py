"""The table: one row for each way in which a framework stores a recurrent cell. Add a row to add a layout.

Read a row from left to right: `gates` in stored order, then each array with its axes. `input (gate unit)` is Keras's
(inputs, 4 * units); `(gate unit) input` is PyTorch's (4 * hidden_size, input_size).
"""

from dataclasses import replace

from lstm_convert.activations import FUNCTIONS, named
from lstm_convert.canonical import Activation, Cell, GRUCell, SimpleRNNCell
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

_RESET_BEFORE, _RESET_AFTER = {"reset_after": False}, {"reset_after": True}

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

KERAS_1_GRU = replace(
    KERAS_1,
    name="keras 1 GRU",
    cell=GRUCell,
    gates="zrh",
    fixed=_RESET_BEFORE,
    source="keras 1.2.2, keras/layers/recurrent.py, GRU.build and GRU.step",
)

KERAS_1_GRU_GPU = replace(
    KERAS_1_GPU,
    name="keras 1 GRU consume_less='gpu'",
    cell=GRUCell,
    gates="zrh",
    fixed=_RESET_BEFORE,
    source=KERAS_1_GRU.source,
)

KERAS_1_SIMPLE = replace(
    KERAS_1,
    name="keras 1 SimpleRNN",
    cell=SimpleRNNCell,
    gates="g",
    kernel=Slot("W", "input unit"),
    recurrent=Slot("U", "state unit"),
    bias=Slot("b", "unit"),
    gate_option="",
    source="keras 1.2.2, keras/layers/recurrent.py, SimpleRNN.build",
)

KERAS_2_GRU = replace(
    KERAS_2,
    name="keras 2 GRU",
    cell=GRUCell,
    gates="zrh",
    fixed=_RESET_BEFORE,
    source="keras 2.15.0, keras/src/layers/rnn/gru.py, GRUCell.build and GRUCell.call",
    checked=("2.2.0", "2.15.0"),
)

KERAS_2_GRU_AFTER = replace(
    KERAS_2_GRU, name="keras 2 GRU reset_after", bias=Slot("bias", "side (gate unit)"), fixed=_RESET_AFTER
)

KERAS_CUDNN_GRU = replace(
    KERAS_CUDNN,
    name="keras CuDNNGRU",
    cell=GRUCell,
    gates="zrh",
    fixed=_RESET_AFTER,
    source="keras 2.15.0, keras/src/layers/rnn/cudnn_gru.py; keras/src/saving/legacy/hdf5_format.py",
)

KERAS_2_SIMPLE = replace(
    KERAS_2,
    name="keras 2 SimpleRNN",
    cell=SimpleRNNCell,
    gates="g",
    kernel=Slot("kernel", "input unit"),
    recurrent=Slot("recurrent_kernel", "state unit"),
    bias=Slot("bias", "unit"),
    gate_option="",
    source="keras 2.15.0, keras/src/layers/rnn/simple_rnn.py, SimpleRNNCell.build",
    checked=("2.2.0", "2.15.0"),
)

KERAS_3_GRU = replace(
    KERAS_2_GRU,
    name="keras 3 GRU",
    activations=_KERAS_3_ACTIVATIONS,
    source="keras 3.15.1, keras/src/layers/rnn/gru.py, GRUCell.build and GRUCell.call",
    checked=("3.15.1",),
)

KERAS_3_GRU_AFTER = replace(
    KERAS_3_GRU, name="keras 3 GRU reset_after", bias=KERAS_2_GRU_AFTER.bias, fixed=_RESET_AFTER
)

KERAS_3_SIMPLE = replace(
    KERAS_2_SIMPLE,
    name="keras 3 SimpleRNN",
    activations=_KERAS_3_ACTIVATIONS,
    source="keras 3.15.1, keras/src/layers/rnn/simple_rnn.py, SimpleRNNCell.build",
    checked=("3.15.1",),
)

PYTORCH_GRU = replace(
    PYTORCH,
    name="pytorch nn.GRU",
    cell=GRUCell,
    gates="rzn",
    projection=None,
    fixed=_RESET_AFTER,
    source="torch 2.13.0, torch/nn/modules/rnn.py, GRU",
)

PYTORCH_GRU_CELL = replace(
    PYTORCH_GRU, name="pytorch nn.GRUCell", key="{array}", source="torch 2.13.0, torch/nn/modules/rnn.py, GRUCell"
)

PYTORCH_RNN = replace(
    PYTORCH,
    name="pytorch nn.RNN",
    cell=SimpleRNNCell,
    gates="g",
    kernel=Slot("weight_ih", "unit input"),
    recurrent=Slot("weight_hh", "unit state"),
    bias=Slot("bias_ih", "unit"),
    recurrent_bias=Slot("bias_hh", "unit"),
    projection=None,
    candidate_option="nonlinearity",
    activations={name: named(name) for name in ("tanh", "relu")},
    source="torch 2.13.0, torch/nn/modules/rnn.py, RNN",
)

PYTORCH_RNN_CELL = replace(
    PYTORCH_RNN, name="pytorch nn.RNNCell", key="{array}", source="torch 2.13.0, torch/nn/modules/rnn.py, RNNCell"
)

LAYOUTS = {
    row.name: row
    for row in (
        *(KERAS_1, KERAS_1_GPU, KERAS_2, KERAS_CUDNN, KERAS_3, KERAS_EXTENDED, PYTORCH, PYTORCH_CELL),
        *(KERAS_1_GRU, KERAS_1_GRU_GPU, KERAS_2_GRU, KERAS_2_GRU_AFTER, KERAS_CUDNN_GRU, KERAS_3_GRU),
        *(KERAS_3_GRU_AFTER, PYTORCH_GRU, PYTORCH_GRU_CELL),
        *(KERAS_1_SIMPLE, KERAS_2_SIMPLE, KERAS_3_SIMPLE, PYTORCH_RNN, PYTORCH_RNN_CELL),
    )
}

# The rows for cells of other kinds that go with the row of an LSTM: those of the same files.
_COUNTERPARTS = {
    KERAS_1.name: (KERAS_1_GRU, KERAS_1_SIMPLE),
    KERAS_1_GPU.name: (KERAS_1_GRU_GPU, KERAS_1_SIMPLE),
    KERAS_2.name: (KERAS_2_GRU, KERAS_2_GRU_AFTER, KERAS_2_SIMPLE),
    KERAS_CUDNN.name: (KERAS_CUDNN_GRU,),
    KERAS_3.name: (KERAS_3_GRU, KERAS_3_GRU_AFTER, KERAS_3_SIMPLE),
    PYTORCH.name: (PYTORCH_GRU, PYTORCH_RNN),
    PYTORCH_CELL.name: (PYTORCH_GRU_CELL, PYTORCH_RNN_CELL),
}


def counterpart(row: Layout, cell: type[Cell], *, reset_after: bool = True) -> Layout:
    """Return the row for a cell of some kind in the files that have an LSTM as a row says.

    Args:
        row: the row of an LSTM.
        cell: the kind of cell.
        reset_after: which of two rows, where a GRU has one for each.
    """
    if row.cell is cell:
        return row
    rows = [other for other in _COUNTERPARTS[row.name] if other.cell is cell]
    return next((other for other in rows if other.fixed.get("reset_after") == reset_after), rows[0])
