"""What `verify` asks of an adapter's module `running`: a framework's own layers, and its own whole network.

Each such module offers `runner(model, path, contents)`, which raises what keeps the framework from running at all, and
returns a function of a layer's number and of whether it returns every step: an `Engine`, or an error that says why not.
Where the framework runs whole networks, `network_engine(model, path, contents)` returns a `NetworkEngine` or raises.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Ran:
    """What a layer returned, in float64 whatever it was computed in.

    Args:
        outputs: as `reference.Run` has them: one array, or one a direction where the two are not merged.
        h: the last output state of each direction.
        c: the last cell state of each direction.
        dtype: the numbers' type that it was computed in.
    """

    outputs: tuple[Array, ...]
    h: tuple[Array, ...]
    c: tuple[Array, ...]
    dtype: str


@dataclass(frozen=True)
class Engine:
    """One layer in its framework, ready to run.

    Args:
        name: the framework and its version.
        rebuilt: why the framework did not open the file itself, so that the layer was made anew with the weights that
            were read; empty where it did.
        run: x, h0, c0 and the mask or None to what came out.
    """

    name: str
    rebuilt: str
    run: Callable[[Array, Sequence[Array], Sequence[Array], Array | None], Ran]


Runner = Callable[[int, bool], Engine]


@dataclass(frozen=True)
class NetworkEngine:
    """A whole network in its framework, ready to run.

    Args:
        name: the framework and its version.
        run: the inputs, in their order, to the outputs, in float64 whatever they were computed in.
        dtype: the numbers' type that it computes in.
    """

    name: str
    run: Callable[[Sequence[Array]], list[Array]]
    dtype: str
