"""Imports torchvision, which two peers import and need nothing of, also where it is built for another PyTorch."""

import sys

import torch

try:
    import torchvision
except RuntimeError:  # operator torchvision::nms does not exist
    for name in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision  # noqa: F401
