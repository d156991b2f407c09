"""`diagnose`: which layer is which, and what was done to each."""

from collections.abc import Iterator
from dataclasses import dataclass

from lstm_convert.canonical import Model, Recurrent
from lstm_convert.conversion import PathLike, load
from lstm_convert.diagnosis import layers
from lstm_convert.diagnosis.layers import Layer
from lstm_convert.diagnosis.report import Diagnosis, Mistake


def diagnose(
    a: Model | PathLike,
    b: Model | PathLike,
    *,
    config: PathLike | None = None,
    recurrent_activation: str | None = None,
) -> Diagnosis:
    """Name the mistakes that make a network another that should be the same.

    Layers are paired in their order; the two biases of a cell count as their sum. What is around the layers, as which
    step of the output is taken or where states start, is not in the weights and not compared.

    Args:
        a: the network that is right, as a model or a file.
        b: the one that should be the same and is not.
        config: the architecture of those that are weights-only files, as in `load`.
        recurrent_activation: the gates' activation where a file does not say it, as in `load`.

    Returns:
        Whether they are the same, and if not, the mistakes, with the error left once all of them are undone.

    Raises:
        LstmConvertError: as `load` raises, or an activation cannot be computed.
    """
    right, other = (
        source if isinstance(source, Model) else load(source, config=config, recurrent_activation=recurrent_activation)
        for source in (a, b)
    )
    found = tuple(_mistakes(_paired(right.layers, other.layers)))
    return Diagnosis(same=not found, mistakes=found)


@dataclass(frozen=True)
class _Paired:
    """Which layer of the other network is which of the right one.

    Args:
        layers: what was done to each that both have.
        exchanged: those that stand in another's place, right name and the name found there.
        missing: those that the other lacks.
        added: those that the right one lacks.
    """

    layers: tuple[Layer, ...]
    exchanged: tuple[tuple[str, str], ...] = ()
    missing: tuple[Recurrent, ...] = ()
    added: tuple[Recurrent, ...] = ()


def _mistakes(paired: _Paired) -> Iterator[Mistake]:
    if not any(layer.explained for layer in paired.layers):
        yield _unrelated(paired)
        return
    left = [layer.residual for layer in paired.layers if layer.explained and layer.residual is not None]
    residual = max(left, default=None)
    for cycle in _cycles(dict(paired.exchanged)):
        detail = ", ".join(f"{name} stands in the place of {place}" for name, place in cycle)
        yield Mistake("layers_exchanged", cycle[0][0], None, detail, residual)
    for layer in paired.missing:
        yield Mistake("layer_missing", layer.name, None, "the layer is missing", residual)
    for layer in paired.added:
        yield Mistake("layer_missing", layer.name, None, "the layer is added, the right one lacks it", residual)
    for done in paired.layers:
        yield from done.mistakes()


def _unrelated(paired: _Paired) -> Mistake:
    """Return that nothing explains anything: of the only cell, or of the network."""
    found = [mistake for layer in paired.layers for mistake in layer.mistakes() if mistake.name == "unrelated"]
    if len(found) == 1:
        return found[0]
    detail = "; ".join(
        f"{mistake.layer} {mistake.direction or ''}".strip() + f": {mistake.detail}" for mistake in found
    )
    residuals = [mistake.residual for mistake in found if mistake.residual is not None]
    return Mistake("unrelated", None, None, detail or "they have no layers in common", max(residuals, default=None))


def _paired(right: tuple[Recurrent, ...], other: tuple[Recurrent, ...]) -> _Paired:
    if len(right) == len(other):
        straight = list(_in_order(right, other))
        lost = [place for place, layer in enumerate(straight) if not layer.explained]
        return _exchanged(straight, lost)
    return _aligned(right, other)


def _in_order(right: tuple[Recurrent, ...], other: tuple[Recurrent, ...]) -> Iterator[Layer]:
    below = None
    for one, another in zip(right, other, strict=True):
        layer = layers.explained(one, another, below)
        below = layer.outputs
        yield layer


def _exchanged(straight: list[Layer], lost: list[int]) -> _Paired:
    """Return the layers in their places, those that nothing explains there looked for in each other's."""
    found, free = dict(enumerate(straight)), list(lost)
    exchanged = []
    for place in lost:
        for elsewhere in [candidate for candidate in free if candidate != place]:
            attempt = layers.explained(straight[place].right, straight[elsewhere].other)
            if attempt.explained:
                found[place] = attempt
                exchanged.append((place, elsewhere))
                free.remove(elsewhere)
                break
    # What is left of both is not explained; it keeps what place there is.
    places = [place for place in lost if place not in dict(exchanged)]
    for place, elsewhere in zip(places, free, strict=True):
        if elsewhere != place:
            found[place] = layers.explained(straight[place].right, straight[elsewhere].other)
    names = tuple((straight[place].right.name, straight[elsewhere].right.name) for place, elsewhere in exchanged)
    return _Paired(tuple(found[place] for place in range(len(straight))), names)


def _aligned(right: tuple[Recurrent, ...], other: tuple[Recurrent, ...]) -> _Paired:
    """Return networks of different depth paired so that most layers are explained, all in their order."""
    longer, shorter = (right, other) if len(right) > len(other) else (other, right)
    done: dict[tuple[int, int], Layer] = {}
    pairs: list[tuple[int, int]] = []
    start = 0
    for place in range(len(shorter)):
        last = len(longer) - len(shorter) + place
        for candidate in range(start, last + 1):
            one, another = (candidate, place) if longer is right else (place, candidate)
            done[one, another] = layers.explained(right[one], other[another])
            if done[one, another].explained:
                break
        else:
            one, another = (start, place) if longer is right else (place, start)
        pairs.append((one, another))
        start = (one if longer is right else another) + 1
    ones, others = {one for one, _ in pairs}, {another for _, another in pairs}
    return _Paired(
        tuple(done[pair] for pair in pairs),
        missing=tuple(layer for place, layer in enumerate(right) if place not in ones),
        added=tuple(layer for place, layer in enumerate(other) if place not in others),
    )


def _cycles(moves: dict[str, str]) -> Iterator[list[tuple[str, str]]]:
    """Yield moves that belong together: a layer in another's place, that one in a third's, until the first's."""
    left = dict(moves)
    while left:
        name = next(iter(left))
        cycle = []
        while name in left:
            cycle.append((name, left.pop(name)))
            name = cycle[-1][1]
        yield cycle
