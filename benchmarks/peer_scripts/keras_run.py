"""Keras: its torch backend opens a file and saves it again; and any Keras runs what was written for it.

python keras_run.py convert MODEL RESULT.keras
python keras_run.py run RESULT INPUTS.npz OUTPUTS.npz
"""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np

if __name__ == "__main__":
    model = keras.models.load_model(sys.argv[2], compile=False)
    if sys.argv[1] == "convert":
        model.save(sys.argv[3])
    else:
        with np.load(sys.argv[3]) as file:
            np.savez(sys.argv[4], y0=model.predict(file["x0"], verbose=0))
