"""The layers, calls and names of the Keras model that a network becomes."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from lstm_convert.canonical import Feed, Network
from lstm_convert.frameworks.keras.network_flow import dtypes, read_by
from lstm_convert.frameworks.keras.network_form import Form
from lstm_convert.frameworks.keras.network_graph import Part, PartCall, Tensor, in_keras_order
from lstm_convert.frameworks.keras.network_names import Names
from lstm_convert.frameworks.keras.network_parts import Called, called, keras_forms
from lstm_convert.frameworks.keras.network_told_masks import computed
from lstm_convert.network.shapes import shape_of, shapes

_STEPS = 2  # the axes of a mask


@dataclass(frozen=True)
class Written:
    """A network in Keras's layers.

    Args:
        parts: the layers, operations and inputs, in Keras's order.
        inputs: the names of the inputs, in the order in which they are handed in.
        outputs: what is returned.
        names: the Keras name of each layer of the network that an output comes of.
        apart: those of them that stand among others that bring them their numbers, or take their result on.
    """

    parts: list[Part]
    inputs: list[str]
    outputs: list[Tensor]
    names: Mapping[str, str]
    apart: frozenset[str]


def built(network: Network) -> Written:
    """Return what a network becomes in Keras.

    Args:
        network: what Keras 3 can hold.
    """
    calls = called(network)
    free = Names()
    inputs = [free.free(entry.name) for entry in network.inputs]
    names = {name: free.free(name) for name in dict.fromkeys(each.layer.name for each in calls)}
    building = _Building(network, free, names)
    building.take_in(inputs)
    for each in calls:
        building.add(each)
    outputs = [building.tensor(feed) for feed in network.outputs]
    apart = frozenset(building.apart)
    return Written(in_keras_order(building.parts, outputs), inputs, outputs, names, apart)


class _Building:
    """The Keras layers that are made so far, and which of their calls makes what each step of the network returns."""

    def __init__(self, network: Network, free: Names, names: Mapping[str, str]) -> None:
        self.parts: dict[str, Part] = {}
        self.apart: set[str] = set()
        self._network = network
        self._free = free
        self._names = names
        self._shapes = shapes(network)
        self._dtypes = dtypes(network)
        self._made: dict[int, tuple[str, int]] = {}
        self._chains: dict[str, list[Part]] = {}
        self._told: dict[Hashable, Tensor] = {}  # by the mask
        read = [*network.outputs, *(feed for each in network.calls for feed in read_by(each))]
        self._beyond = {feed.step for feed in read if network.is_state(feed)}

    def take_in(self, names: list[str]) -> None:
        """Make the inputs of the network."""
        batch = next((layer.batch_size for layer in self._network.recurrent if layer.stateful), None)
        for step, (name, entry) in enumerate(zip(names, self._network.inputs, strict=True)):
            self.parts[name] = Part(name, None, entry.dtype, (batch, *entry.shape))
            self._made[step] = (name, 0)

    def add(self, each: Called) -> None:
        """Make the layers of a call, where it is their first, and call them."""
        name = each.layer.name
        if name not in self._chains:
            self._chains[name] = self._new(each)
        chain = self._chains[name]
        call = PartCall(
            tuple(map(self.tensor, each.call.inputs)),
            listed=each.layer.kind == "merge",
            states=tuple(map(self.tensor, each.call.states)),
            mask=self._mask(each),
        )
        self._call(each.step, chain[0], call)
        read = [call.inputs[0]]
        for place, part in enumerate(chain[1:], start=1):
            read.append(self.tensor(Feed(each.step)))
            by = part.form.by_ones if part.form else 0
            ones = [self._of_ones(read[place - by], chain[place - by : place])] if by else []
            self._call(each.step, part, PartCall((read[place], *ones)))

    def tensor(self, feed: Feed) -> Tensor:
        """Return what makes an output, in Keras."""
        name, call = self._made[feed.step]
        rank = 1 + len(shape_of(self._network, feed, self._shapes))
        return Tensor(name, call, feed.output, rank, self._dtypes[feed.step])

    def _mask(self, each: Called) -> Tensor | None:
        if each.call.mask is not None:
            return self.tensor(each.call.mask)
        if each.told is None:
            return None
        if each.told not in self._told:
            self._told[each.told] = computed(each.told, self._network, self.tensor, self._operate)
        return self._told[each.told]

    def _operate(self, form: Form, read: tuple[Tensor, ...]) -> Tensor:
        name = self._free.free("mask")
        self.parts[name] = Part(name, form, "bool", calls=[PartCall(read)])
        return Tensor(name, 0, 0, _STEPS, "bool")

    def _of_ones(self, read: Tensor, chain: list[Part]) -> Tensor:
        """Return what layers make of ones where they read something."""
        ones = Part(self._free.free(f"{chain[-1].name}_ones"), Form("OnesLike", operation=True), read.dtype)
        self.parts[ones.name] = ones
        made = read
        for part in (ones, *chain):
            part.calls.append(PartCall((made,)))
            made = Tensor(part.name, len(part.calls) - 1, 0, read.rank, read.dtype)
        return made

    def _call(self, step: int, part: Part, call: PartCall) -> None:
        part.calls.append(call)
        self._made[step] = (part.name, len(part.calls) - 1)

    def _new(self, each: Called) -> list[Part]:
        name, dtype = self._names[each.layer.name], self._dtypes[each.step]
        made = keras_forms(each, name, dtype, return_state=self._returns_state(each))
        bearer = next((number for number, form in enumerate(made) if not form.serves), 0)
        chain = []
        for number, form in enumerate(made):
            own = name if number == bearer else self._free.free(f"{name}_{form.class_name.lower()}")
            chain.append(Part(own, form, dtype))
        self.parts |= {part.name: part for part in chain}
        if any(form.serves for form in made):
            self.apart.add(each.layer.name)
        return chain

    def _returns_state(self, each: Called) -> bool:
        recurrent = each.layer.recurrent
        first = len(self._network.inputs)
        read = any(self._network.calls[step - first].layer == each.layer.name for step in self._beyond)
        return read or (recurrent is not None and recurrent.return_state)
