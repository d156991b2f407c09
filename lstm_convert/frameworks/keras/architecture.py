"""A Keras architecture: the JSON that says which layers a model has, how they are joined and what each is set to.

Spellings of all ages are read: Keras 1 (`output_dim`, `inner_activation`, a Sequential whose config is a list), Keras 2
and tf.keras (`inbound_nodes` as lists), Keras 3 (`keras_history` inside serialised arguments).

Source: keras 1.2.2, 2.2.0, 2.15.0, 3.15.1: keras/engine/topology.py, keras/src/models/functional.py (get_config)
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

from lstm_convert.errors import InvalidFile
from lstm_convert.frameworks.keras.inbound import calls_of, mentions_mask

FORWARD, BACKWARD = "forward_layer", "backward_layer"  # as a Bidirectional calls its directions
WRAPPED_ATTRIBUTES = ("layer", BACKWARD)
# Keras 1's, which as the first layer of a Sequential holds the models that it joins.
MERGE = "Merge"
# The numbers that an activation layer has unless its config says others.
# Source: keras 2.15.0, keras/src/layers/activation/*.py
_ACTIVATION_LAYERS: Mapping[str, Mapping[str, Any]] = {
    "ELU": {"alpha": 1.0},
    "LeakyReLU": {"alpha": 0.3},
    "ReLU": {"max_value": None, "negative_slope": 0.0, "threshold": 0.0},
    "Softmax": {"axis": -1},
    "ThresholdedReLU": {"theta": 1.0},
}

_PACKAGES = ("keras", "tf_keras", "tensorflow")

_DEEPEST_NESTING = 50
_MOST_LAYERS = 100_000


@dataclass(frozen=True, eq=False)
class Node:
    """One layer, wrapper or model of an architecture.

    Args:
        name: the layer's own name.
        path: its names from the outermost model inwards, joined by dots.
        class_name: its Keras class.
        config: its settings.
        trainable: its own flag, and whether every model around it is trainable too.
        inputs: for each call of it, the (name, output number) pairs it was called on.
        inbound: what its architecture says of each call, as it says it.
        given_mask: whether a call of it was handed a mask by name.
        children: the layers of a model, the wrapped layer of a wrapper.
        own_class: the full name of its class, where that is the user's own, whatever its last name is.
        is_operation: whether it is no layer but one of the functions in `keras.ops`, which Keras 3 lists among them.
    """

    name: str
    path: str
    class_name: str
    config: Mapping[str, Any]
    trainable: tuple[bool, bool]
    inputs: tuple[tuple[tuple[str, int], ...], ...] = ()
    inbound: tuple[Any, ...] = ()
    given_mask: bool = False
    children: tuple["Node", ...] = ()
    own_class: str = ""
    is_operation: bool = False

    @property
    def is_model(self) -> bool:
        """Whether this is a model with layers of its own, not a wrapper or a layer."""
        wraps = any(attribute in self.config for attribute in WRAPPED_ATTRIBUTES)
        return bool(self.children) and not wraps and self.class_name != MERGE

    @property
    def is_chain(self) -> bool:
        """Whether this is a model whose layers are called one after another."""
        return self.is_model and _is_sequential(self.class_name, self.config)

    def child(self, name: str) -> "Node":
        """Return the layer of this model with a given name."""
        if name not in self._by_name:
            here = self.path or "the model"
            raise InvalidFile(f"the architecture refers to a layer {name!r} that {here} does not have")
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, "Node"]:
        return {child.name: child for child in reversed(self.children)}

    def walk(self) -> Iterator["Node"]:
        """Yield this node and all below it, in the model's order."""
        yield self
        for child in self.children:
            yield from child.walk()


def parse(document: Any) -> Node:
    """Return the tree of layers that an architecture describes.

    Args:
        document: the decoded JSON or YAML of `to_json()`, `to_yaml()`, `model_config` or `config.json`.

    Raises:
        InvalidFile: it is not an architecture, or is nested too deeply.
    """
    if not isinstance(document, Mapping) or "class_name" not in document:
        raise InvalidFile(
            "this is no Keras architecture: expected an object with class_name and config",
            next_step="Give what model.to_json() or model.to_yaml() returned.",
        )
    root = _node(document, path=(), outer_trainable=True, depth=0)
    if sum(1 for _ in root.walk()) > _MOST_LAYERS:
        raise InvalidFile(f"the architecture has more than {_MOST_LAYERS} layers")
    return root


