"""Nodes of a graph of torch.export: their arguments by name, the module that each is in, and what it is called."""

import operator
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

_CONTAINERS = ("torch.nn.modules.container.",)
_LIBRARY = "torch.nn."
MIXED = -1


def operation(node: Any) -> str:
    """Return the name of a node's operator, with its overload where it is not the default; `relu_` is `relu`."""
    target = node.target
    if target is operator.getitem or not hasattr(target, "_schema"):
        return str(getattr(target, "__name__", target))
    name = target._schema.name.partition("::")[2]  # noqa: SLF001 (an operator's schema has no other name)
    name = name.removesuffix("_") if changes_its_input(node) else name
    overload = target._overloadname  # noqa: SLF001 (as above)
    return name if overload == "default" else f"{name}.{overload}"


def changes_its_input(node: Any) -> bool:
    """Return whether a node's operator works in place."""
    return bool(getattr(getattr(node.target, "_schema", None), "is_mutable", False))


def arguments(node: Any, values: Mapping[Any, Any], batches: frozenset[str]) -> SimpleNamespace:
    """Return the arguments of a node by their names in the operator's schema, nodes by what they stand for.

    Args:
        node: the node.
        values: what each earlier node stands for.
        batches: the expressions that are the batch's size.
    """
    if node.target is operator.getitem:
        return SimpleNamespace(self=values[node.args[0]], index=node.args[1])
    names = [argument.name for argument in node.target._schema.arguments]  # noqa: SLF001 (as above)
    defaults = {each.name: each.default_value for each in node.target._schema.arguments}  # noqa: SLF001
    given = defaults | dict(zip(names, node.args, strict=False)) | node.kwargs
    return SimpleNamespace(**{name: _resolved(value, values, batches) for name, value in given.items()})


def _resolved(value: Any, values: Mapping[Any, Any], batches: frozenset[str]) -> Any:
    if isinstance(value, list | tuple):
        return [_resolved(each, values, batches) for each in value]
    if not hasattr(value, "meta"):
        return value
    made = value.meta.get("val")
    return size(made, batches) if is_number(made) else values[value]


def size(number: Any, batches: frozenset[str]) -> int | None:
    """Return a size: None where it is the batch's, `MIXED` where it depends on the batch otherwise."""
    if type(number) is int:
        return number
    text = str(number)
    return None if text in batches else int(text) if text.isdecimal() else MIXED


def is_number(made: Any) -> bool:
    """Return whether a node makes a number for sizes, not a tensor."""
    return made is not None and not hasattr(made, "dtype") and not isinstance(made, list | tuple)


def sizes(made: Any, batches: frozenset[str]) -> tuple[tuple[int | None, ...], ...]:
    """Return the sizes of each tensor that a node makes."""
    several = made if isinstance(made, list | tuple) else [made]
    return tuple(tuple(size(each, batches) for each in tensor.shape) for tensor in several)


def flat(value: Any) -> Iterator[Any]:
    """Yield what lists and tuples hold, at any depth."""
    if isinstance(value, list | tuple):
        for each in value:
            yield from flat(each)
    else:
        yield value


def path(node: Any) -> str:
    """Return the path of the innermost module that a node is in."""
    return _modules(node)[-1][0]


def name(node: Any) -> str:
    """Return what a layer for a node is called: by its module, or by the operator where that is code around modules."""
    where, cls = _modules(node)[-1]
    if where and cls.startswith(_LIBRARY):
        return where
    return f"{where}.{node.name}".lstrip(".").rstrip("_")


def place(node: Any) -> str:
    """Return the module that a user knows a node by: the outermost of PyTorch's own, else the innermost."""
    modules = _modules(node)
    own = [each for each in modules if each[1].startswith(_LIBRARY) and not each[1].startswith(_CONTAINERS)]
    where, cls = own[0] if own else modules[-1]
    short = cls.rpartition(".")[2]
    return f"{where or 'the model'} ({'nn.' * bool(own)}{short})"


def _modules(node: Any) -> list[tuple[str, str]]:
    stack = node.meta.get("nn_module_stack") or {"": ("", "Module")}
    return [(where, str(cls)) for where, cls in stack.values()]


def seen_by_others(node: Any) -> bool:
    """Return whether what a node changes in place is read by another node too, itself or as what it is a view of."""
    seen = node.args[0]
    while True:
        if len(seen.users) > 1 or seen.op != "call_function":
            return True
        if seen.target is not operator.getitem:
            returns = seen.target._schema.returns  # noqa: SLF001 (as above)
            if not any(each.alias_info for each in returns):
                return False
        seen = seen.args[0]
