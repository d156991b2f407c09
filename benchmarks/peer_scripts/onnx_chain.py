"""tf2onnx and onnx2pytorch, with what it takes to bring them together.

python onnx_chain.py convert MODEL RESULT.onnx
python onnx_chain.py run RESULT.onnx INPUTS.npz OUTPUTS.npz

tf2onnx states an LSTM's default activations, onnx2pytorch refuses stated ones; so those that are the defaults are taken
out.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np
import onnx
import with_torchvision  # noqa: F401
from onnx2pytorch import ConvertModel
from torch_run import run

DEFAULTS = {"LSTM": [b"Sigmoid", b"Tanh", b"Tanh"], "GRU": [b"Sigmoid", b"Tanh"], "RNN": [b"Tanh"]}


def convert(source, result):
    """Write a Keras model as ONNX, and see that onnx2pytorch takes it."""
    import keras

    model = keras.models.load_model(source, compile=False)
    if keras.__version__ < "3":
        import tf2onnx

        tf2onnx.convert.from_keras(model, opset=15, output_path=result)
    else:
        model(
            *[np.zeros([size or 1 for size in given.shape], given.dtype) for given in model.inputs]
        )  # it asks for that
        model.export(result, format="onnx", verbose=False)
    made = onnx.load(result)
    without_defaults(made.graph)
    onnx.save(made, result)
    ConvertModel(made)


def without_defaults(graph):
    """Take activations that are the defaults out of a graph."""
    for node in graph.node:
        for attribute in list(node.attribute):
            stated = list(attribute.strings) if attribute.name == "activations" else []
            if stated and stated in (DEFAULTS[node.op_type], 2 * DEFAULTS[node.op_type]):
                node.attribute.remove(attribute)


if __name__ == "__main__":
    if sys.argv[1] == "convert":
        convert(*sys.argv[2:])
    else:
        run(ConvertModel(onnx.load(sys.argv[2])).eval(), *sys.argv[3:])
