"""PyTorch's tensors as NumPy arrays and back, bfloat16 too. PyTorch is not imported to read one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def array_of(tensor: Any) -> NDArray[Any]:
    """Return a tensor's numbers in their own type, on the CPU, in memory of their own."""
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        import ml_dtypes  # noqa: PLC0415 (only such tensors need it)

        return np.array(tensor.contiguous().view(_int16()).numpy()).view(ml_dtypes.bfloat16)
    return np.array(tensor.numpy())


def tensor_of(array: NDArray[Any]) -> Any:
    """Return a tensor with an array's numbers, in memory of its own."""
    import torch  # noqa: PLC0415 (who asks for a tensor has it)

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(np.array(array).view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.array(array))


def _int16() -> Any:
    import torch  # noqa: PLC0415 (who holds a tensor has it)

    return torch.int16
