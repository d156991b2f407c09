"""What the joints of a Keras architecture mean for its LSTMs: which one feeds which, and where a mask arrives.

References are resolved through nested models: a layer inside a model whose input is that model's input is fed by
whatever the model was called on.
"""

from collections import Counter
from collections.abc import Iterator

from lstm_convert.errors import InvalidFile
from lstm_convert.frameworks.keras.architecture import Node
from lstm_convert.frameworks.keras.inbound import references
from lstm_convert.frameworks.keras.recurrent_specs import RecurrentSpec, recurrent_layers

# These end a mask: what they return has other steps than their input, or none. A recurrent layer that returns its last
# step ends it too. Source: keras 3.15.1, compute_mask of the layers named.
_MASK_ENDS = ("Flatten", "RepeatVector", "Reshape", "GlobalAveragePooling1D", "GlobalMaxPooling1D")
_IDENTITY_AT_INFERENCE = (
    "Dropout",
    "SpatialDropout1D",
    "GaussianDropout",
    "GaussianNoise",
    "AlphaDropout",
    "InputLayer",
)

# The kinds whose last states are h alone.
_ONE_STATE = ("GRU", "CuDNNGRU", "SimpleRNN")

Feed = tuple[Node, int]


class Graph:
    """Who feeds whom in an architecture, layer by layer, nested models seen through."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self._parents = {id(child): node for node in root.walk() for child in node.children}
        self._recurrent = {id(spec.node): spec for spec in recurrent_layers(root)}
        self._readers = Counter(
            id(feed)
            for node in root.walk()
            if not node.is_model and self._stands_in_a_model(node)
            for feed in {id(feed): feed for feed, output in self.feeds(node) if output == 0}.values()
        )
        self._readers.update(id(feed) for feed, output in self._outputs(root) if output == 0)

    def followed(self, node: Node) -> Node | None:
        """Return the recurrent layer whose whole output sequence only a node reads, and nothing else, or None.

        Dropout between the two does not count: it does nothing at inference.
        """
        own = self._recurrent.get(id(node))
        while node.class_name != "TimeDistributed":
            feeds = list(self.feeds(node))
            if len(feeds) != 1 or feeds[0][1] != 0 or self._readers[id(feeds[0][0])] > 1:
                return None
            node = feeds[0][0]
            if spec := self._recurrent.get(id(node)):
                whole = spec.options["return_sequences"] and spec.options.get("merge", "concat") == "concat"
                alone = (
                    len(spec.names) == 1
                    and spec.time_major == (own is not None and own.time_major)
                    and node.class_name != "TimeDistributed"
                )
                return node if whole and alone else None
            if node.class_name not in _IDENTITY_AT_INFERENCE:
                return None
        return None

    def states_from(self, node: Node) -> Node | None:
        """Return the recurrent layer whose last states, all and in their order, a node starts with, or None."""
        states = [feed for feed in list(self.feeds(node))[1:] if feed[1] > 0]
        maker = states[0][0] if states else node
        made, own = (_state_outputs(self._recurrent.get(id(layer))) for layer in (maker, node))
        fits = len(made) == len(own) and states == [(maker, output) for output in made]
        return maker if maker is not node and made and fits else None

    def is_given_states(self, node: Node) -> bool:
        """Return whether a call of a node hands it more than its sequence and a mask: the states it starts with."""
        return any(len(call) > 2 for call in node.inputs)  # noqa: PLR2004 (the two)

    def is_repeated(self, node: Node) -> bool:
        """Return whether a node is, or stands in, a TimeDistributed: it runs over each sequence of a sample."""
        parent = self._parents.get(id(node))
        return node.class_name == "TimeDistributed" or (parent is not None and self.is_repeated(parent))

    @property
    def batch_size(self) -> int | None:
        """The number of sequences that the model was made for, where it was made for one number."""
        for node in self.root.walk():
            shape = node.config.get("batch_shape", node.config.get("batch_input_shape"))
            if isinstance(shape, list) and shape and isinstance(shape[0], int):
                return shape[0]
        return None

    def mask_source(self, node: Node) -> Node | None:
        """Return the layer whose mask reaches a node (itself, where it was handed one that no layer makes), or None."""
        return self._masking_above(node) or (node if node.given_mask else None)

    def _masking_above(self, node: Node) -> Node | None:
        """Return the nearest layer that masks what a node reads, or None."""
        seen = {id(node)}
        waiting = [feed for feed, _ in self.feeds(node)]
        while waiting:
            feed = waiting.pop()
            if id(feed) in seen:
                continue
            seen.add(id(feed))
            if feed.class_name == "Masking" or feed.config.get("mask_zero"):
                return feed
            spec = self._recurrent.get(id(feed))
            if feed.class_name in _MASK_ENDS or (spec and not spec.options["return_sequences"]):
                continue
            waiting += [further for further, _ in self.feeds(feed)]
        return None

    def feeds(self, node: Node) -> Iterator[Feed]:
        """Yield what a layer is called on, in order, every call of it: (layer, output number)."""
        parent = self._parents.get(id(node))
        while parent is not None and not parent.is_model:
            node, parent = parent, self._parents.get(id(parent))
        if parent is None:
            return
        if not node.inputs:
            yield from self._feeds_of_input(parent, node)
        for call in node.inputs:
            for name, output in call:
                yield from self._resolve(parent.child(name), output)

    def _stands_in_a_model(self, node: Node) -> bool:
        """Return whether a node is a layer of a model, not what a wrapper wraps: that reads nothing of its own."""
        parent = self._parents.get(id(node))
        return parent is not None and parent.is_model

    def _resolve(self, node: Node, output: int) -> Iterator[Feed]:
        """Yield the layer that makes a node's output: the node, or the layer inside it where it is a model."""
        if not node.is_model:
            yield node, output
        elif node.is_chain:
            yield from self._resolve(node.children[-1], 0)
        else:
            outputs = list(references(node.config.get("output_layers")))
            if output >= len(outputs):
                raise InvalidFile(
                    f"the architecture refers to output {output} of {node.path!r}, which has {len(outputs)}"
                )
            name, inner_output = outputs[output]
            yield from self._resolve(node.child(name), inner_output)

    def _outputs(self, root: Node) -> Iterator[Feed]:
        """Yield what a model returns."""
        if root.is_chain:
            yield from self._resolve(root.children[-1], 0)
        for name, output in references(root.config.get("output_layers")):
            yield from self._resolve(root.child(name), output)

    def _feeds_of_input(self, model: Node, node: Node) -> Iterator[Feed]:
        """Yield what a nested model was called on at the place of one of its input layers."""
        if model.is_chain:
            yield from self.feeds(model)
            return
        names = [name for name, _ in references(model.config.get("input_layers"))]
        if node.name in names:
            feeds = list(self.feeds(model))
            for start in range(0, len(feeds), len(names)):
                yield from feeds[start + names.index(node.name) :][:1]


def _state_outputs(spec: RecurrentSpec | None) -> list[int]:
    """Return which outputs of a recurrent layer are its last states; none of a stack, whose cells have their own."""
    if spec is None or spec.stacked:
        return []
    first = 2 if spec.options.get("merge", "concat") is None else 1
    return list(range(first, first + sum(1 if cell.kind in _ONE_STATE else 2 for cell in spec.cells)))
