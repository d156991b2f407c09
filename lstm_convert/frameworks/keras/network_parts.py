"""From the layers of a network to those of Keras: what each becomes, or why Keras cannot hold it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lstm_convert.canonical import Call, Layer, Network, Recurrent
from lstm_convert.errors import Unsupported
from lstm_convert.frameworks import WriteOptions
from lstm_convert.frameworks.keras import extended, writing
from lstm_convert.frameworks.keras.functional import class_name, object_of, recurrent_config
from lstm_convert.frameworks.keras.network_flow import needed, own_dtype
from lstm_convert.frameworks.keras.network_form import Form, Situation
from lstm_convert.frameworks.keras.network_graph import named
from lstm_convert.frameworks.keras.network_layers import forms, needs_no_wrapper
from lstm_convert.frameworks.keras.network_told_masks import can_be_told
from lstm_convert.frameworks.keras.storing import BFLOAT16, OLDER, Located
from lstm_convert.network.masks import ANY, Mask, mask_of_call, masks_of_inputs, reaching
from lstm_convert.network.shapes import Shape, shape_of, shapes

_FORM_BY_MASK = ("maximum", "minimum", "multiply")


@dataclass(frozen=True)
class Called:
    """One call of a layer that an output comes of.

    Args:
        step: its number, as `Feed.step` counts.
        call: the call.
        layer: the layer.
        situation: what the layer is called on.
        mask: the mask that is meant to reach it.
        given: the masks on its inputs.
    """

    step: int
    call: Call
    layer: Layer
    situation: Situation
    mask: Mask | None
    given: tuple[Mask | None, ...]

    @property
    def takes_mask(self) -> bool:
        """Whether what the layer becomes in Keras is handed the mask of what it reads."""
        average = self.layer.kind == "global_pool" and self.layer.options["form"] == "average"
        own = self.layer.recurrent is not None or self.layer.kind == "batch_norm" or average
        return own or (self.layer.each_step and not needs_no_wrapper(self.layer))

    @property
    def told(self) -> Mask | None:
        """The mask that is handed to it by name: Keras 3's versions join masks, and count layers, each otherwise."""
        told = self.takes_mask and self.call.mask is None
        mask = self.given[0] if told and self.given[0] is not None and can_be_told(self.given[0]) else None
        return None if self.layer.each_step and self.mask is not None else mask


def called(network: Network) -> list[Called]:
    """Return the calls that outputs come of.

    Args:
        network: the layers and their calls.

    Raises:
        Unsupported: its masks cannot be told.
    """
    there, read = reaching(network), _read(network)
    found = []
    for number, (call, used) in enumerate(zip(network.calls, needed(network), strict=True)):
        layer, given = network.layers[call.layer], masks_of_inputs(network, call, there)
        masked = any(mask is not None for mask in given) or call.mask is not None
        situation = Situation(read[layer.name], masked)
        mask = mask_of_call(network, call, there)
        if used:
            step = number + len(network.inputs)
            found.append(Called(step, call, layer, situation, mask, given))
    return found


def _read(network: Network) -> dict[str, Shape]:
    """Return the shape of what each layer reads first, without entries that it works on by themselves."""
    made, read = shapes(network), dict[str, Shape]()
    for call in network.calls:
        shape = shape_of(network, call.inputs[0], made)[network.layers[call.layer].each_step :]
        other = read.setdefault(call.layer, shape)
        if len(other) == len(shape):
            read[call.layer] = tuple(one if one == two else None for one, two in zip(shape, other, strict=True))
    return read


def reasons(network: Network, options: WriteOptions) -> Iterator[str]:
    """Yield why a Keras 3 file cannot hold a network exactly, layer by layer; nothing where it can.

    Args:
        network: the layers and their calls.
        options: how it is to be written.
    """
    try:
        calls = called(network)
    except Unsupported as error:
        yield error.what
        return
    first: dict[str, Called] = {}
    for each in calls:
        earlier = first.setdefault(each.layer.name, each)
        if earlier is not each and _forms_of(earlier) != _forms_of(each):
            yield f"{each.layer.name}: its calls need different Keras 3 layers, which cannot share their weights"
        yield from (f"{each.layer.name}: {reason}" for reason in _of_masks(each, network))
        if network.joins == ANY and _keras_makes_another(each) and any(later.takes_mask for later in calls):
            yield f"{each.layer.name}: joins inputs with and without masks; Keras 3 hands on a mask of all steps there"
    masked = {each.layer.name for each in calls if each.mask is not None}
    for name, each in first.items():
        yield from _of_layer(each, options, masked=name in masked)
    batches = {layer.batch_size for layer in network.recurrent if layer.stateful}
    if len(batches) > 1:
        yield f"stateful layers were made for different batch sizes: {sorted(map(str, batches))}"


