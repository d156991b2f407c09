"""What a `forward` is written with: values with their shapes and the order of their axes, and statements."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lstm_convert.canonical import Activation, Layer
from lstm_convert.export.classes import Classes
from lstm_convert.export.expressions import Call, Expression, lines
from lstm_convert.export.templates import LINE, number

Size = int | str  # a string names what only the input says: time

# Functions of torch with an argument more; all others are called with x alone.
_WITH_ARGUMENTS = {
    "softmax": ("torch.softmax", "-1"),
    "log_softmax": ("torch.log_softmax", "-1"),
    "elu": ("F.elu", "alpha"),
    "leaky_relu": ("F.leaky_relu", "slope"),
}
OVER_UNITS = ("softmax", "log_softmax", "sparsemax")

_INDENT = 8
_LONGEST_COMMENT = 72
_TYPED = ("torch.", "F.")  # whose results are known to be tensors; what a module returns may be anything


@dataclass(frozen=True)
class Value:
    """A tensor of `forward`.

    Args:
        text: its name, or an expression.
        shape: the sizes of its axes in the order of the source.
        order: for each axis of the tensor, which axis of the source's it is: (0, 2, 1) where channels are second.
        whole: whether its numbers are integers.
    """

    text: str
    shape: tuple[Size, ...]
    order: tuple[int, ...] = ()
    whole: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", self.order or tuple(range(self.rank)))

    @property
    def rank(self) -> int:
        """The number of its axes."""
        return len(self.shape)

    def axis(self, axis: int) -> int:
        """Return which axis of the tensor an axis of the source's is; either may count from the end."""
        return self.order.index(axis % self.rank)

    def arranged(self, order: Sequence[int] = ()) -> str:
        """Return the expression of the tensor with its axes in an order, that of the source where none is given."""
        order = tuple(order) or tuple(range(self.rank))
        moved = [self.order.index(axis) for axis in order]
        swapped = [axis for axis, source in enumerate(moved) if axis != source]
        if not swapped:
            return self.text
        if len(swapped) == len("ab"):
            return f"{self.text}.transpose({swapped[0]}, {swapped[1]})"
        return f"{self.text}.permute({', '.join(map(str, moved))})"

    @property
    def sizes(self) -> str:
        """The sizes of the tensor's axes as a comment has them."""
        shown = ", ".join(str(self.shape[axis]) for axis in self.order)
        return f"({shown[:_LONGEST_COMMENT]} ...)" if len(shown) > _LONGEST_COMMENT else f"({shown})"


@dataclass
class Statement:
    """One assignment of `forward`."""

    target: str
    expression: Expression
    comment: str = ""

    def lines(self, before: str, after: str = "") -> Iterator[str]:
        """Yield it in as few lines as fit, its comment behind it where that fits, else above it.

        Args:
            before: what stands in front of the expression.
            after: what stands behind it.
        """
        behind = f"{after}  # {self.comment}" if self.comment else after
        if len(f"{' ' * _INDENT}{before}{self.expression}{behind}") > LINE and self.comment:
            yield f"{' ' * _INDENT}# {self.comment}"
            behind = after
        yield from lines(self.expression, before, behind, _INDENT)

    @property
    def typed(self) -> bool:
        """Whether a type checker knows its expression to be a tensor."""
        if isinstance(self.expression, Call):
            return self.expression.function.startswith(_TYPED) or self.expression.function.isidentifier()
        return str(self.expression).startswith(_TYPED)


@dataclass
class Step:
    """One call of a layer that is being written.

    Args:
        layer: the layer.
        name: of its submodule.
        inputs: what it reads.
        targets: the names that its outputs are assigned to; `_` for those nobody reads.
        classes: what the file has of functions and classes.
        mask: the name of the mask that reaches it, or None.
        masks: the names of the masks on each of its inputs, or None for each.
        states: what a recurrent layer starts from.
        statements: what is written.
        modules: for each submodule, the call that makes it.
    """

    layer: Layer
    name: str
    inputs: list[Value]
    targets: list[str]
    classes: Classes
    mask: str | None = None
    masks: list[str | None] = field(default_factory=list)
    states: list[Value] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    module: Call | None = None
    frozen: tuple[str, ...] = ()

    @property
    def x(self) -> Value:
        """The first input."""
        return self.inputs[0]

    def say(
        self, expression: Expression, shape: Sequence[Size], order: Sequence[int] = (), note: str = "", target: str = ""
    ) -> Value:
        """Write an assignment and return what it assigned.

        Args:
            expression: what is computed.
            shape: its sizes, in the order of the source's axes.
            order: of the axes of what is computed, the source's where not given.
            note: what the comment says besides.
            target: the name, that of the first output where not given.
        """
        value = Value(target or self.targets[0], tuple(shape), tuple(order))
        if str(expression) != value.text:
            self.statements.append(Statement(value.text, expression, value.sizes + (f": {note}" if note else "")))
        return value

    def unpack(self, targets: str, expression: Expression, shape: Sequence[Size], note: str = "") -> None:
        """Write an assignment to several names.

        Args:
            targets: the names.
            expression: what is computed.
            shape: of the first of them, empty where it is not kept.
            note: what the comment says besides.
        """
        sizes = Value("", tuple(shape)).sizes if shape else ""
        self.statements.append(Statement(targets, expression, f"{sizes} {note}".strip()))

    def activated(self, expression: Expression, activation: Activation) -> Expression:
        """Return the expression of an activation of something."""
        if activation.name == "linear":
            return expression
        if activation.name in _WITH_ARGUMENTS:
            function, argument = _WITH_ARGUMENTS[activation.name]
            numbers = {name: number(value) for name, value in activation.parameters.items()}
            return Call(function, [expression, numbers.get(argument, argument)])
        return Call(self.classes.function(activation), [expression])

    def called(self, *arguments: Expression) -> Call:
        """Return the call of the layer's submodule."""
        return Call(f"self.{self.name}", arguments)
