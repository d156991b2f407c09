"""What one layer computes, in NumPy float64: a plain function for each kind of layer but the recurrent ones.

The equations are those of Keras's own layers; arrays have the batch as their first axis.
"""

from lstm_convert.network.operations.compute import compute
from lstm_convert.network.operations.elementwise import differs

__all__ = ["compute", "differs"]
