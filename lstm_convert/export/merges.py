"""Layers that make one tensor of several, in PyTorch."""

from collections.abc import Sequence

from lstm_convert.export.expressions import Call, Operation
from lstm_convert.export.forward import Size, Step, Value

_OPERATORS = {"add": "+", "average": "+", "subtract": "-", "multiply": "*"}
_EXTREMES = {"maximum": "torch.maximum", "minimum": "torch.minimum"}

# Shorter vectors are not made longer. *Source:* keras 3.15.1, keras/src/ops/nn.py, _normalize
_SHORTEST = "1e-07"
_LETTERS = "acefghijklmnopqrstuvwxyz"  # b is the batch, d what is summed over


def merge(step: Step) -> Value:
    """Write several tensors as one."""
    form = step.layer.options["form"]
    if form == "dot":
        return _dot(step)
    order = step.inputs[0].order
    if any(value.order != order for value in step.inputs):
        order = ()
    if form == "concatenate":
        return _concatenated(step, order)
    ranks = {value.rank for value in step.inputs}
    if len(ranks) > 1:
        order = ()
    shapes = [_of_rank(value.shape, max(ranks)) for value in step.inputs]
    shape = tuple(map(_broadcast, zip(*shapes, strict=True)))
    texts = [_unsqueezed(value, max(ranks), order) for value in step.inputs]
    if form in _EXTREMES:
        return _extreme(step, texts, shape, order)
    if any(step.masks):
        return _product(step, texts, shape)
    value = step.say(Operation(_OPERATORS[form], texts), shape, order)
    return step.say(f"{value.text} / {len(texts)}", shape, order) if form == "average" else value


def _concatenated(step: Step, order: Sequence[int]) -> Value:
    axis = step.layer.options["axis"] % step.x.rank
    sizes = [value.shape[axis] for value in step.inputs]
    joined: Size = sum(size for size in sizes if isinstance(size, int))
    if any(isinstance(size, str) for size in sizes):
        joined = "steps"
    shape = [joined if place == axis else size for place, size in enumerate(step.x.shape)]
    place = order.index(axis) if order else axis
    texts = Call("", [value.arranged(order) for value in step.inputs], "[]")
    return step.say(
        Call("torch.cat", [texts, str(place - step.x.rank if place == step.x.rank - 1 else place)]), shape, order
    )


def _extreme(step: Step, texts: list[str], shape: tuple[Size, ...], order: Sequence[int]) -> Value:
    function = _EXTREMES[step.layer.options["form"]]
    if any(step.masks):
        return _masked_extreme(step, function, texts, shape)
    value = step.say(Call(function, texts[:2]) if texts[1:] else texts[0], shape, order)
    for text in texts[2:]:
        value = step.say(Call(function, [value.text, text]), shape, order)
    return value


def _product(step: Step, texts: list[str], shape: tuple[Size, ...]) -> Value:
    """Write the product of the numbers that count, zero where none does and all inputs have masks."""
    note = "masked steps do not count"
    value: Value | None = None
    for text, mask in zip(texts, step.masks, strict=True):
        counted = Call(f"{text}.masked_fill", [f"~{mask}.unsqueeze(-1)", "1.0"]) if mask else text
        if value is None:
            value = step.say(counted, shape, (), note if mask else "")
            continue
        factor = step.say(counted, shape, (), note, "factor").text if mask else text
        value = step.say(Operation("*", [value.text, factor]), shape)
    if all(step.masks):
        step.say(Operation("|", [str(mask) for mask in step.masks]), shape[:2], (), "", "counts")
        value = step.say(f"{step.targets[0]}.masked_fill(~counts.unsqueeze(-1), 0.0)", shape)
    return value or step.x


def _masked_extreme(step: Step, function: str, texts: list[str], shape: tuple[Size, ...]) -> Value:
    """Write the maximum or minimum of the numbers that count; where none does, the first."""
    value = step.say(texts[0], shape)
    counts = step.masks[0]
    for text, mask in zip(texts[1:], step.masks[1:], strict=True):
        other, kept = text, value.text
        if mask:
            where = Call("torch.where", [f"{mask}.unsqueeze(-1)", text, value.text])
            other = step.say(where, shape, (), "masked steps do not count", "rest").text
        if counts:
            where = Call("torch.where", [f"{counts}.unsqueeze(-1)", value.text, other])
            kept = step.say(where, shape, (), "", "kept").text
        value = step.say(Call(function, [kept, other]), shape)
        if counts and mask:
            step.say(Operation("|", [counts, mask]), shape[:2], (), "", "counts")
        counts = "counts" if counts and mask else None
    return value


def _dot(step: Step) -> Value:
    axes, (one, other) = step.layer.options["axes"], step.inputs
    first, second = (axes, axes) if isinstance(axes, int) else axes
    summed = (first % one.rank, second % other.rank)
    names = []
    free = iter(_LETTERS)
    for value, axis in zip(step.inputs, summed, strict=True):
        names.append(["b" if place == 0 else "d" if place == axis else next(free) for place in range(value.rank)])
    left = [letter for letters in names for letter in letters if letter not in "bd"]
    texts = []
    for value, axis, name in zip(step.inputs, summed, ("unit", "other_unit"), strict=True):
        text = value.text
        if step.layer.options["normalize"]:
            unit = Call("F.normalize", [text, "2.0", str(value.axis(axis)), _SHORTEST])
            text = step.say(unit, value.shape, value.order, "of length 1", name).text
        texts.append(text)
    read = ",".join(
        "".join(letters[axis] for axis in value.order) for letters, value in zip(names, step.inputs, strict=True)
    )
    sizes = [
        size
        for value, axis in zip(step.inputs, summed, strict=True)
        for place, size in enumerate(value.shape)
        if place not in (0, axis)
    ]
    product = Call("torch.einsum", [f'"{read}->b{"".join(left)}"', *texts])
    if left:
        return step.say(product, (one.shape[0], *sizes))
    step.say(product, (one.shape[0],))
    return step.say(f"{step.targets[0]}.unsqueeze(-1)", (one.shape[0], 1))


def _unsqueezed(value: Value, rank: int, order: Sequence[int]) -> str:
    return value.arranged(order) + ".unsqueeze(1)" * (rank - value.rank)


def _of_rank(shape: tuple[Size, ...], rank: int) -> tuple[Size, ...]:
    return (shape[0], *[1] * (rank - len(shape)), *shape[1:])


def _broadcast(sizes: tuple[Size, ...]) -> Size:
    known = [size for size in sizes if isinstance(size, int) and size != 1]
    named = [size for size in sizes if isinstance(size, str)]
    larger: list[Size] = [*known, *named]
    return larger[0] if larger else 1
