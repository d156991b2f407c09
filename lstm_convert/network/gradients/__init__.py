"""What the operations hand back: of the gradient of what a layer makes, that of what it reads, exactly.

Each is the vector-Jacobian product of the function of the same name in `operations`. Arrays have the batch as their
first axis, and each sample has a gradient of its own. At a corner it is that of the side torch's autograd takes; what
several equal numbers share as their largest is shared out among them evenly.
"""

from lstm_convert.network.gradients.pulled import pulled

__all__ = ["pulled"]