def _forms_of(each: Called) -> list[str]:
    """Return the classes that a layer becomes where it is called; nothing where that is refused anyway."""
    try:
        return [] if each.layer.recurrent else [form.class_name for form in forms(each.layer, each.situation)]
    except Unsupported:
        return []


def _of_layer(each: Called, options: WriteOptions, *, masked: bool) -> Iterator[str]:
    layer = each.layer
    if layer.recurrent is not None:
        masked_by = "its mask" if masked else None
        yield from writing.refusals(replace(layer.recurrent, masked_by=masked_by), options)
        if layer.each_step and (layer.recurrent.stateful or layer.recurrent.return_state):
            yield f"{layer.name}: keeps or returns states of each step, which Keras 3's TimeDistributed does not"
        return
    if options.extension in OLDER and own_dtype(layer) == BFLOAT16:
        yield f"{layer.name}: bfloat16, which Keras does not load from an older {options.extension}; .keras holds it"
    try:
        forms(layer, each.situation)
    except Unsupported as error:
        yield f"{layer.name}: {error.what}"


def _keras_makes_another(each: Called) -> bool:
    """Return whether Keras makes a mask of all steps where there is none, and by it another order of its layers."""
    concatenates = each.layer.options.get("form") == "concatenate"
    return concatenates and any(each.given) and not all(each.given)


def _of_masks(each: Called, network: Network) -> Iterator[str]:
    """Yield what Keras 3 would do otherwise with the masks that reach a call."""
    layer = each.layer
    form = layer.options.get("form")
    reads = layer.recurrent is not None or layer.kind == "global_pool"
    if each.takes_mask and each.given[0] is not None and each.told is None and each.call.mask is None:
        yield "is reached by a mask that Keras 3 cannot hand it: one joined along time, or made for each step"
    if layer.kind == "merge" and form in _FORM_BY_MASK and any(each.given) and network.joins != ANY:
        yield f"{form} of masked inputs, which Keras 3 computes without the masked steps"
    if layer.each_step and any(each.given) and (reads or layer.kind == "softmax"):
        yield "would be handed a mask for each step by Keras 3's TimeDistributed"
    if each.call.mask is not None and not reads:
        yield "is handed a mask, which this Keras 3 layer does not take"
    if layer.each_step and (each.call.mask is not None or each.call.states or len(each.call.inputs) > 1):
        yield "reads more than one input in a TimeDistributed, which Keras 3's does not"


def keras_forms(each: Called, name: str, dtype: str, *, return_state: bool) -> list[Form]:
    """Return the Keras layers that a layer becomes, one after another.

    Args:
        each: the layer where it is first called.
        name: its name in Keras.
        dtype: the type of number that it computes in.
        return_state: whether its last states are read.
    """
    layer = each.layer
    if layer.recurrent is not None:
        made = [_recurrent(replace(layer.recurrent, return_state=return_state), name)]
    else:
        made = forms(layer, each.situation)
    if not layer.each_step or needs_no_wrapper(layer):
        return made
    return [form if form.operation else _on_each_step(form, name, dtype) for form in made]


def _recurrent(layer: Recurrent, name: str) -> Form:
    fitted = replace(extended.fitted(layer), path=name, depth=None)
    return Form(class_name(fitted), recurrent_config(fitted), writing.held(fitted).arrays)


def _on_each_step(form: Form, name: str, dtype: str) -> Form:
    inner = object_of(form.class_name, named(form, f"{name}_step", dtype))
    arrays = tuple(Located(f"layer/{each.place}", each.name, each.array) for each in form.arrays)
    return replace(form, class_name="TimeDistributed", config={"layer": inner}, arrays=arrays)
