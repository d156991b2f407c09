"""PyTorch itself: what the module of a state dict computes, and what a module written by lstm_convert does.

python plain_torch.py record WEIGHTS.pt INPUTS.npz OUTPUTS.npz
python plain_torch.py run MODEL.py INPUTS.npz OUTPUTS.npz
"""

import runpy
import sys

from torch_run import loaded, run

if __name__ == "__main__":
    model = loaded(sys.argv[2]) if sys.argv[1] == "record" else runpy.run_path(sys.argv[2])["load"]()
    run(model, *sys.argv[3:])
