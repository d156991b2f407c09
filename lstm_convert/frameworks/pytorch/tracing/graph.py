"""A graph of torch.export, node by node: each becomes layers of the network, or a line of what is not understood."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from lstm_convert.canonical import Network
from lstm_convert.errors import Unsupported
from lstm_convert.frameworks.pytorch.tracing import nodes, pointwise, shapes, states, windowed
from lstm_convert.frameworks.pytorch.tracing.network import Building
from lstm_convert.frameworks.pytorch.tracing.site import NotUnderstood, Site
from lstm_convert.frameworks.pytorch.tracing.values import Folded, Known, Stack, Tensor, Unknown, Value, Zeros

# By the operator's name, with its overload where it is not the default.
OPERATIONS: Mapping[str, Callable[[Site, Any], Value]] = {
    **pointwise.OPERATIONS,
    **shapes.OPERATIONS,
    **states.OPERATIONS,
    **windowed.OPERATIONS,
}

_ZEROS = ("zeros", "new_zeros", "zeros_like")
_JOINS = ("cat", "concat")
_NAMES = {*OPERATIONS, *states.OF_STACKS, *_ZEROS, "getitem"}

_UNRETURNED = {
    Stack: "the states as they lie; h_n[-1] is one that can be returned",
    Folded: "batch and steps as one axis; let it return (batch, steps, features)",
}


@dataclass
class Walk:
    """A graph on its way through.

    Args:
        building: the network so far.
        batches: the expressions that are the batch's size.
        values: what each node stands for.
        problems: for each module, what of it is not understood.
    """

    building: Building
    batches: frozenset[str]
    values: dict[Any, Value]
    problems: dict[str, list[str]] = field(default_factory=dict)

    def network(self, graph: Sequence[Any]) -> Network:
        """Return the network that a graph is.

        Args:
            graph: its nodes; those of inputs and parameters have their values already.

        Raises:
            Unsupported: some nodes are not understood; all of them are listed.
        """
        outputs: list[Tensor] = []
        for node in graph:
            if node.op == "output":
                returned = [self._returned(value) for value in nodes.flat(node.args[0])]
                outputs = [value for value in returned if value is not None]
            elif node not in self.values:
                self.values[node] = self._understood(node)
        if self.problems:
            raise Unsupported(
                "computes what the canonical network has no layer for",
                [f"{where}: {', '.join(dict.fromkeys(what))}" for where, what in self.problems.items()],
                "Replace these; without them, or with the recurrent modules alone, it can be converted.",
            )
        return self.building.finished([output.feed for output in outputs])

    def _returned(self, node: Any) -> Tensor | None:
        value = self.values.get(node)
        if isinstance(value, Unknown) and not value.why:
            return None
        try:
            if isinstance(value, Tensor):
                return Site(self.building, "output", "", ((None,),), "").ordered(value)
            reason = value.why if isinstance(value, Unknown) else _UNRETURNED.get(type(value), "")
        except NotUnderstood as error:
            reason = str(error)
        self.problems.setdefault("what it returns", []).append(reason or "nothing that depends on the input")
        return None

    def _understood(self, node: Any) -> Value:
        made = node.meta.get("val")
        if node.op != "call_function" or made is None or nodes.is_number(made):
            return Unknown()  # asserts, and numbers for sizes
        a = nodes.arguments(node, self.values, self.batches)
        inputs = list(nodes.flat(list(vars(a).values())))
        if any(isinstance(value, Unknown) and not value.why for value in inputs):
            if nodes.operation(node) not in _NAMES:
                self._problem(node, "")
            return Unknown()
        try:
            return self._made(node, a, inputs)
        except NotUnderstood as reason:
            self._problem(node, str(reason))
            return Unknown()

    def _problem(self, node: Any, reason: str) -> None:
        what = nodes.operation(node) + f" ({reason})" * bool(reason)
        self.problems.setdefault(nodes.place(node), []).append(what)

    def _made(self, node: Any, a: SimpleNamespace, inputs: Sequence[Any]) -> Value:
        operation, made = nodes.operation(node), node.meta["val"]
        if operation == "getitem":
            value: Value = a.self[a.index]
            return value
        if used := next((each.why for each in inputs if isinstance(each, Unknown)), ""):
            raise NotUnderstood(used)
        if operation in _ZEROS:
            return Zeros()
        of_input = any(isinstance(each, Tensor | Stack | Folded | Zeros) for each in inputs)
        if nodes.changes_its_input(node) and (not of_input or nodes.seen_by_others(node)):
            raise NotUnderstood("it works in place on what others read too")
        if not of_input and not any(nodes.is_number(each.meta.get("val")) for each in node.all_input_nodes):
            return Known(self._computed(node))
        joined = inputs if operation in _JOINS else inputs[:1]
        table = states.OF_STACKS if any(isinstance(each, Stack) for each in joined) else OPERATIONS
        if operation not in table:
            raise NotUnderstood("")
        several = made if isinstance(made, list | tuple) else [made]
        dtype = str(several[0].dtype).removeprefix("torch.")
        site = Site(self.building, nodes.name(node), nodes.path(node), nodes.sizes(made, self.batches), dtype)
        folded = next((each for each in inputs if isinstance(each, Folded)), None)
        return table[operation](site, a) if folded is None else _of_folded(operation, site, a, folded.tensor)

    def _computed(self, node: Any) -> Any:
        """Return what an operator makes of parameters and constants alone."""

        def tensor(value: Any) -> Any:
            if isinstance(value, list | tuple):
                return [tensor(each) for each in value]
            known = self.values.get(value) if hasattr(value, "meta") else None
            return known.tensor if isinstance(known, Known) else value

        args = [tensor(value) for value in node.args]
        return node.target(*args, **{name: tensor(value) for name, value in node.kwargs.items()})


def _of_folded(operation: str, site: Site, a: SimpleNamespace, x: Tensor) -> Value:
    """Return what an operation makes of rows along batch and steps together: the same as of rows along both."""
    if operation in shapes.OF_FOLDED:
        return shapes.OF_FOLDED[operation](site, a)
    if operation not in pointwise.OF_ROWS:
        raise NotUnderstood("batch and steps are one axis of what it reads")
    given = vars(a).items()
    apart: dict[str, Any] = {name: value.tensor if isinstance(value, Folded) else value for name, value in given}
    if apart.get("dim", -1) >= 0:
        apart["dim"] += 1
    sizes = tuple((*x.sizes[:2], *each[1:]) for each in site.sizes)
    made = OPERATIONS[operation](replace(site, sizes=sizes), SimpleNamespace(**apart))
    if not isinstance(made, Tensor):
        raise NotUnderstood("batch and steps are one axis of what it reads")
    return Folded(made)
