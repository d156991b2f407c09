"""Whole networks held against each other: on the same inputs, in float64 and in the frameworks that own them.

A difference counts as rounding up to 84 ulp, which is 1e-5 of the outputs' scale in float32: what lies between inputs
and outputs may be larger than both, and its roundings with it.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from lstm_convert.canonical import Array, Network
from lstm_convert.comparison import Measure, Row, Runs, joined
from lstm_convert.errors import LstmConvertError
from lstm_convert.frameworks.running import NetworkEngine, Ran
from lstm_convert.network.inputs import fitting_lengths, network_inputs
from lstm_convert.network.reference import run_network
from lstm_convert.rounding import ulp
from lstm_convert.sides import REFERENCE, Side

WHOLE = "the whole network"
ULPS = 84

_LENGTHS = 2
_BATCH = 3


def differences(a: Side, b: Side) -> Iterator[str]:
    """Yield what tells two networks apart before any number is compared."""
    one, other = a.model.network, b.model.network
    if one is None or other is None:
        return
    if [len(given.shape) for given in one.inputs] != [len(given.shape) for given in other.inputs]:
        shapes = [", ".join(f"{given.name} {given.shape}" for given in side.inputs) for side in (one, other)]
        yield f"A reads {shapes[0]}, B reads {shapes[1]}"
    if len(one.outputs) != len(other.outputs):
        yield f"A returns {len(one.outputs)} arrays, B {len(other.outputs)}"


def rows(a: Side, b: Side, seed: int) -> Iterator[Row]:
    """Yield the rows of two networks: the references, then the frameworks, at each length.

    Where one side is no whole network, there are none; a note says so.

    Args:
        a: one of them.
        b: the other.
        seed: of the inputs.
    """
    if a.model.network is None or b.model.network is None:
        for side, other in ((a, b), (b, a)):
            if side.model.network is None and other.model.network is not None:
                side.note("is no whole network; its layers are compared alone")
        return
    engines = [side.network_engine() for side in (a, b)]
    for length in islice(fitting_lengths(a.model.network), _LENGTHS):
        inputs = network_inputs(a.model.network, seed=seed, batch=_BATCH, time=length)
        runs: Runs = (
            _runs(a, a.model.network, engines[0], inputs),
            _runs(b, b.model.network, engines[1], inputs),
        )
        size = float(np.sqrt(max(np.mean(np.square(array, dtype=np.float64)) for array in inputs)))
        steps = max((array.shape[1] for array in inputs if array.ndim > 1), default=1)
        yield from joined(WHOLE, Measure(steps, size, _tolerance), [runs])


def _tolerance(dtype: str, scale: float) -> float:
    return ULPS * ulp(dtype, scale)


def _runs(side: Side, network: Network, engine: NetworkEngine | None, inputs: Sequence[Array]) -> dict[str, Ran]:
    """Return what a network computes, by who did: the reference first, then its framework where it ran."""
    dtype = next((gates[0].dtype.name for _, gates in side.model.arrays()), "float32")
    found = {REFERENCE: Ran(tuple(run_network(network, inputs)), (), (), dtype)}
    if engine is not None:
        try:
            found[engine.name] = Ran(tuple(engine.run(inputs)), (), (), engine.dtype)
        except LstmConvertError as error:
            side.note(f"the whole network was not run by a framework: {error.what}")
    return found
