"""The masks that Keras 3 writes out: what layers make and hand on by themselves, listed as operations and arguments.

A functional model of Keras 3 computes its masks with `keras.ops`, so that its architecture lists those operations, and
hands the mask to each layer by name. Where that is the very mask that the network's own layers hand on, it is left out.

*Source:* keras 3.15.1, keras/src/layers: core/embedding.py and masking.py, merging/base_merge.py and concatenate.py,
compute_mask
"""

from collections.abc import Iterator, Sequence
from typing import Any

from lstm_convert.canonical import Feed, Network
from lstm_convert.frameworks.keras.wiring import Value, WiredCall, Wiring
from lstm_convert.network import masks

_OPERATIONS = ("NotEqual", "Any", "LogicalOr", "ExpandDims", "ZerosLike", "OnesLike", "Concatenate")
MASK_ARGUMENTS = ("mask", "2")

# A mask in a form in which two can be compared: what is unlike what, or several joined; None where all steps count.
_Form = tuple[Any, ...] | None


def operations(wiring: Wiring) -> frozenset[int]:
    """Return the steps of a wiring that only compute masks, or what masks are computed of."""
    first = len(wiring.inputs)
    found = {step for step, call in enumerate(wiring.calls, start=first) if _is_operation(call)}
    found -= {step for step, _ in wiring.outputs}
    for step, call in reversed(list(enumerate(wiring.calls, start=first))):
        if step not in found:
            found -= {read for read, _ in call.reads}
            others = (
                values for name, values in call.given.items() if name not in MASK_ARGUMENTS or _is_operation(call)
            )
            found -= {read for values in others for read, _ in values}
    return frozenset(found)


def differing(network: Network, wiring: Wiring, steps: Sequence[int], hidden: frozenset[int]) -> Iterator[str]:
    """Yield the layers that are handed another mask than the network's own layers hand to them.

    Args:
        network: the network without the written masks.
        wiring: the calls it is made of.
        steps: the step of the network that makes what a step of the wiring does.
        hidden: the steps of the wiring that only compute masks.
    """
    reached = masks.reaching(network)
    written = _Written(wiring, steps)
    for call in wiring.calls:
        given = [value for name in MASK_ARGUMENTS for value in call.given.get(name, ())]
        if _is_operation(call) or not given or given[0][0] not in hidden:
            continue
        own = masks.mask_of_feed(network, Feed(steps[call.reads[0][0]], call.reads[0][1]), reached)
        if _form(network, own) not in written.forms(given[0]):
            yield f"{call.node.path}: it is handed a mask that is computed apart, which is not ported"
    for reads, given_masks in wiring.handed:
        own_masks = [masks.mask_of_feed(network, Feed(steps[step], output), reached) for step, output in reads]
        forms = [_form(network, mask) for mask in own_masks if mask is not None]
        expected = [written.forms(value) if value[0] in hidden else () for value in given_masks]
        if len(forms) != len(expected) or any(form not in those for form, those in zip(forms, expected, strict=True)):
            yield "a nested model is handed a mask that is computed apart, which is not ported"


def _is_operation(call: WiredCall) -> bool:
    return call.node.is_operation and call.node.class_name in _OPERATIONS


def _form(network: Network, mask: masks.Mask | None) -> _Form:
    """Return the form of a mask that the network's own layers hand on."""
    if isinstance(mask, masks.Made):
        call = network.calls[mask.step - len(network.inputs)]
        layer = network.layers[call.layer]
        if layer.kind == "embedding":
            return ("unlike", call.inputs[0], 0.0)
        return ("any unlike", call.inputs[0], float(layer.options["value"]))
    if isinstance(mask, masks.Joined):
        parts = tuple(_form(network, part) for part in mask.parts)
        return ("in turn", parts) if mask.how == masks.IN_TURN else (mask.how, frozenset(parts))
    return None if mask is None else ("given", mask.feed)


class _Written:
    """The masks that the operations of a wiring compute."""

    def __init__(self, wiring: Wiring, steps: Sequence[int]) -> None:
        self._wiring = wiring
        self._steps = steps
        self._known: dict[int, tuple[_Form, ...]] = {}
        for step, call in enumerate(wiring.calls, start=len(wiring.inputs)):
            if _is_operation(call):
                self._known[step] = tuple(self._computed(call))

    def forms(self, value: Value) -> tuple[_Form, ...]:
        """Return the forms in which a written mask may be said."""
        return self._known.get(value[0], ())

    def _computed(self, call: WiredCall) -> Iterator[_Form]:
        parts = [*call.reads, *(value for values in call.given.values() for value in values)]
        known = [self.forms(part) for part in parts]
        match call.node.class_name:
            case "NotEqual":
                number = call.stated.get("1", call.stated.get("x2"))
                if len(parts) == 1 and isinstance(number, int | float):
                    yield ("unlike", Feed(self._steps[parts[0][0]], parts[0][1]), float(number))
            case "ExpandDims":
                yield from known[0]
            case "ZerosLike":
                yield ("zeros",)
            case "OnesLike":
                yield None
            case "LogicalOr":
                yield from self._either(known)
            case "Concatenate":
                if all(len(forms) == 1 for forms in known):
                    yield ("parts", tuple(forms[0] for forms in known))
            case "Any":
                yield from self._any(known[0])

    def _either(self, known: Sequence[tuple[_Form, ...]]) -> Iterator[_Form]:
        if all(len(forms) == 1 for forms in known):
            forms = [one[0] for one in known if one[0] != ("zeros",)]
            yield forms[0] if len(set(forms)) == 1 else (masks.ANY, frozenset(_flat(forms)))

    def _any(self, known: tuple[_Form, ...]) -> Iterator[_Form]:
        """Yield what is true where any feature is: of parts side by side, or one after another."""
        for form in known:
            if form is not None and form[0] == "unlike":
                yield ("any unlike", *form[1:])
            elif form is not None and form[0] == "parts":
                parts = form[1]
                yield ("in turn", parts)
                yield (
                    None
                    if None in parts
                    else parts[0]
                    if len(set(parts)) == 1
                    else (masks.ANY, frozenset(_flat(parts)))
                )


def _flat(forms: Sequence[_Form]) -> Iterator[_Form]:
    for form in forms:
        if form is not None and form[0] == masks.ANY:
            yield from form[1]
        else:
            yield form
