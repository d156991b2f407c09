"""What becomes of the steps of a sequence on its way through a network: whether each is still one step by itself."""

from collections.abc import Sequence

from lstm_convert.canonical import Call, Layer, Network
from lstm_convert.canonical.kinds import RECURRENT

# Of what each step of a network's output, counted along axis 1, is made: of the same step of the sequence alone and of
# each in the same way; of that step and others, or in its own way; of the last step alone, and there is no axis of
# steps any more; or of all steps in another way.
EACH, NEIGHBOURS, LAST, WHOLE = "each", "neighbours", "last", "whole"

_TIME = 1
_BY_ITSELF = ("activation", "dense", "dropout", "embedding", "masking", "relu", "rescaling")
_OVER_STEPS = ("batch_norm", "layer_norm", "prelu", "softmax")


def steps_of(network: Network, given: str = EACH) -> list[str]:
    """Return what has become of the steps of a network's only input, for each of its steps, the input first.

    Args:
        network: the layers and their calls.
        given: of what the input's own steps are made.
    """
    found = [given]
    for call in network.calls:
        found.append(_after(network.layers[call.layer], call, [found[feed.step] for feed in call.inputs]))
    return found


def _after(layer: Layer, call: Call, inputs: Sequence[str]) -> str:
    if set(inputs) == {LAST}:
        return LAST
    if not set(inputs) <= {EACH, NEIGHBOURS}:
        return WHOLE
    if layer.kind == "take" and set(inputs) == {EACH}:
        return LAST if (layer.options["axis"], layer.options["index"]) == (_TIME, -1) else WHOLE
    if layer.each_step or _works_by_itself(layer):
        return NEIGHBOURS if NEIGHBOURS in inputs else EACH
    return NEIGHBOURS if _keeps_steps(layer) and not call.states else WHOLE


def _works_by_itself(layer: Layer) -> bool:
    """Return whether a layer makes each step of that step alone; where it names axes, time is none of them."""
    match layer.kind:
        case "batch_norm" | "softmax":
            axes = layer.options["axis"]
            return not _has_time((axes,) if isinstance(axes, int) else axes)
        case "layer_norm":
            return not _has_time(layer.options["axes"])
        case "merge":
            form = layer.options["form"]
            return form != "dot" and not (form == "concatenate" and _has_time((layer.options["axis"],)))
        case "prelu":
            return bool(layer.arrays["alpha"].shape[0] == 1)
        case _:
            return layer.kind in _BY_ITSELF


def _has_time(axes: Sequence[int]) -> bool:
    """Return whether time is among the axes of (batch, time, features)."""
    return any(axis in (_TIME, _TIME - 3) for axis in axes)


def _keeps_steps(layer: Layer) -> bool:
    """Return whether a layer makes as many steps as it reads, each in its place, with others or in its own way."""
    if layer.kind in _OVER_STEPS:
        return True
    if layer.kind == RECURRENT:
        return layer.recurrent is not None and layer.recurrent.return_sequences and not layer.recurrent.go_backwards
    if layer.kind not in ("conv", "pool") or layer.options["rank"] != 1 or layer.options["channels"] != "last":
        return False
    return layer.options["padding"] in ("same", "causal") and tuple(layer.options["strides"]) == (1,)
