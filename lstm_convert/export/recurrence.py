"""Recurrent layers in a `forward`: nn.LSTM where that computes them, else the classes of `classes`.

What the source does around the cells, the last step, the order of reading, the merge of two directions, stands in
`forward` where one module computes both directions, and else in the class around them.
"""

from collections.abc import Iterator

from lstm_convert.canonical import Recurrent
from lstm_convert.export.expressions import Call, Expression
from lstm_convert.export.forward import Size, Step, Value
from lstm_convert.export.plan import Part

_MERGED = {"sum": "{0} + {1}", "ave": "({0} + {1}) / 2", "mul": "{0} * {1}"}


def recurrent(step: Step, part: Part) -> list[Value]:
    """Write the call of a recurrent layer.

    Args:
        step: the call.
        part: its submodule.

    Returns:
        Its outputs, as `Feed` counts them.
    """
    layer = step.layer.recurrent
    assert layer is not None  # noqa: S101 (the kind says so; Layer checks it)
    step.module = step.classes.made(part)
    x = step.x.arranged()
    if layer.go_backwards and not part.apart:
        x = step.say(f"{x}.flip(1)", step.x.shape, (), "go_backwards reads from the last step on", "backwards").text
        if step.mask:
            step.say(f"{step.mask}.flip(1)", step.x.shape[:2], (), "", "backwards_mask")
    mask = "backwards_mask" if step.mask and layer.go_backwards and not part.apart else step.mask
    state = [_state(step, part)] if step.states else []
    arguments: list[Expression] = [x, *state, *([f"mask={mask}"] if mask else [])]
    return _apart(step, part, layer, arguments) if part.apart else _together(step, part, layer, arguments)


def _together(step: Step, part: Part, layer: Recurrent, arguments: list[Expression]) -> list[Value]:
    """Write a layer whose module computes its one direction, or both, side by side."""
    called, shape = step.called(*arguments), step.x.shape[:2]
    states = _wants_states(step, layer)
    two = layer.backward is not None
    last = not layer.return_sequences
    h, c = ("h_n", "c_n") if states else ("h_n" if last and two else "_", "_")
    whole = (*shape, sum(cell.outputs for cell in layer.cells.values()))
    sequence = "_" if last and two else step.targets[0] if layer.merge or not two else "both"
    pair = f"({h}, {c})" if part.two_states and h != "_" else h
    step.unpack(f"{sequence}, {pair}", called, whole if sequence != "_" else ())
    widths = [cell.outputs for cell in layer.cells.values()]
    steps: tuple[Size, ...] = shape[:1] if last else shape
    if not two:
        value = Value(sequence, whole)
        if last and sequence != "_":
            value = step.say(f"{sequence}[:, -1]", whole[:1] + whole[2:], (), "of the last step")
        return [value, *(_states(step, part, layer) if states else [])]
    directions = ("h_n[0]", "h_n[1]")
    if last and layer.merge == "concat":
        joined = Call("torch.cat", [Call("", directions, "[]"), "-1"])
        outputs = [step.say(joined, (*steps, sum(widths)), (), "what each direction read last")]
    elif not last and layer.merge == "concat":
        outputs = [Value(sequence, whole)]
    else:
        if not last:
            directions = ("forward", "backward") if layer.merge else (step.targets[0], step.targets[1])
            step.unpack(", ".join(directions), f"{sequence}.chunk(2, -1)", (*steps, widths[0]), "each")
        outputs = _merged(step, layer, directions, (*steps, widths[0]))
    return [*outputs, *(_states(step, part, layer) if states else [])]


def _merged(step: Step, layer: Recurrent, directions: tuple[str, str], shape: tuple[Size, ...]) -> list[Value]:
    if layer.merge is None:
        return [step.say(text, shape, (), "", target) for text, target in zip(directions, step.targets, strict=False)]
    return [step.say(_MERGED[layer.merge].format(*directions), shape)]


def _apart(step: Step, part: Part, layer: Recurrent, arguments: list[Expression]) -> list[Value]:
    """Write a layer whose directions are modules of their own, in a class that joins them."""
    states = _wants_states(step, layer)
    pair = ("(h_n, c_n)" if part.two_states else "h_n") if states else "_"
    shape = step.x.shape[:2] if layer.return_sequences else step.x.shape[:1]
    if layer.merge is None:
        first, second = step.targets[:2]
        width = (layer.forward.outputs, layer.cells["backward"].outputs)
        step.unpack(f"both, {pair}", step.called(*arguments), ())
        step.unpack(
            f"{first}, {second}",
            "both",
            (*shape, width[0]),
            "each" if width[0] == width[1] else f"and ({', '.join(map(str, (*shape, width[1])))})",
        )
        outputs = [Value(target, (*shape, size)) for target, size in zip((first, second), width, strict=True)]
    else:
        step.unpack(f"{step.targets[0]}, {pair}", step.called(*arguments), (*shape, part.width))
        outputs = [Value(step.targets[0], (*shape, part.width))]
    return [*outputs, *(_states(step, part, layer) if states else [])]


def _wants_states(step: Step, layer: Recurrent) -> bool:
    own = 1 if layer.merge or layer.backward is None else 2
    return any(target != "_" for target in step.targets[own:])


def _states(step: Step, part: Part, layer: Recurrent) -> list[Value]:
    """Write h and c of each direction as the source returns them, as far as anybody reads them."""
    own = 1 if layer.merge or layer.backward is None else 2
    batch = step.x.shape[0]
    places = list(_places(part))
    values = []
    for target, (text, size) in zip(step.targets[own:], places, strict=False):
        values.append(Value("_", (batch, size)) if target == "_" else step.say(text, (batch, size), (), "", target))
    return values


def _places(part: Part) -> Iterator[tuple[str, int]]:
    """Yield the expression and the size of h and c of each direction."""
    starts = {"h_n": 0, "c_n": 0}
    for number, sizes in enumerate(part.sizes):
        for name, size in zip(list(starts)[: 1 + part.two_states], sizes, strict=False):
            start = starts[name]
            yield (f"{name}[{number}]" if part.alike else f"{name}[0, :, {start}:{start + size}]"), size
            starts[name] += size


def _state(step: Step, part: Part) -> Expression:
    """Return the states that a layer starts from, as its module takes them."""
    texts = [value.arranged() for value in step.states]
    joined: list[Expression] = []
    for of_kind in (texts[0::2], texts[1::2]) if part.two_states else (texts,):
        together = Call("", of_kind, "[]")
        if len(of_kind) == 1:
            joined.append(f"{of_kind[0]}.unsqueeze(0)")
        elif part.alike:
            joined.append(Call("torch.stack", [together]))
        else:
            joined.append(Call("torch.cat", [together, "-1"], method=".unsqueeze(0)"))
    return Call("", joined) if part.two_states else joined[0]
