"""Every activation that torch has no plain function for, in torch; read as text, never imported.

Names in capitals stand for the numbers of an activation. They are those of lstm_convert/activations.py.
"""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (so does everybody)

ALPHA = SCALE = SLOPE = OFFSET = THRESHOLD = VALUE = B = 1.0


def hard_sigmoid(x: Tensor) -> Tensor:
    """Keras 1 and 2 have the slope 0.2, Keras 3 and torch's own hardsigmoid 1/6."""
    return (SLOPE * x + OFFSET).clamp(0.0, 1.0)


def leaky_relu(x: Tensor) -> Tensor:
    """Let x through above zero, and SLOPE times x below."""
    return torch.where(x > 0, x, SLOPE * x)


def elu(x: Tensor) -> Tensor:
    """Let x through above zero, and ALPHA (exp(x) - 1) below."""
    return F.elu(x, ALPHA)


def celu(x: Tensor) -> Tensor:
    """Let x through above zero, and ALPHA (exp(x / ALPHA) - 1) below."""
    return F.celu(x, ALPHA)


def selu(x: Tensor) -> Tensor:
    """As elu, and what comes of it scaled."""
    return SCALE * F.elu(x, ALPHA)


def hard_silu(x: Tensor) -> Tensor:
    """Weigh x with the hard sigmoid of slope 1/6."""
    return x * (x / 6.0 + 0.5).clamp(0.0, 1.0)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)); torch's own threshold of 20 is not exact in float64."""
    return F.softplus(x, 1.0, 40.0)


def mish(x: Tensor) -> Tensor:
    """Weigh x with tanh(softplus(x))."""
    return x * torch.tanh(F.softplus(x, 1.0, 40.0))


def squareplus(x: Tensor) -> Tensor:
    """(x + sqrt(x^2 + B)) / 2."""
    return (x + torch.sqrt(x * x + B)) / 2.0


def sparse_plus(x: Tensor) -> Tensor:
    """Zero up to -1, x from 1 on, a parabola between."""
    middle = 0.25 * (x + 1.0) ** 2
    return torch.where(x <= -1.0, torch.zeros_like(x), torch.where(x < 1.0, middle, x))


def sparse_sigmoid(x: Tensor) -> Tensor:
    """A straight line from 0 at -1 to 1 at 1."""
    return (0.5 * (x + 1.0)).clamp(0.0, 1.0)


def hard_tanh(x: Tensor) -> Tensor:
    """Clip x to -1 and 1."""
    return x.clamp(-1.0, 1.0)


def tanh_shrink(x: Tensor) -> Tensor:
    """Leave of x what tanh does not."""
    return x - torch.tanh(x)


def hard_shrink(x: Tensor) -> Tensor:
    """Let x through where it is further than THRESHOLD from zero."""
    return torch.where(x.abs() > THRESHOLD, x, torch.zeros_like(x))


def soft_shrink(x: Tensor) -> Tensor:
    """Move x by THRESHOLD towards zero, and not across."""
    return torch.sign(x) * torch.relu(x.abs() - THRESHOLD)


def threshold(x: Tensor) -> Tensor:
    """Let x through above THRESHOLD, and VALUE else."""
    return torch.where(x > THRESHOLD, x, torch.full_like(x, VALUE))


def softmax(x: Tensor) -> Tensor:
    """Over the units."""
    return torch.softmax(x, -1)


def log_softmax(x: Tensor) -> Tensor:
    """Over the units."""
    return torch.log_softmax(x, -1)


def sparsemax(x: Tensor) -> Tensor:
    """What Keras calls so; the paper's takes the last of the support's partial sums."""
    descending = torch.sort(x, -1, True)[0]
    counts = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)
    sums = descending.cumsum(-1)
    support = (descending - (sums - 1.0) / counts > 0).to(x.dtype)
    shift = ((support * sums).sum(-1, True) - 1.0) / support.sum(-1, True)
    return torch.relu(x - shift)
