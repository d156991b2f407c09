"""The text of a whole network as a PyTorch module: named submodules, and a `forward` that reads like the model.

No string of a file becomes code: a layer's or input's name passes through `names`, numbers through `templates.number`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lstm_convert.canonical import Call, Feed, Model, Network
from lstm_convert.canonical.kinds import RECURRENT
from lstm_convert.errors import Unsupported
from lstm_convert.export import expressions
from lstm_convert.export.classes import Classes
from lstm_convert.export.expressions import Expression, Operation
from lstm_convert.export.forward import Size, Statement, Step, Value
from lstm_convert.export.loading import LOAD, marked
from lstm_convert.export.names import comment
from lstm_convert.export.neighbours import WRITTEN
from lstm_convert.export.network_plan import NetworkPlan
from lstm_convert.export.network_state import filled
from lstm_convert.export.recurrence import recurrent
from lstm_convert.export.source import imports
from lstm_convert.export.templates import LINE, number
from lstm_convert.network.masks import ALL, IN_TURN, Given, Joined, Made, Mask

# What works on each entry along axis 1 as on all of them at once.
_BY_ITSELF = ("activation", "dense", "embedding", "masking", "relu")
_ENTRIES = "entries"
_FREE = ("time", "steps", "features")
_FREE_OF_IMAGE = ("height", "width", "channels")
_COUNTS = "true where a step counts"


def network_source(model: Model) -> str:
    """Return the Python source of a module that computes what a model's network computes.

    It needs torch and safetensors, and looks for its weights in the file of its own name that ends with `.safetensors`.

    Args:
        model: a model with a network.

    Raises:
        Unsupported: there is no network, or it cannot be written out; the reason is that of its first such layer.
    """
    if model.network is None:
        raise Unsupported("it tells no whole network")
    writer = _Writer(NetworkPlan(model.network))
    writer.write()
    texts = writer.classes.texts.values()
    body = [text for text in texts if text.startswith("def ")]
    body += [text for text in texts if text.startswith("class ")]
    body += ["\n".join(writer.model_class()), LOAD]
    code = "\n\n\n".join(body)
    state = ["", "State = tuple[Tensor, Tensor]  # h and c, each (directions, batch, size)"] * ("State " in code)
    return marked("\n".join([*_header(model), *imports(code), *state, "", "", code, ""]))


def _header(model: Model) -> Iterator[str]:
    origin = model.provenance
    written = comment(origin.file) or "a model in memory"
    yield '"""A model in PyTorch; its weights are in the safetensors file beside this one.'
    yield ""
    yield f"Written by lstm_convert from {written} ({comment(f'{origin.framework} {origin.version}')})."
    yield '"""'
    yield ""


