"""What is to be written for a network: names, the order of its calls, its recurrent submodules, the masks it needs."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from lstm_convert.activations import FUNCTIONS
from lstm_convert.canonical import LSTM, Call, Feed, Network, Recurrent
from lstm_convert.export.names import attributes
from lstm_convert.export.plan import Part, part_of
from lstm_convert.network.masks import ANY, Given, Joined, Made, Mask, mask_of_call, masks_of_inputs, reaching

# What `forward` names by itself, and what the file does.
_TAKEN = (
    "F", "Model", "Path", "State", "Tensor", "backward", "backwards", "backwards_mask", "both", "c_n", "counts",
    "entries", "factor", "forward", "h_n", "kept", "load", "load_file", "mask", "nn", "other_unit", "output", "rest",
    "same_padding", "self", "share", "torch", "total", "unit", "x",
)  # fmt: skip
# Merges in which masked numbers may take no part.
_EXTREMES_AND_PRODUCTS = ("maximum", "minimum", "multiply")


@dataclass(frozen=True, eq=False)
class NetworkPlan:
    """A network with what is decided before its source is written.

    Args:
        network: the layers and their calls.
    """

    network: Network

    @cached_property
    def attributes(self) -> dict[str, str]:
        """For each layer, the name of its submodule."""
        return dict(zip(self.network.layers, attributes(self.network.layers, "layer_"), strict=True))

    @cached_property
    def parameters(self) -> list[str]:
        """The names of what `forward` takes."""
        inputs = self.network.inputs
        uses = self.uses[Feed(0)] if len(inputs) == 1 else []
        alone = len(uses) == 1 and len(self.network.calls[uses[0]].inputs) == 1
        taken = {*_TAKEN, *FUNCTIONS} - ({"x"} if alone else set())
        return attributes((each.name for each in inputs), "input_", taken)

    @property
    def usage(self) -> str:
        """How the module is called."""
        return f"{', '.join(self.output_names)} = model({', '.join(self.parameters)})"

    @cached_property
    def order(self) -> list[int]:
        """The calls, each after those that it reads, so that what belongs to one branch stands together."""
        calls, first = self.network.calls, len(self.network.inputs)
        done: dict[int, None] = {}
        ends = [first + number for number in range(len(calls)) if not self._read(first + number)]
        ends += [feed.step for feed in self.network.outputs]
        for end in ends:
            waiting = [end]
            while waiting:
                step = waiting[-1]
                missing = [read for read in self._reads(step) if read not in done] if step >= first else []
                if missing:
                    waiting.append(missing[0])
                else:
                    done[waiting.pop()] = None
        return [step - first for step in done if step >= first]

    def _reads(self, step: int) -> list[int]:
        call = self.network.calls[step - len(self.network.inputs)]
        return [feed.step for feed in feeds_of(call)]

    def _read(self, step: int) -> bool:
        return step in self._steps_read

    @cached_property
    def _steps_read(self) -> set[int]:
        read = {feed.step for call in self.network.calls for feed in feeds_of(call)}
        return read | {feed.step for feed in self.network.outputs}

    @cached_property
    def uses(self) -> dict[Feed, list[int]]:
        """For each output that something reads or that is one of the network's, the calls that read it."""
        found: dict[Feed, list[int]] = {Feed(number): [] for number in range(len(self.network.inputs))}
        for number, call in enumerate(self.network.calls):
            for feed in feeds_of(call):
                found.setdefault(feed, []).append(number)
        for feed in self.network.outputs:
            found.setdefault(feed, [])
        return found

    @cached_property
    def reached(self) -> list[Mask | None]:
        """The mask on each step's output."""
        return reaching(self.network)

    def mask(self, call: Call) -> Mask | None:
        """Return the mask that a call needs, or None."""
        layer = self.network.layers[call.layer]
        averages = layer.kind == "global_pool" and layer.options["form"] == "average" and layer.options["masked"]
        return mask_of_call(self.network, call, self.reached) if layer.recurrent or averages else None

    def masks(self, call: Call) -> tuple[Mask | None, ...]:
        """Return the masks on each input of a call, where it needs those."""
        layer = self.network.layers[call.layer]
        needs = layer.kind == "merge" and layer.options["form"] in _EXTREMES_AND_PRODUCTS and self.network.joins == ANY
        return masks_of_inputs(self.network, call, self.reached) if needs else (None,) * len(call.inputs)

    @cached_property
    def needed(self) -> list[Mask]:
        """The masks that anything needs, each after those it is joined of."""
        found: dict[Mask, None] = {}
        for number in self.order:
            call, step = self.network.calls[number], len(self.network.inputs) + number
            if self.network.layers[call.layer].kind == "masking":
                found[Made(step)] = None
            for mask in (self.mask(call), *self.masks(call)):
                found |= dict.fromkeys(_with_parts(mask))
        return list(found)

    @cached_property
    def mask_names(self) -> dict[Mask, str]:
        """The name of each needed mask: `mask` where it is the only one."""
        if len(self.needed) == 1:
            return {self.needed[0]: "mask"}
        names = attributes((f"{self._origin(mask)}_mask" for mask in self.needed), "layer_", self._occupied)
        return dict(zip(self.needed, names, strict=True))

    def _origin(self, mask: Mask) -> str:
        first = len(self.network.inputs)
        match mask:
            case Given(feed):
                return self._name_of_step(feed.step)
            case Made(step):
                read = self.network.calls[step - first].inputs[0].step
                return self.parameters[read] if read < first else self._name_of_step(step)
            case Joined():
                return "joined"

    def _name_of_step(self, step: int) -> str:
        first = len(self.network.inputs)
        return self.parameters[step] if step < first else self.attributes[self.network.calls[step - first].layer]

    @property
    def _occupied(self) -> set[str]:
        return {*_TAKEN, *FUNCTIONS, *self.parameters}

    @cached_property
    def targets(self) -> dict[int, list[str]]:
        """For each call the names of its outputs: x in a chain, else the layer's; `_` for what nobody reads."""
        names = self._occupied | set(self.mask_names.values())
        found: dict[int, list[str]] = {}
        for place, number in enumerate(self.order):
            layer = self.network.layers[self.network.calls[number].layer]
            step = len(self.network.inputs) + number
            found[number] = []
            for output, ending in enumerate(endings(layer.recurrent)):
                feed = Feed(step, output)
                if feed not in self.uses and layer.recurrent is not None:
                    target = "_"
                elif output == 0 and self._in_chain(feed, place):
                    target = "x"
                else:
                    (target,) = attributes([self.attributes[layer.name] + ending], "layer_", names)
                    names.add(target)
                found[number].append(target)
        return found

    def _in_chain(self, feed: Feed, place: int) -> bool:
        """Return whether an output is read by the next call alone, as its only input, or is what is returned."""
        uses, returned = self.uses.get(feed, []), self.network.outputs.count(feed)
        if place + 1 == len(self.order):
            return len(self.network.outputs) == returned == 1
        following = self.order[place + 1]
        return not returned and uses == [following] and self.network.calls[following].inputs == (feed,)

    @property
    def output_names(self) -> list[str]:
        """What the outputs are called: the layer, and which output of it where it has several."""
        first, names = len(self.network.inputs), []
        for feed in self.network.outputs:
            if feed.step < first:
                names.append(self.parameters[feed.step])
                continue
            layer = self.network.layers[self.network.calls[feed.step - first].layer]
            names.append(self.attributes[layer.name] + endings(layer.recurrent)[feed.output])
        return names

    @cached_property
    def parts(self) -> dict[str, Part]:
        """For each recurrent layer that is called, its submodule."""
        masked: dict[str, bool] = {}
        for call in self.network.calls:
            if self.network.layers[call.layer].recurrent is not None:
                masked[call.layer] = masked.get(call.layer, False) or self.mask(call) is not None
        return {
            name: part_of(recurrent, self.attributes[name], masked=masked[name])
            for name, layer in self.network.layers.items()
            if (recurrent := layer.recurrent) is not None and name in masked
        }


def feeds_of(call: Call) -> tuple[Feed, ...]:
    """Return all that a call reads."""
    return (*call.inputs, *call.states, *([call.mask] if call.mask else []))


def endings(layer: Recurrent | None) -> list[str]:
    """Return for each output of a layer what ends its name."""
    if layer is None:
        return [""]
    states = ["_h", "_c"] if isinstance(layer, LSTM) else ["_h"]
    if layer.backward is None:
        return ["", *states]
    own = [""] if layer.merge else ["_forward", "_backward"]
    return [*own, *(f"_{direction}{state}" for direction in layer.cells for state in states)]


def _with_parts(mask: Mask | None) -> Iterator[Mask]:
    if isinstance(mask, Joined):
        for part in mask.parts:
            yield from _with_parts(part)
    if mask is not None:
        yield mask