def activation_name(value: Any) -> str:
    """Return the name by which a config states an activation, whatever form it has there.

    A function of the user's own, and a layer with numbers of its own, get a name that no table has.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        return "linear"
    if "class_name" not in value and isinstance(
        value.get("name"), str
    ):  # as the cell of our own states it, its numbers beside it
        return str(value["name"])
    class_name, config = str(value.get("class_name")), value.get("config")
    if isinstance(config, str):
        module = str(value.get("module") or "builtins")
        return config if module.partition(".")[0] in ("builtins", "keras", "tensorflow") else f"{module}.{config}"
    usual = _ACTIVATION_LAYERS.get(class_name, {})
    stated = {name: number for name, number in config_of(config).items() if name not in ("name", "dtype", "trainable")}
    unusual = {name: number for name, number in stated.items() if not _same(number, usual.get(name, ...))}
    return f"{class_name}({unusual})" if unusual else class_name


def _same(stated: Any, usual: Any) -> bool:
    """Return whether a number is the usual one; Keras keeps some of them as float32."""
    if isinstance(stated, float) and isinstance(usual, float):
        return math.isclose(stated, usual, rel_tol=1e-6)
    return bool(stated == usual)


def config_of(config: Any) -> Mapping[str, Any]:
    """Return a config, or an empty one where there is none."""
    return config if isinstance(config, Mapping) else {}


def _layer_documents(class_name: str, config: Any) -> Sequence[Any]:
    """Return the layers that a model's config lists; Keras 1's Sequential is that list itself."""
    if isinstance(config, list) and class_name == "Sequential":
        return config
    layers = config_of(config).get("layers")
    return layers if isinstance(layers, list) else []


def _node(document: Any, path: tuple[str, ...], *, outer_trainable: bool, depth: int, name: str = "") -> Node:
    if depth > _DEEPEST_NESTING:
        raise InvalidFile(f"the architecture is nested more than {_DEEPEST_NESTING} models deep")
    if not isinstance(document, Mapping) or not isinstance(document.get("class_name"), str):
        raise InvalidFile(f"a layer of {'.'.join(path) or 'the model'} has no class_name in the architecture")
    class_name, config = document["class_name"], document.get("config")
    own_trainable = bool(config_of(config).get("trainable", True))
    own_name = name or str(config_of(config).get("name") or document.get("name") or class_name.lower())
    here = (*path, own_name) if depth else ()
    documents = _layer_documents(class_name, config)
    wrapped = [config_of(config).get(attribute) for attribute in WRAPPED_ATTRIBUTES]
    trainable = outer_trainable and own_trainable
    children = [_node(child, here, outer_trainable=trainable, depth=depth + 1) for child in documents]
    children += [
        _node(child, here[:-1], outer_trainable=trainable, depth=depth + 1, name=own_name)
        for child in wrapped
        if isinstance(child, Mapping)
    ]
    return Node(
        name=own_name,
        path=".".join(here),
        class_name=class_name,
        config=config_of(config),
        trainable=(trainable, own_trainable),
        inputs=calls_of(document.get("inbound_nodes")),
        inbound=tuple(document["inbound_nodes"]) if isinstance(document.get("inbound_nodes"), list) else (),
        given_mask=mentions_mask(document.get("inbound_nodes")),
        children=tuple(_chained(children) if documents and _is_sequential(class_name, config) else children),
        own_class=own_class(document),
        is_operation=_is_operation(document),
    )


def _is_sequential(class_name: str, config: Any) -> bool:
    """Return whether a model is a Sequential, which a class of the user's own may be under another name."""
    return class_name not in ("Functional", "Model", MERGE) and "input_layers" not in config_of(config)


def own_class(document: Mapping[str, Any]) -> str:
    """Return the full name of a class of the user's own; nothing for one of Keras's, or where only a name is stated."""
    name, module = document.get("registered_name"), str(document.get("module") or "keras")
    if not isinstance(name, str) or (">" not in name and module.partition(".")[0] in _PACKAGES):
        return ""
    return name if ">" in name else f"{module}.{name}"


def _is_operation(document: Mapping[str, Any]) -> bool:
    """Return whether an entry is a function of `keras.ops`; in HDF5, Keras 3 says that only by what it leaves out."""
    if "module" in document:
        return str(document["module"]).startswith("keras.src.ops")
    calls = document.get("inbound_nodes")
    modern = isinstance(calls, list) and any(isinstance(call, Mapping) for call in calls)
    return modern and not {"trainable", "dtype"} & config_of(document.get("config")).keys()


def _chained(children: list[Node]) -> list[Node]:
    """Return a Sequential's layers, each called once on the one before it."""
    followers = [replace(node, inputs=(((before.name, 0),),)) for before, node in pairwise(children)]
    return children[:1] + followers


def snake_case(class_name: str) -> str:
    """Return a class's name as saved state spells it: `TimeDistributed` is `time_distributed`, `LSTMCell` `lstm_cell`.

    *Source:* keras 3.15.1, keras/src/utils/naming.py, to_snake_case.
    """
    return re.sub(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", class_name).lower()