class _Writer:
    """Writes a network's calls one after another.

    Args:
        plan: the network and what is decided of it.
    """

    def __init__(self, plan: NetworkPlan) -> None:
        self.plan = plan
        self.network: Network = plan.network
        self.classes = Classes()
        self.modules: dict[str, expressions.Call] = {}
        self.statements: list[Statement] = []
        self.values: dict[Feed, Value] = {}
        self.named: set[Mask] = set()

    def write(self) -> None:
        """Write all calls."""
        images = any(
            layer.options.get("rank") == len("hw") and not layer.each_step for layer in self.network.layers.values()
        )
        for place, (given, name) in enumerate(zip(self.network.inputs, self.plan.parameters, strict=True)):
            whole = given.dtype.startswith(("int", "uint"))
            self.values[Feed(place)] = Value(name, ("batch", *_named(given.shape, images=images)), (), whole)
        for place in self.plan.order:
            self._call(place)

    def _call(self, place: int) -> None:
        call, targets = self.network.calls[place], self.plan.targets[place]
        layer = self.network.layers[call.layer]
        first = len(self.network.inputs) + place
        step = Step(
            layer,
            self.plan.attributes[layer.name],
            [self.values[feed] for feed in call.inputs],
            targets,
            self.classes,
            states=[self.values[feed] for feed in call.states],
            statements=self.statements,
        )
        self._masks(call, first)
        masks = self.plan.mask_names
        step.mask = masks.get(Made(first)) if layer.kind == "masking" else _name(masks, self.plan.mask(call))
        step.masks = [_name(masks, mask) for mask in self.plan.masks(call)]
        for output, value in enumerate(self._written(step)):
            self.values[Feed(first, output)] = value
        if step.module is not None and self.modules.setdefault(layer.name, step.module) != step.module:
            kinds = f"{self.modules[layer.name]} and {step.module}"
            raise Unsupported(f"{layer.name}: it is called on inputs of two kinds, as {kinds}")

    def _written(self, step: Step) -> list[Value]:
        form = step.layer.options.get("form")
        if not step.layer.each_step or (step.layer.kind in _BY_ITSELF or form in ("dropout", "gaussian_noise")):
            return self._outputs(step)
        x = step.x
        flat = step.say(f"{x.arranged()}.flatten(0, 1)", _flat(x.shape), (), "each by itself", _ENTRIES)
        step.inputs = [replace(flat, whole=x.whole)]
        step.mask = f"{step.mask}.flatten(0, 1)" if step.mask else None
        step.states = [replace(state, text=f"{state.arranged()}.flatten(0, 1)", order=()) for state in step.states]
        sizes = f"(-1, {x.shape[1]})" if isinstance(x.shape[1], int) else f"({self.plan.parameters[0]}.shape[0], -1)"
        return [
            step.say(
                expressions.Call("torch.unflatten", [value.arranged(), "0", sizes]),
                (*x.shape[:2], *value.shape[1:]),
                (),
                "",
                value.text,
            )
            if value.text != "_"
            else value
            for value in self._outputs(step)
        ]

    def _outputs(self, step: Step) -> list[Value]:
        if step.layer.kind == RECURRENT:
            return recurrent(step, self.plan.parts[step.layer.name])
        return [WRITTEN[step.layer.kind](step)]

    def _masks(self, call: Call, step: int) -> None:
        """Write the masks that a call makes, joins or is given, where anything needs them."""
        given = Given(call.mask) if call.mask else None
        for mask in (given, self.plan.reached[step], Made(step)):
            if mask in self.plan.mask_names and mask not in self.named and _is_made_by(mask, step, given):
                self.named.add(mask)
                expression, shape = self._mask(mask, call)
                sizes = Value("", shape).sizes
                self.statements.append(Statement(self.plan.mask_names[mask], expression, f"{sizes}: {_COUNTS}"))

    def _mask(self, mask: Mask, call: Call) -> tuple[Expression, tuple[Size, ...]]:
        x = self.values[call.inputs[0]]
        layer = self.network.layers[call.layer]
        match mask:
            case Given(feed):
                return f"{self.values[feed].arranged()} != 0", self.values[feed].shape
            case Made() if layer.kind == "embedding":
                return f"{x.arranged()} != 0", x.shape
            case Made():
                return f"({x.arranged()} != {number(layer.options['value'])}).any(-1)", x.shape[:-1]
            case Joined(how, parts, feeds) if how == IN_TURN:
                texts = [
                    self.plan.mask_names[part] if part else _all_of(self.values[feed])
                    for part, feed in zip(parts, feeds, strict=True)
                ]
                return expressions.Call("torch.cat", [expressions.Call("", texts, "[]"), "1"]), ("batch", "steps")
            case Joined(how, parts):
                names = [self.plan.mask_names[part] for part in parts if part]
                return Operation("&" if how == ALL else "|", names), x.shape[:2]

    def model_class(self) -> Iterator[str]:
        """Yield the lines of the class `Model`."""
        yield "class Model(nn.Module):"
        yield from (f"    {line}" if line else "" for line in self._described())
        yield ""
        yield "    def __init__(self) -> None:"
        yield "        super().__init__()"
        for name, layer in self.network.layers.items():
            if name in self.modules:
                attribute = self.plan.attributes[name]
                if attribute != name and comment(name):
                    yield f"        # {comment(name)}"
                yield from self.modules[name].lines(f"self.{attribute} = ", indent=8)
                for weight in filled(layer):
                    yield f"        # The source has no {weight}."
                    yield from expressions.Call(f"self.{attribute}.{weight}.requires_grad_", ["False"]).lines(indent=8)
        yield ""
        returned = [self.values[feed] for feed in self.network.outputs]
        kind = "Tensor" if len(returned) == 1 else f"tuple[{', '.join(['Tensor'] * len(returned))}]"
        parameters = ["self", *(f"{name}: Tensor" for name in self.plan.parameters)]
        yield from expressions.Call("forward", parameters).lines("def ", f" -> {kind}:", indent=4)
        yield from self._body(returned)

    def _described(self) -> Iterator[str]:
        """Yield the docstring of `Model`."""
        inputs = [self.values[Feed(place)] for place in range(len(self.network.inputs))]
        outputs = [self.values[feed] for feed in self.network.outputs]
        taken = [f"{value.text} {value.sizes}" for value in inputs]
        made = [
            f"{name} {replace(value, order=tuple(range(value.rank))).sizes}".strip()
            for name, value in zip(self.plan.output_names, outputs, strict=True)
        ]
        stateful = [
            self.plan.attributes[name]
            for name, layer in self.network.layers.items()
            if layer.recurrent is not None and layer.recurrent.stateful
        ]
        short = f'"""From {" and ".join(taken)} to {" and ".join(made)}."""'
        if len(short) + 4 <= LINE and not stateful:
            yield short
            return
        yield '"""A whole model.'
        yield ""
        yield "It takes:"
        yield from (f"    {each}" for each in taken)
        yield ""
        yield "It returns:"
        yield from (f"    {each}" for each in made)
        if stateful:
            yield ""
            yield "Stateful in the source, while here each call starts from zeros:"
            yield from (f"    {each}" for each in stateful)
        yield '"""'

    def _body(self, returned: Sequence[Value]) -> Iterator[str]:
        """Yield the statements; the last one returns where it makes the one output."""
        values = [value.arranged() for value in returned]
        ends = list(_return(self.statements[-1], values[0])) if len(values) == 1 and self.statements else []
        for statement in self.statements[:-1] if ends else self.statements:
            yield from statement.lines(f"{statement.target} = ")
        if ends:
            yield from ends
        elif len(values) > 1:
            together = f"        return {', '.join(values)}"
            yield from [together] if len(together) <= LINE else expressions.Call("", values).lines("return ", indent=8)
        else:
            sizes = replace(returned[0], order=tuple(range(returned[0].rank))).sizes
            yield from Statement("output", values[0], sizes).lines("output: Tensor = ")
            yield "        return output"


