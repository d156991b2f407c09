"""The classes that a plan's parts need, each written once, and the calls that make them."""

import re
from collections.abc import Iterator, Mapping

from lstm_convert.activations import FUNCTIONS
from lstm_convert.canonical import Activation, Cell, RecurrentCell
from lstm_convert.export import other_cells
from lstm_convert.export.expressions import Call
from lstm_convert.export.plan import Part, has_bias, nonlinearity
from lstm_convert.export.templates import chosen, number, template, with_calls, with_h_alone, with_words

# Activations that a function of torch computes exactly, called as it is; linear is no call at all. gelu is by erf.
TORCH_FUNCTIONS = {
    "sigmoid": "torch.sigmoid",
    "tanh": "torch.tanh",
    "linear": "",
    "relu": "torch.relu",
    "relu6": "F.relu6",
    "gelu": "F.gelu",
    "silu": "F.silu",
    "exponential": "torch.exp",
    "softsign": "F.softsign",
    "log_sigmoid": "F.logsigmoid",
}
_MERGES = {
    "concat": "The outputs of the two directions are side by side.",
    "sum": "The outputs of the two directions are added.",
    "ave": "The output is the mean of the two directions'.",
    "mul": "The outputs of the two directions are multiplied.",
    "apart": "The outputs of the two directions are returned as a pair.",
}
_MERGE_NAMES = {"concat": "", "sum": "Sum", "ave": "Mean", "mul": "Product", "apart": "Pair"}
_MOST_WORDS = 3


class Classes:
    """The functions and classes that have been needed so far, by name and in order; equal ones are one."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def made(self, part: Part) -> Call:
        """Return the call that makes a part's module.

        Args:
            part: the layer and its name.
        """
        layer = part.layer
        if part.apart:
            return Call(self._around("Sides", part), [self._core(part, cell) for cell in layer.cells.values()])
        if part.together:
            inner = Call(f"nn.{part.kind}", [*_sizes(layer.forward), "bidirectional=True", "batch_first=True"])
        else:
            inner = self._core(part, layer.forward)
        return inner if part.bare else Call(self._around("Around", part), [inner])

    def _core(self, part: Part, cell: RecurrentCell) -> Call:
        """Return the call that makes the module of one direction: PyTorch's where that computes it, else a loop."""
        if part.torch_has(cell):
            return Call(f"nn.{part.kind}", [*_sizes(cell), "batch_first=True"])
        if not isinstance(cell, Cell):
            return self._other_core(part, cell)
        functions = {
            name: self.function(activation)
            for name, activation in (("gate", cell.gate), ("candidate", cell.candidate), ("activation", cell.output))
        }
        clips = {
            "GATE_CLIP": cell.gate_clip, "CELL_CLIP": cell.cell_clip, "PROJECTION_CLIP": cell.projection_clip,
        }  # fmt: skip
        words = {name: number(bound) for name, bound in clips.items() if bound is not None}
        words |= {} if part.masked else {"c_new": "c", "h_new": "h"}
        text = chosen(with_words(template("layers_template")["Core"], words), _facts(part, cell))
        text = with_calls(text, functions).replace("SUMMARY", _summary(part, cell))
        text = _with_lines(text, "EQUATIONS", [f"    {line}" for line in _equations(cell, functions)])
        name = self._added(_core_name(part, cell), text, "class Core(")
        projection = [] if cell.projection is None else [f"proj_size={cell.outputs}"]
        return Call(name, [str(cell.inputs), str(cell.units), *projection])

    def _other_core(self, part: Part, cell: RecurrentCell) -> Call:
        """Return the call that makes the loop of a GRU or a simple RNN."""
        functions = {role: self.function(activation) for role, activation in cell.activations().items()}
        facts = other_cells.facts(cell, masked=part.masked, zero_output=part.layer.zero_output_for_mask)
        words = {} if part.masked else {"h_new": "h"}
        text = chosen(with_words(template("other_layers_template")[part.kind], words), facts)
        text = with_calls(text, functions).replace("SUMMARY", other_cells.summary(cell, masked=part.masked))
        text = _with_lines(text, "EQUATIONS", [f"    {line}" for line in other_cells.equations(cell, functions)])
        name = self._added(other_cells.name(cell, masked=part.masked), text, f"class {part.kind}(")
        return Call(name, [str(cell.inputs), str(cell.units)])

    def _around(self, kind: str, part: Part) -> str:
        layer = part.layer
        merge = layer.merge or "apart"
        facts = {
            "masked": part.masked,
            "go_backwards": layer.go_backwards,
            "last": not layer.return_sequences,
            "bidirectional": layer.backward is not None,
            "alike": part.alike,
            merge: layer.backward is not None,
        }
        words = {"FORWARD_OUTPUTS": str(layer.forward.outputs), "FORWARD_UNITS": str(layer.forward.units)}
        words["Output"] = "tuple[Tensor, Tensor]" if part.two_outputs else "Tensor"
        if not part.two_states:
            words |= {"lstm": part.kind.lower(), "LSTM": part.kind}
            words |= {f"{way}_lstm": f"{way}_{part.kind.lower()}" for way in ("forward", "backward")}
        article = "A" if part.kind == "GRU" else "An"
        summary = (
            f"Two {part.kind}s, one for each direction"
            if kind == "Sides"
            else f"{article} {part.kind} as the source calls it"
        )
        text = chosen(
            with_words(template("layers_template")[kind], words), {fact for fact, holds in facts.items() if holds}
        )
        text = text if part.two_states else with_h_alone(text)
        text = _with_lines(text.replace("SUMMARY", summary), "DETAILS", [*_notes(part, merge)])
        name = "".join(
            [
                "Reversed" if layer.go_backwards else "",
                "Bidirectional" if layer.backward is not None else "",
                _MERGE_NAMES[merge] if layer.backward is not None else "",
                "Last" if not layer.return_sequences else "",
                part.kind,
            ]
        )
        return self._added(name, text, f"class {kind}(")

    def function(self, activation: Activation) -> str:
        """Return what is called for an activation; a function of this file, which is then written, or torch's own."""
        if activation.name in TORCH_FUNCTIONS:
            return TORCH_FUNCTIONS[activation.name]
        numbers = {name.upper(): number(value) for name, value in activation.parameters.items()}
        text = with_words(template("activations_template")[activation.name], numbers)
        return self._added(activation.name, text, f"def {activation.name}(")

    def helper(self, name: str) -> str:
        """Return the name of a class or function of `neighbours_template`, which is then written."""
        return self._added(name, template("neighbours_template")[name], "")

    def _added(self, name: str, text: str, head: str) -> str:
        """Return the name under which a text stands, after it was added where none is equal to it."""
        unique, count = name, 1
        while True:
            named = text.replace(head, f"{head.split(maxsplit=1)[0]} {unique}(", 1) if head else text
            if self.texts.setdefault(unique, named) == named:
                return unique
            count += 1
            unique = f"{name}_{count}" if name in FUNCTIONS else f"{name}{count}"


