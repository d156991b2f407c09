"""What becomes of each variant of an LSTM in each kind of file: the writers are asked, nothing is said twice."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.activations import FUNCTIONS, named
from lstm_convert.canonical import LSTM, Activation, Cell, Gates, GRUCell, LSTMCell, Recurrent, SimpleRNNCell
from lstm_convert.formats import FORMATS, Format
from lstm_convert.frameworks import WriteOptions
from lstm_convert.table import KERAS_2

HARD_SIGMOID_OF_OLD = KERAS_2.activations["hard_sigmoid"]

_INPUTS, _UNITS, _PROJECTED = 3, 5, 2


@dataclass(frozen=True)
class Variant:
    """One way in which an LSTM may differ from the plain one, or another cell that is read.

    Args:
        name: what it is.
        layer: an example of it, or None where no file of it is read.
        refused: why none is read.
    """

    name: str
    layer: Recurrent | None
    refused: str = ""


def example(**changes: Any) -> LSTMCell:
    """Return a small cell with random weights, as a variant changes it."""
    random = np.random.default_rng(0)
    outputs = _PROJECTED if "projection" in changes else _UNITS
    plain = {
        "W": Gates(random.normal(size=(4, _UNITS, _INPUTS)) / 4),
        "U": Gates(random.normal(size=(4, _UNITS, outputs)) / 4),
        "b": Gates(random.normal(size=(4, _UNITS)) / 4),
    }
    return LSTMCell(**{**plain, **changes})


def _other_cells() -> Iterator[Variant]:
    """Yield the variants whose cells are no LSTM's."""
    after, before = (GRUCell.of(_random(GRUCell), reset_after=reset_after) for reset_after in (True, False))
    simple = SimpleRNNCell.of(_random(SimpleRNNCell))
    for name, cell in (("GRU, reset after", after), ("GRU, reset before", before), ("simple RNN", simple)):
        plain = Recurrent.of("layer", cell)
        yield Variant(name, plain)
        yield Variant(f"{name}, bidirectional", replace(plain, backward=cell))
        yield Variant(f"{name}, masked", replace(plain, masked_by="masking"))
        if isinstance(cell, GRUCell):
            hard = replace(cell, gate=HARD_SIGMOID_OF_OLD)
            yield Variant(f"{name}, hard_sigmoid gates of Keras 1 and 2", Recurrent.of("layer", hard))
    yield Variant("simple RNN, relu", Recurrent.of("layer", replace(simple, candidate=named("relu"))))
    yield Variant("simple RNN, sigmoid", Recurrent.of("layer", replace(simple, candidate=named("sigmoid"))))


def _random(kind: type[Cell]) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(0)
    gates = len(kind.letters)
    shapes = {"W": (gates, _UNITS, _INPUTS), "U": (gates, _UNITS, _UNITS), "b": (gates, _UNITS)}
    return {name: random.normal(size=shape) / 4 for name, shape in shapes.items()}


def variants() -> tuple[Variant, ...]:
    """Return every variant, each with an example."""
    return tuple(_variants())


def matrix() -> list[dict[str, str]]:
    """Return what becomes of each variant, a row a variant, a column a kind of file that is written."""
    return [
        {"variant": variant.name, **{_column(entry): becomes(variant, entry) for entry in _columns()}}
        for variant in variants()
    ]


def matrix_markdown() -> str:
    """Return the same matrix as a page of Markdown."""
    rows = matrix()
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"""# What becomes of each variant

Made by `lstm-convert formats --matrix`; a test fails where it is out of date. *exact* computes the same; *exact by
scaling* computes the same with other weights; *exact as source* is written as source code; *refused* says why:
`--allow` hands what it names to your own code, `--custom-layer` writes it, exact as source, with a Keras layer of its
own.

{table}
"""


def becomes(variant: Variant, entry: Format) -> str:
    """Return what becomes of a variant in one kind of file: how exact it is, or why it is refused."""
    if variant.layer is None:
        return f"refused: {variant.refused}"
    options = WriteOptions(entry.extensions[0])
    reasons = [reason.partition(": ")[2] for reason in entry.adapter.refusals(variant.layer, options)]
    return f"refused: {'; '.join(dict.fromkeys(reasons))}" if reasons else str(entry.adapter.manner(variant.layer))


