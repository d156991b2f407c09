"""The inputs of a Keras architecture: their names, shapes and types, which versions state in different places."""

from typing import Any

from lstm_convert.canonical import Input
from lstm_convert.errors import Unsupported
from lstm_convert.frameworks.keras.architecture import Node
from lstm_convert.frameworks.keras.wiring import INPUT_LAYER, Wiring, inputs_of_model

_SHAPES = ("batch_shape", "batch_input_shape")
_LARGEST_SIZE = 1 << 31
_WHOLE_TYPES = ("int", "uint")


def inputs_of(root: Node, wiring: Wiring) -> tuple[Input, ...]:
    """Return the inputs of an architecture, in its order.

    Args:
        root: the architecture.
        wiring: its calls.

    Raises:
        Unsupported: the shape of one is not stated.
    """
    readers: dict[int, set[str]] = {}
    for call in wiring.calls:
        for step, _ in call.reads:
            readers.setdefault(step, set()).add(call.node.class_name)
    inputs: list[Input] = []
    reasons: list[str] = []
    for number, node in enumerate(wiring.inputs):
        shape = _shape(root, node)
        if shape is None:
            reasons.append(f"{node.path}: the shape of what goes into it is not stated")
            continue
        name = node.name if node.class_name == INPUT_LAYER else f"{node.name}_input"
        inputs.append(Input(name, shape, _dtype(node, only_words=readers.get(number) == {"Embedding"})))
    if reasons:
        raise Unsupported("inputs without a shape", reasons)
    return tuple(inputs)


def _shape(root: Node, node: Node) -> tuple[int | None, ...] | None:
    """Return the shape of one sample, or None where nothing states it."""
    for place in _stating(node):
        config = place.config
        for name in _SHAPES:
            if (shape := _sample(config.get(name))) is not None:
                return shape
        if place.class_name == "Embedding":
            return _sample([None, config.get("input_length")])
        if isinstance(size := config.get("input_dim"), int):
            timeless = place.class_name == "Dense"
            return (size,) if timeless else _sample([None, config.get("input_length"), size])
    return _sample(root.config.get("build_input_shape")) if root.is_chain else None


def _stating(node: Node) -> list[Node]:
    """Return the layers that may state what goes into a layer: itself, and the first inside it."""
    places = [node]
    while node.is_model or node.class_name == "Bidirectional":
        inner = list(inputs_of_model(node)) if node.is_model else list(node.children)
        if not inner:
            break
        node = inner[0]
        places.append(node)
    return places


def _sample(shape: Any) -> tuple[int | None, ...] | None:
    """Return a shape without its batch, or None where it is no shape."""
    if isinstance(shape, list) and len(shape) == 1 and isinstance(shape[0], list):
        shape = shape[0]
    if not isinstance(shape, list) or not shape or not all(map(_is_size, shape)):
        return None
    return tuple(shape[1:])


def _is_size(size: Any) -> bool:
    return size is None or (type(size) is int and 0 <= size <= _LARGEST_SIZE)


def _dtype(node: Node, *, only_words: bool) -> str:
    """Return the type of an input's numbers; an Embedding takes what it reads for whole numbers, whatever is stated."""
    stated = node.config.get("input_dtype") or node.config.get("dtype")
    dtype = stated if isinstance(stated, str) and node.class_name == INPUT_LAYER else "float32"
    return "int32" if only_words and not dtype.startswith(_WHOLE_TYPES) else dtype