def _sizes(cell: RecurrentCell) -> list[str]:
    bias = [] if has_bias(cell) else ["bias=False"]
    options = [f"proj_size={cell.outputs}"] if "projection" in cell.held() else []
    options += ['nonlinearity="relu"'] if nonlinearity(cell) == "relu" else []
    return [str(cell.inputs), str(cell.units), *bias, *options]


def _facts(part: Part, cell: Cell) -> set[str]:
    facts = {
        "masked": part.masked,
        "zero_output": part.layer.zero_output_for_mask,
        "bias": has_bias(cell),
        "projection": cell.projection is not None,
        "peephole": cell.peephole is not None,
        "gate_clip": cell.gate_clip is not None,
        "cell_clip": cell.cell_clip is not None,
        "projection_clip": cell.projection_clip is not None and cell.projection is not None,
        "coupled": cell.coupled,
    }
    return {fact for fact, holds in facts.items() if holds}


def _core_name(part: Part, cell: Cell) -> str:
    """Return a name that says what sets a cell apart from nn.LSTM's."""
    usual = {"gate": "sigmoid", "candidate": "tanh", "output": "tanh"}
    unusual = [getattr(cell, role).name for role, name in usual.items() if getattr(cell, role).name != name]
    extras = {
        "Masked": part.masked,
        "Peephole": cell.peephole is not None,
        "Coupled": cell.coupled,
        "Clipped": any(clip is not None for clip in (cell.gate_clip, cell.cell_clip, cell.projection_clip)),
        "Projected": cell.projection is not None,
    }
    words = [word for word, holds in extras.items() if holds]
    words += ["".join(map(str.capitalize, re.split("_", name))) for name in dict.fromkeys(unusual)]
    return ("".join(words) if len(words) <= _MOST_WORDS else "Custom") + "LSTM"


def _summary(part: Part, cell: Cell) -> str:
    usual = (cell.gate.name, cell.candidate.name, cell.output.name) == ("sigmoid", "tanh", "tanh")
    what = "that skips masked steps" if part.masked else "" if usual else "with activations that nn.LSTM lacks"
    return f"An LSTM {what}" if what else "An LSTM with more to its cell than nn.LSTM has"


def _equations(cell: Cell, functions: Mapping[str, str]) -> Iterator[str]:
    """Yield the equations of one step of a cell, a line each."""
    names = {role: function.rpartition(".")[2] for role, function in functions.items()}

    def inner(gate: str, state: str) -> str:
        terms = f"W_{gate} x + U_{gate} h" + (f" + b_{gate}" if has_bias(cell) else "")
        terms += f" + p_{gate} * {state}" if cell.peephole is not None and gate != "g" else ""
        return terms if cell.gate_clip is None else f"clip({terms}, {number(cell.gate_clip)})"

    def called(role: str, argument: str) -> str:
        return f"{names[role]}({argument})" if names[role] else argument

    def bounded(value: str, bound: float | None) -> str:
        return value if bound is None else f"clip({value}, {number(bound)})"

    yield f"i = {called('gate', inner('i', 'c'))}"
    yield "f = 1 - i" if cell.coupled else f"f = {called('gate', inner('f', 'c'))}"
    yield f"g = {called('candidate', inner('g', 'c'))}"
    yield f"c = {bounded('f * c + i * g', cell.cell_clip)}"
    yield f"o = {called('gate', inner('o', 'c'))}"
    output = called("activation", "c")
    if cell.projection is None:
        yield f"h = o * {output}"
    else:
        yield f"h = {bounded(f'W_hr (o * {output})', cell.projection_clip)}"


def _notes(part: Part, merge: str) -> Iterator[str]:
    layer = part.layer
    if layer.go_backwards:
        yield "It reads from the last step on (go_backwards); its output stays in that order."
    if layer.backward is not None:
        yield _MERGES[merge]
    if not layer.return_sequences and layer.backward is not None:
        yield f"Each direction gives the step it read last; output[:, -1] of nn.{part.kind} does not."
    elif not layer.return_sequences:
        yield "Its output is the last step alone."


def _with_lines(text: str, placeholder: str, lines: list[str]) -> str:
    """Return a text with a line that is a placeholder replaced by lines, indented as it is."""
    return re.sub(
        rf"^( *){placeholder}$", lambda found: "\n".join(found[1] + line for line in lines), text, flags=re.MULTILINE
    )