def _columns() -> list[Format]:
    """Return one format for each framework that is written; files of one framework hold the same variants."""
    by_framework = {entry.framework: entry for entry in reversed(FORMATS) if entry.extensions}
    return [entry for entry in FORMATS if by_framework.get(entry.framework) is entry]


def _column(entry: Format) -> str:
    alike = [other for other in FORMATS if other.framework == entry.framework]
    return " ".join(dict.fromkeys(extension for other in alike for extension in other.extensions))


def _variants() -> Iterator[Variant]:
    plain = LSTM("lstm", example())
    both = replace(plain, backward=example())
    yield Variant("plain", plain)
    yield Variant("no bias", LSTM("lstm", example(b=None)))
    yield Variant("two biases", LSTM("lstm", example(b_rec=example().b)))
    yield Variant("last step alone", replace(plain, return_sequences=False))
    yield Variant("return_state", replace(plain, return_state=True))
    yield Variant("starts from another layer's states", replace(plain, starts_from="encoder"))
    yield Variant("stateful, batch size known", replace(plain, stateful=True, batch_size=2))
    yield Variant("stateful, batch size unknown", replace(plain, stateful=True))
    yield Variant("go_backwards", replace(plain, go_backwards=True))
    yield Variant("masked", replace(plain, masked_by="masking"))
    yield Variant("masked, zero_output_for_mask", replace(plain, masked_by="masking", zero_output_for_mask=True))
    for merge in ("concat", "sum", "mul", "ave", None):
        yield Variant(f"bidirectional, merge {merge}", replace(both, merge=merge))
    yield Variant("bidirectional, last step alone", replace(both, return_sequences=False))
    yield Variant("bidirectional, forward layer with go_backwards", replace(both, go_backwards=True))
    yield Variant("bidirectional, masked, zeros", replace(both, masked_by="masking", zero_output_for_mask=True))
    yield Variant("bidirectional, masked, repeated", replace(both, masked_by="masking"))
    relu = example(candidate=named("relu"), output=named("relu"))
    yield Variant("bidirectional, another activation backwards", replace(both, backward=relu))
    yield Variant("hard_sigmoid gates of Keras 1 and 2", LSTM("lstm", example(gate=HARD_SIGMOID_OF_OLD)))
    yield Variant("hard_sigmoid gates of Keras 3", LSTM("lstm", example(gate=named("hard_sigmoid"))))
    old_candidate = example(candidate=HARD_SIGMOID_OF_OLD, output=HARD_SIGMOID_OF_OLD)
    yield Variant("hard_sigmoid candidate of Keras 1 and 2", LSTM("lstm", old_candidate))
    for name in FUNCTIONS:
        if name not in ("sigmoid", "hard_sigmoid"):
            yield Variant(f"{name} gates", LSTM("lstm", example(gate=named(name))))
        if name != "tanh":
            yield Variant(
                f"{name} candidate and output", LSTM("lstm", example(candidate=named(name), output=named(name)))
            )
    yield Variant("candidate and output activations differ", LSTM("lstm", example(output=named("relu"))))
    yield Variant("an activation of one's own", LSTM("lstm", example(gate=Activation("my_activation"))))
    projection = np.random.default_rng(1).normal(size=(_PROJECTED, _UNITS))
    yield Variant("projection", LSTM("lstm", example(projection=projection)))
    yield Variant("projection, clipped", LSTM("lstm", example(projection=projection, projection_clip=0.3)))
    yield Variant("peepholes", LSTM("lstm", example(peephole=np.ones((3, _UNITS)) / 4)))
    yield Variant("clipped cell states", LSTM("lstm", example(cell_clip=0.3)))
    yield Variant("clipped gates", LSTM("lstm", example(gate_clip=0.3)))
    yield Variant("coupled input and forget gate", LSTM("lstm", example(coupled=True)))
    yield from _other_cells()
    yield Variant("ConvLSTM", None, "a convolution in every gate, not an LSTM's matrix")
    yield Variant("dynamically quantised", None, "its weights are packed for PyTorch's own kernels")
