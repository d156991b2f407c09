"""The text of a written-out PyTorch module: what a model needs of the templates, and the `Model` that puts it together.

No string of a file becomes code: a layer's name passes through `names`, numbers through `templates.number`.
"""

import re
from collections.abc import Iterator, Sequence

from lstm_convert.canonical import Model
from lstm_convert.export.classes import Classes
from lstm_convert.export.expressions import Call
from lstm_convert.export.loading import LOAD, marked
from lstm_convert.export.names import comment
from lstm_convert.export.plan import Part, Plan, planned
from lstm_convert.export.templates import LINE

_NN_LSTM = """
nn.LSTM computes for each step, `*` element by element:

    i = sigmoid(W_i x + U_i h + b_i)
    f = sigmoid(W_f x + U_f h + b_f)
    g = tanh(W_g x + U_g h + b_g)
    c = f * c + i * g
    o = sigmoid(W_o x + U_o h + b_o)
    h = o * tanh(c)
"""


_NN_GRU = """
nn.GRU computes for each step, `*` element by element:

    r = sigmoid(W_r x + U_r h + b_r)
    z = sigmoid(W_z x + U_z h + b_z)
    n = tanh(W_n x + b_in + r * (U_n h + b_hn))
    h = (1 - z) * n + z * h
"""


def source(model: Model) -> str:
    """Return the Python source of a module that computes what a model's recurrent layers compute.

    It needs torch and safetensors, and looks for its weights in the file of its own name that ends with `.safetensors`.

    Args:
        model: the layers.

    Raises:
        Unsupported: its layers wait for one another in a circle.
    """
    plan = planned(model)
    classes = Classes()
    made = {part.name: classes.made(part) for part in plan.parts}
    body = [text for text in classes.texts.values() if text.startswith("def ")]
    body += [text for text in classes.texts.values() if text.startswith("class ")]
    body += ["\n".join(_model_class(plan, made)), LOAD]
    code = "\n\n\n".join(body)
    return marked("\n".join([*_header(model, plan, code), *imports(code), "", *_aliases(plan), "", "", code, ""]))


def _header(model: Model, plan: Plan, code: str) -> Iterator[str]:
    origin = model.provenance
    written = comment(origin.file) or "a model in memory"
    framework = comment(f"{origin.framework} {origin.version}")
    yield f'"""{_kinds(plan)} layers in PyTorch; their weights are in the safetensors file beside this one.'
    yield ""
    yield f"Written by lstm_convert from {written} ({framework})."
    if "nn.LSTM(" in code:
        yield from _NN_LSTM.rstrip().splitlines()
    if "nn.GRU(" in code:
        yield from _NN_GRU.rstrip().splitlines()
    yield '"""'
    yield ""


def imports(code: str) -> Iterator[str]:
    """Yield the lines that import what some code uses."""
    yield "from pathlib import Path"
    yield ""
    if re.search(r"\btorch\.", code):
        yield "import torch"
    yield "from safetensors import safe_open"
    yield "from safetensors.torch import load_file"
    yield "from torch import Tensor, nn"
    if re.search(r"\bF\.", code):
        yield "from torch.nn import functional as F"


def _aliases(plan: Plan) -> Iterator[str]:
    both = {part.two_states for part in plan.parts}
    if both == {True}:
        yield "State = tuple[Tensor, Tensor]  # h and c, each (directions, batch, size)"
    elif both == {False}:
        yield "State = Tensor  # h, (directions, batch, size)"
    else:
        yield "# h and c, or h alone, each (directions, batch, size)"
        yield "State = tuple[Tensor, Tensor] | Tensor"
    if len(plan.parts) > 1:
        yield "States = dict[str, State]  # by the name of the layer"


def _model_class(plan: Plan, made: dict[str, Call]) -> Iterator[str]:
    yield "class Model(nn.Module):"
    yield from _indented(_described(plan), 4)
    yield ""
    yield "    def __init__(self) -> None:"
    yield "        super().__init__()"
    for part in plan.parts:
        if part.name != part.layer.name:
            yield f"        # {comment(part.layer.name)}"
        yield from made[part.name].lines(f"self.{part.name} = ", indent=8)
    yield ""
    if len(plan.parts) == 1:
        yield from _forward_of_one(plan.parts[0])
    elif len(plan.chains) == 1:
        yield from _forward_of_chain(plan)
    else:
        yield from _forward_of_chains(plan)


def _described(plan: Plan) -> Iterator[str]:
    """Yield the docstring of `Model`."""
    kinds = _kinds(plan)
    lines = [f"{kinds} layers that read inputs of their own."]
    if len(plan.parts) == 1:
        lines = [f"One {kinds} layer."]
    elif len(plan.chains) == 1:
        lines = [f"{kinds} layers, each reading the output of the one before."]
    else:
        lines += ["", f"Where other layers stand between them, call each by itself, as nn.{plan.parts[0].kind}:"]
        lines += [f"`output, state = model.{plan.parts[0].name}(x, state)`."]
    if stateful := [part.name for part in plan.parts if part.layer.stateful]:
        lines += ["", "Stateful in the source: hand the states of one batch to the next, for", *_listed(stateful)]
    if given := [part.name for part in plan.parts if part.layer.starts_from and part.name not in plan.starts]:
        lines += ["", "Started from the states of another layer in the source: hand these in, for", *_listed(given)]
    if len(lines) == 1:
        yield f'"""{lines[0]}"""'
    else:
        yield f'"""{lines[0]}'
        yield from lines[1:]
        yield '"""'


