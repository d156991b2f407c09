"""A whole network: the layers around the recurrent ones, and who reads whose output.

Layers compute as Keras says they do, on arrays whose first axis is the batch. Their own arrays are kept as the gates'
are: rows for what comes out, columns for what goes in. Nested models are taken apart: what they hold is named by its
path, `inner.dense`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lstm_convert.canonical.gates import Array
from lstm_convert.canonical.kinds import KINDS, RECURRENT
from lstm_convert.canonical.layers import Recurrent
from lstm_convert.canonical.options import refusals
from lstm_convert.errors import LayoutMismatch


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of a network.

    Args:
        name: its path in the source, names joined by dots.
        kind: a key of `KINDS`.
        options: what it is set to.
        arrays: its arrays.
        recurrent: what it is where its kind is `recurrent`, else None.
        each_step: whether it works on each entry along axis 1 by itself (Keras's TimeDistributed).

    Raises:
        LayoutMismatch: options or arrays are not those of its kind.
    """

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    recurrent: Recurrent | None = None
    each_step: bool = False

    def __post_init__(self) -> None:
        kind = KINDS[self.kind]
        wrong = [f"{self.name}: option {name}" for name in sorted(set(kind.options) ^ set(self.options))]
        wrong += [f"{self.name}: {refusal}" for refusal in refusals(kind.options, {"form": self.options.get("form")})]
        wrong += [f"{self.name}: {name} is no array of {self.kind}" for name in self.arrays if name not in kind.arrays]
        wrong += [f"{self.name}: {name} is missing" for name in kind.needed if name not in self.arrays]
        wrong += [f"{self.name}: a recurrent layer"] * ((self.kind == RECURRENT) != (self.recurrent is not None))
        if wrong:
            raise LayoutMismatch(f"this is no layer of the kind {self.kind}", wrong)


@dataclass(frozen=True)
class Input:
    """An input of a network.

    Args:
        name: its name in the source.
        shape: of one sample, without the batch; None where any size is taken.
        dtype: of its numbers.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class Feed:
    """One output of a step of a network: of an input, or of a call.

    Args:
        step: which step, inputs first, then calls.
        output: which output of it. Those of a recurrent layer are its sequence or last step (one a direction where the
            two are not merged), then the last states: h and c of each direction, h alone where the kind has no c.
    """

    step: int
    output: int = 0


@dataclass(frozen=True)
class Call:
    """One call of a layer; a layer that is called more than once shares its weights.

    Args:
        layer: the layer's name.
        inputs: what it reads.
        states: what a recurrent layer starts from, h and c of each direction, or h alone; zeros where there are none.
        mask: a mask that is handed to it; where None, it has that of its input, if any.
    """

    layer: str
    inputs: tuple[Feed, ...]
    states: tuple[Feed, ...] = ()
    mask: Feed | None = None


@dataclass(frozen=True, eq=False)
class Network:
    """Layers and their calls.

    Args:
        inputs: the inputs, in the order in which they are handed in.
        layers: the layers by name, in the source's order.
        calls: the calls, each after those that it reads.
        outputs: what is returned.
        joins: what a merge of inputs with masks does. `all`: a step counts where it does in all masks there are.
            `any`: where it does in any, and all count where an input has none; masked numbers take no part in products,
            maxima and minima. *Source:* keras/src/layers/merging/, `any` from 3.4.0 on
    """

    inputs: tuple[Input, ...]
    layers: Mapping[str, Layer]
    calls: tuple[Call, ...]
    outputs: tuple[Feed, ...]
    joins: str = "all"

    @property
    def is_stack(self) -> bool:
        """Whether it is no more than recurrent layers, one after another, from one input to one output."""
        others = any(layer.kind not in (RECURRENT, "dropout") or layer.each_step for layer in self.layers.values())
        reads = [call.inputs for call in self.calls]
        in_turn = reads == [(Feed(number),) for number in range(len(reads))]
        bare = in_turn and not any(call.states or call.mask for call in self.calls)
        return bare and not others and len(self.inputs) == 1 and {feed.step for feed in self.outputs} == {len(reads)}

    def maker(self, step: int) -> Layer | None:
        """Return the layer whose call a step is; None of an input."""
        number = step - len(self.inputs)
        return None if number < 0 else self.layers[self.calls[number].layer]

    def outputs_of(self, step: int) -> int:
        """Return how many outputs a step has: of a recurrent layer's call its sequences and last states, else one."""
        maker = self.maker(step)
        recurrent = maker.recurrent if maker else None
        return 1 if recurrent is None else recurrent.sequences + recurrent.states

    def is_state(self, feed: Feed) -> bool:
        """Return whether an output is a state that a recurrent layer returns beside its sequences."""
        maker = self.maker(feed.step)
        recurrent = maker.recurrent if maker else None
        return recurrent is not None and feed.output >= recurrent.sequences

    @property
    def recurrent(self) -> tuple[Recurrent, ...]:
        """The recurrent layers, in the source's order."""
        return tuple(layer.recurrent for layer in self.layers.values() if layer.recurrent is not None)

    def with_recurrent(self, layers: Iterable[Recurrent]) -> "Network":
        """Return the same network with other recurrent layers, one for each it has and in their order."""
        fresh = dict(zip((layer.name for layer in self.layers.values() if layer.recurrent), layers, strict=True))
        return replace(
            self,
            layers={
                name: replace(layer, recurrent=fresh[name]) if name in fresh else layer
                for name, layer in self.layers.items()
            },
        )

    def with_names(self, names: Mapping[str, str]) -> "Network":
        """Return the same network with its layers under other names; every layer's is stated."""
        return replace(
            self,
            layers={names[name]: replace(layer, name=names[name]) for name, layer in self.layers.items()},
            calls=tuple(replace(call, layer=names[call.layer]) for call in self.calls),
        )
