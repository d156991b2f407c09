"""The table: one row for each way in which a framework stores an LSTM cell. Add a row to add a layout.

Read a row from left to right: `gates` in stored order, then each array with its axes. `input (gate unit)` is Keras's
(inputs, 4 * units); `(gate unit) input` is PyTorch's (4 * hidden_size, input_size).
"""

from dataclasses import replace

from lstm_convert.layout import Layout, Slot

# hard_sigmoid is clip(slope * x + offset, 0, 1) with two slopes; the name is the same.
# Source: keras 2.15.0 keras/src/backend.py; keras 3.15.1 keras/src/backend/*/nn.py
_HARD_SIGMOID_BEFORE_3 = {"slope": 0.2, "offset": 0.5}
_HARD_SIGMOID_FROM_3 = {"slope": 1 / 6, "offset": 0.5}

KERAS_1 = Layout(
    name="keras 1",
    framework="keras",
    gates="icfo",
    kernel=Slot("W_{gate}", "input unit"),
    recurrent=Slot("U_{gate}", "state unit"),
    bias=Slot("b_{gate}", "unit"),
    gate_option="inner_activation",
    candidate_option="activation",
    hard_sigmoid=_HARD_SIGMOID_BEFORE_3,
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
    hard_sigmoid=_HARD_SIGMOID_BEFORE_3,
    source="keras 2.15.0, keras/src/layers/rnn/lstm.py, LSTMCell.build",
    checked=("2.2.0", "2.3.1", "2.12.0", "2.13.1", "2.14.0", "2.15.0"),
)

KERAS_3 = replace(
    KERAS_2,
    name="keras 3",
    hard_sigmoid=_HARD_SIGMOID_FROM_3,
    source="keras 3.15.1, keras/src/layers/rnn/lstm.py, LSTMCell.build",
    checked=("3.0.5", "3.15.1"),
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

LAYOUTS = {row.name: row for row in (KERAS_1, KERAS_1_GPU, KERAS_2, KERAS_3, PYTORCH, PYTORCH_CELL)}