def _return(last: Statement, wanted: str) -> Iterator[str]:
    """Yield the last statement as one that returns what is wanted; nothing where it makes something else."""
    if last.target == wanted and last.typed:
        yield from last.lines("return ")
    elif last.target in (wanted, f"{wanted}, _"):  # a type checker takes what a module returns for anything
        yield from last.lines("output: Tensor = ", "" if last.target == wanted else "[0]")
        yield "        return output"


def _named(shape: Sequence[int | None], *, images: bool) -> tuple[Size, ...]:
    """Return the sizes of an input with names for those that may be any."""
    names = _FREE_OF_IMAGE if images and len(shape) == len(_FREE_OF_IMAGE) else _FREE
    rest = tuple(f"size_{axis}" for axis in range(len(names) + 1, len(shape) + 1))
    return tuple(name if size is None else size for size, name in zip(shape, names + rest, strict=False))


def _flat(shape: tuple[Size, ...]) -> tuple[Size, ...]:
    return (f"batch * {shape[1]}", *shape[2:])


def _name(names: dict[Mask, str], mask: Mask | None) -> str | None:
    return None if mask is None else names[mask]


def _is_made_by(mask: Mask, step: int, given: Mask | None) -> bool:
    """Return whether a call makes, joins or is given a mask, and does not only pass it on."""
    return mask == given or mask == Made(step) or isinstance(mask, Joined)


def _all_of(value: Value) -> str:
    return f"torch.ones_like({value.arranged()}[..., 0], dtype=torch.bool)"
