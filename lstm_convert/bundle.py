"""A recurrent cell as a file has it: the border between adapters, who know names, and the table, who knows gates."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Bundle:
    """One cell's arrays under its framework's own names, and what the framework calls its options.

    Args:
        layout: the name of the row that says which gate lies where.
        arrays: `kernel`, `weight_ih`, `W_i` … as the framework names them within one cell.
        options: `recurrent_activation` and the like, where the file or the user states them: an activation's name, the
            activation itself, a number.
        keys: where each array was found, or is to be put, in the file.
    """

    layout: str
    arrays: Mapping[str, NDArray[Any]]
    options: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
