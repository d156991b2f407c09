"""nobuco: a PyTorch module as a Keras 2 model, of any number of steps.

python nobuco_port.py convert WEIGHTS.pt RESULT.h5
"""

import sys

import with_torchvision  # noqa: F401 (before nobuco, which imports it)

# isort: split
import nobuco
import torch
from nobuco import ChannelOrder
from torch_run import loaded

if __name__ == "__main__":
    module = loaded(sys.argv[2])
    recurrent = getattr(module, module.recurrent)
    x = torch.zeros(2, 7, recurrent.input_size)
    model = nobuco.pytorch_to_keras(
        module,
        args=[x],
        input_shapes={x: (None, None, recurrent.input_size)},
        trace_shape=True,
        inputs_channel_order=ChannelOrder.PYTORCH,
        outputs_channel_order=ChannelOrder.PYTORCH,
    )
    model.save(sys.argv[3])