def _kinds(plan: Plan) -> str:
    """Return in a word what the layers are."""
    kinds = {part.kind for part in plan.parts}
    return kinds.pop() if len(kinds) == 1 else "Recurrent"


def _listed(names: Sequence[str]) -> Iterator[str]:
    yield from (f"{name}," for name in names[:-1])
    yield f"{names[-1]}."


def _forward_of_one(part: Part) -> Iterator[str]:
    output = "tuple[Tensor, Tensor]" if part.two_outputs else "Tensor"
    parameters = ["x: Tensor", "state: State | None = None"]
    parameters += ["mask: Tensor | None = None"] if part.masked else []
    yield from _signature(parameters, f"tuple[{output}, State]")
    last = "(h_n, c_n)" if part.two_states else "h_n"
    yield f'        """Return (output, {last}).'
    yield ""
    yield from _indented(_shapes("x", part, part, masked=part.masked), 8)
    yield '        """'
    mask = ", mask" if part.masked else ""
    yield f"        output, {last} = self.{part.name}(x, state{mask})"
    yield f"        return output, {last}"


def _forward_of_chain(plan: Plan) -> Iterator[str]:
    first, last = plan.parts[0], plan.parts[-1]
    masked = any(part.masked for part in plan.parts)
    output = "tuple[Tensor, Tensor]" if last.two_outputs else "Tensor"
    parameters = ["x: Tensor", "states: States | None = None"]
    parameters += ["mask: Tensor | None = None"] if masked else []
    yield from _signature(parameters, f"tuple[{output}, States]")
    yield '        """Return the output and the last states of each layer.'
    yield ""
    yield from _indented(_shapes("x", first, last, masked=masked), 8)
    yield "        states are those to start with, zero for layers they do not name."
    yield '        """'
    yield from _states()
    for part in plan.parts:
        result = "output" if part is last else "x"
        yield from _called(plan, part, result, "x", "mask")
    yield "        return output, last"


def _forward_of_chains(plan: Plan) -> Iterator[str]:
    inputs = {part.name: f"x_{chain[0].name}" for chain in plan.chains for part in chain}
    masks = {part.name: f"mask_{chain[0].name}" for chain in plan.chains for part in chain}
    masked = [any(part.masked for part in chain) for chain in plan.chains]
    parameters = [f"{inputs[chain[0].name]}: Tensor" for chain in plan.chains]
    parameters.append("states: States | None = None")
    parameters += [
        f"{masks[chain[0].name]}: Tensor | None = None"
        for chain, has_mask in zip(plan.chains, masked, strict=True)
        if has_mask
    ]
    yield from _signature(parameters, "tuple[dict[str, Tensor], States]")
    yield '        """Return outputs by layer, and the last states of each layer.'
    yield ""
    for chain, has_mask in zip(plan.chains, masked, strict=True):
        suffix = f"_{chain[0].name}" if has_mask else ""
        yield from _indented(_shapes(inputs[chain[0].name], chain[0], chain[-1], masked=has_mask, suffix=suffix), 8)
    yield "        states are those to start with, zero for layers they do not name."
    yield '        """'
    yield from _states()
    yield "        outputs: dict[str, Tensor] = {}"
    ends = {chain[-1].name for chain in plan.chains}
    for part in plan.parts:
        result = inputs[part.name]
        if part.name in ends:
            result = "pair" if part.two_outputs else f'outputs["{part.name}"]'
        yield from _called(plan, part, result, inputs[part.name], masks[part.name])
        if part.two_outputs:
            yield f'        outputs["{part.name}.forward"] = pair[0]'
            yield f'        outputs["{part.name}.backward"] = pair[1]'
    yield "        return outputs, last"


def _signature(parameters: Sequence[str], returned: str) -> Iterator[str]:
    yield from Call("forward", ["self", *parameters]).lines("def ", f" -> {returned}:", indent=4)


def _shapes(name: str, first: Part, last: Part, *, masked: bool, suffix: str = "") -> Iterator[str]:
    steps = "batch, time, " if last.layer.return_sequences else "batch, "
    pair = "a pair of " if last.two_outputs else ""
    yield f"{name} is (batch, time, {first.layer.forward.inputs}),"
    yield f"its output {pair}({steps}{last.width})."
    if masked:
        yield f"mask{suffix} is (batch, time), true where a step counts."


def _states() -> Iterator[str]:
    yield "        first: States = {}"
    yield "        if states is not None:"
    yield "            first = states"
    yield "        last: States = {}"


def _called(plan: Plan, part: Part, result: str, x: str, mask: str) -> Iterator[str]:
    """Yield the statements that run one layer of several."""
    key = f'"{part.name}"'
    start = f"first.get({key})"
    if before := plan.starts.get(part.name):
        yield from Call("first.get", [key, f'last["{before}"]']).lines("start = ", indent=8)
        start = "start"
    call = Call(f"self.{part.name}", [x, start, *([mask] * part.masked)])
    line = f"        {result}, last[{key}] = {call}"
    if len(line) <= LINE:
        yield line
        return
    output = "pair" if part.two_outputs else "output"
    yield from call.lines(f"{output}, state = ", indent=8)
    yield f"        last[{key}] = state"
    if result != output:
        yield f"        {result} = {output}"


def _indented(lines: Iterator[str], width: int) -> Iterator[str]:
    yield from (f"{' ' * width}{line}" if line else "" for line in lines)
