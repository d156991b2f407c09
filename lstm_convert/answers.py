"""How answers are said: lines for people, plain values for JSON. Nothing is printed here."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_convert.canonical import LSTM, GRUCell, LeftOut, Model, Recurrent
from lstm_convert.conversion import Conversion
from lstm_convert.network import words as network_words
from lstm_convert.packing import whereabouts
from lstm_convert.proof import Proof
from lstm_convert.sampling import UNITS
from lstm_convert.table import LAYOUTS

if TYPE_CHECKING:
    from lstm_convert.diagnosis.report import Diagnosis


_ROLES = {"gate": "gates", "candidate": "candidate", "output": "output"}


def of_model(source: Path, model: Model) -> Iterator[str]:
    """Yield what a file holds: its layers, where their arrays are, what else there is."""
    yield f"{source}: {_written_by(model)}, {_kinds(model)}"
    for layer in model.layers:
        yield f"\n{layer.name}: {_sentence(layer)}"
        yield from _arrays(layer)
    if model.network is not None and not model.network.is_stack:
        yield "\nthe whole network, which convert ports:"
        yield from (f"  {line}" for line in network_words.lines(model.network))
    if model.not_understood:
        yield "\nnot ported, so that only --lstm-only does:"
        yield from (f"  {reason}" for reason in model.not_understood)
    yield from _notes(model)


def _arrays(layer: Recurrent) -> Iterator[str]:
    """Yield where each canonical array of a layer came from, and which gate lies where in it."""
    for position, (direction, cell) in enumerate(layer.cells.items()):
        one_gate = {
            name: array.shape[1:] for name, array in cell.held().items() if name not in ("projection", "peephole")
        }
        shapes = {name: "x".join(map(str, shape)) for name, shape in one_gate.items()}
        keys = layer.origin.keys[position] if layer.origin and layer.origin.keys else {}
        # A layer that came back from another framework's file keeps its origin's name; its keys are this file's.
        origin = LAYOUTS.get(layer.origin.layout) if layer.origin else None
        known = [row for row in (origin, *LAYOUTS.values()) if row]
        rows = [row for row in known if set(keys) <= set(row.names(projection=True, peephole=True))]
        row = next(iter(rows), None)
        yield f"  {direction}: one gate is " + ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        width = max(map(len, keys.values()), default=0)
        for name, key in keys.items():
            gates = whereabouts(row, name, cell.units) if row else ""
            yield f"    {key:<{width}}  {gates}".rstrip()


def of_conversion(source: Path, done: Conversion) -> Iterator[str]:
    """Yield what a conversion did: how to use the result, what was left out, and the proof."""
    yield f"{source} ({_written_by(done.source)}) -> {done.target} ({done.format})"
    for line in done.usage:
        yield f"  {line}"
    yield from _notes(done.source)
    difference, tolerance = done.proof.max_abs_difference, done.proof.tolerance
    found = f"{difference:.1e}, rounding explains up to {tolerance:.1e}" if difference else "none, to the last bit"
    yield f"proof: read back and run in float64 over {_ran(done.proof)}; difference: {found}"


def _ran(proof: Proof) -> str:
    """Return how many steps were run, and what was compared where a model is too large to be run whole."""
    ran = f"{proof.steps} steps"
    if proof.sampled:
        ran += f", {UNITS} units of {_count(proof.sampled, 'large layer')}"
    if proof.compared:
        others = "" if proof.same == proof.compared else ", the others rounded"
        ran += f"; {proof.compared:,} numbers compared, {proof.same:,} the same bit for bit{others}"
    return ran


def of_diagnosis(found: "Diagnosis") -> Iterator[str]:
    """Yield the mistakes that were found, a line each."""
    if found.same:
        yield "the same: both compute the same, up to rounding"
    for mistake in found.mistakes:
        place = " ".join(filter(None, (mistake.layer, mistake.direction)))
        left = "not comparable" if mistake.residual is None else f"{mistake.residual:.1e}"
        left = f"{'difference' if mistake.name == 'unrelated' else 'left once undone'}: {left}"
        yield f"{mistake.name}{f' in {place}' if place else ''}: {mistake.detail} ({left})"


def _notes(model: Model) -> Iterator[str]:
    for sentence in model.notes:
        yield f"note: {sentence}"
    for sentence in model.assumed:
        yield f"assumed: {sentence}"
    if left_out := _left_out(model):
        what = "part of no layer" if model.network else "part of no recurrent layer"
        yield f"left out, {what}: {_count(len(left_out), 'array')}"
    for line in _left_out_lines(left_out):
        yield f"  {line}"


def _left_out(model: Model) -> tuple[LeftOut, ...]:
    """Return what is left out of a model: beside its network no weight is."""
    if model.network is None:
        return model.left_out
    return tuple(entry for entry in model.left_out if entry.purpose != "weight")


def _left_out_lines(left_out: tuple[LeftOut, ...]) -> Iterator[str]:
    """Yield a line for each weight left out, and one for all the rest of each purpose."""
    for entry in left_out:
        if entry.purpose == "weight":
            yield f"{entry.key} {entry.shape} {entry.dtype}"
    for purpose in dict.fromkeys(entry.purpose for entry in left_out if entry.purpose != "weight"):
        yield f"{purpose}: {_count(sum(entry.purpose == purpose for entry in left_out), 'array')}"


def _written_by(model: Model) -> str:
    source = model.provenance
    return f"{' '.join(filter(None, (source.framework, source.version)))}, {source.format}"


def _sentence(layer: Recurrent) -> str:
    cell = layer.forward
    kind = "" if isinstance(layer, LSTM) else f"{layer.kind}, "
    kind += "bidirectional, " if layer.backward else ""
    returns = "every step" if layer.return_sequences else "the last step"
    follows = f", reads {layer.follows}" if layer.follows else ""
    sizes = f"{kind}{cell.inputs} inputs, {cell.units} units, {cell.W.dtype.name}"
    activations = ", ".join(f"{_ROLES[role]} {activation}" for role, activation in cell.activations().items())
    if isinstance(cell, GRUCell):
        activations += f", reset {'after' if cell.reset_after else 'before'}"
    return f"{sizes}; {activations}; returns {returns}{follows}"


def _kinds(model: Model) -> str:
    """Return how many layers there are of each kind."""
    numbers = Counter(layer.kind for layer in model.layers)
    return ", ".join(_count(number, f"{kind} layer") for kind, number in numbers.items())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def model_facts(model: Model) -> dict[str, Any]:
    """Return what is known of a model, as plain values."""
    return {
        "provenance": asdict(model.provenance),
        "layers": [_layer_facts(layer) for layer in model.layers],
        "network": network_words.facts(model.network) if model.network else None,
        "not_understood": list(model.not_understood),
        "left_out": [asdict(entry) for entry in _left_out(model)],
        "assumed": list(model.assumed),
        "notes": list(model.notes),
    }


def _layer_facts(layer: Recurrent) -> dict[str, Any]:
    cell = layer.forward
    return {
        "name": layer.name,
        "inputs": cell.inputs,
        "units": cell.units,
        "outputs": cell.outputs,
        "directions": list(layer.cells),
        "dtype": cell.W.dtype.name,
        "kind": layer.kind,
        "activations": {role: str(activation) for role, activation in cell.activations().items()},
        **({"reset_after": cell.reset_after} if isinstance(cell, GRUCell) else {}),
        "return_sequences": layer.return_sequences,
        "follows": layer.follows,
        "layout": layer.origin.layout if layer.origin else None,
        "keys": [dict(keys) for keys in layer.origin.keys] if layer.origin else [],
    }


def conversion_facts(source: Path, done: Conversion) -> dict[str, Any]:
    """Return what a conversion did, as plain values."""
    return {
        "source": str(source),
        "target": str(done.target),
        "format": done.format,
        "usage": list(done.usage),
        "proof": asdict(done.proof),
        **model_facts(done.source),
    }
