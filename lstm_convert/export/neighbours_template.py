# mypy: disallow-subclassing-any=False
"""What torch lacks of the layers around recurrent ones; read as text, never imported."""

import torch
from torch import Tensor, nn


def same_padding(size: int, window: int, stride: int, dilation: int) -> list[int]:
    """Return what "same" pads before and after: Keras puts what is uneven after."""
    reach = (window - 1) * dilation
    covered = (size + stride - 1) // stride * stride - stride + reach + 1
    total = max(covered - size, 0)
    return [total // 2, total - total // 2]


class PlacewisePReLU(nn.Module):
    """nn.PReLU with a slope for each place of its input, not for each channel alone."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full(shape, 0.25))

    def forward(self, x: Tensor) -> Tensor:
        """Scale what is below zero."""
        return x.clamp(min=0.0) + self.weight * x.clamp(max=0.0)


class GaussianNoise(nn.Module):
    """Add normal noise in training."""

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, x: Tensor) -> Tensor:
        """Leave x as it is in eval mode."""
        return x + self.deviation * torch.randn_like(x) if self.training else x


class GaussianDropout(nn.Module):
    """Multiply by normal noise around one in training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.deviation = (rate / (1.0 - rate)) ** 0.5

    def forward(self, x: Tensor) -> Tensor:
        """Leave x as it is in eval mode."""
        return x * (1.0 + self.deviation * torch.randn_like(x)) if self.training else x
