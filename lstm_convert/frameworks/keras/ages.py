"""What the age of a Keras file says of all its layers: which Keras wrote it, on which backend, and what that means.

*Source:* keras 2.2.0, keras/engine/saving.py, _need_convert_kernel; keras 1.2.2, keras/backend/theano_backend.py,
conv2d
"""

from collections.abc import Iterator, Mapping

from lstm_convert.canonical import Activation
from lstm_convert.frameworks.keras import legacy
from lstm_convert.frameworks.keras.architecture import Node
from lstm_convert.frameworks.keras.layers import Source, version_numbers
from lstm_convert.frameworks.keras.settings import Age
from lstm_convert.table import KERAS_2, KERAS_3

# Whether a backend turns kernels around before it applies them.
_TURNS_AROUND = {
    "theano": True, "tensorflow": False, "cntk": False, "jax": False, "torch": False, "numpy": False, "openvino": False,
}  # fmt: skip
# Source: keras 1.2.2, keras/layers/convolutional.py, get_config
_SILENT_OF_CHANNELS = ("ZeroPadding2D", "Cropping2D", "UpSampling2D")
# From these versions on Softmax has a mask, and merges join masks as today: keras 2.15.0 and 3.15.1 are as here, 2.3.1
# and 3.0.5 as before; what lies between was not seen.
_SOFTMAX_TAKES_MASKS_SINCE = (2, 4)
_ALL_MASKS_UNTIL = (3, 0)
_ANY_MASK_SINCE = (3, 15)


def age_of(source: Source) -> Age:
    """Return what a file's age says of all its layers."""
    version = version_numbers(source.version)
    return Age(
        activations=_activations(source),
        true_convolution=_turns_around(source),
        softmax_takes_masks=version >= _SOFTMAX_TAKES_MASKS_SINCE or version[0] == 0 or source.version.endswith("-tf"),
        image_channels=_image_channels(source),
        joins=_joins(source),
    )


def assumptions(root: Node, age: Age) -> Iterator[str]:
    """Yield what an architecture does not say of its layers and is taken for granted."""
    silent = [
        node.path
        for node in root.walk()
        if node.class_name in _SILENT_OF_CHANNELS and not {"data_format", "dim_ordering"} & node.config.keys()
    ]
    if silent:
        where = f"the channels are where all other layers have them, {age.image_channels}"
        yield f"{', '.join(silent)}: {where}; Keras 1 does not save it of such layers"


def _image_channels(source: Source) -> str:
    """Return where all layers that say it have the channels of images, in Keras's words, or "" where they differ."""
    stated = {str(node.config["dim_ordering"]) for node in _nodes(source) if "dim_ordering" in node.config}
    return stated.pop() if len(stated) == 1 else ""


def _nodes(source: Source) -> Iterator[Node]:
    return source.graph.root.walk() if source.graph else iter(())


def _joins(source: Source) -> str:
    version = version_numbers(source.version)
    if version <= _ALL_MASKS_UNTIL:
        return "all" if source.version or source.modern_layout is KERAS_2 else ""
    return "any" if version >= _ANY_MASK_SINCE else ""


def _activations(source: Source) -> Mapping[str, Activation]:
    """Return what the names of activations mean; where the version is not known, those that mean the same in both."""
    if source.modern_layout is not None:
        return source.modern_layout.activations
    modern = KERAS_3.activations
    return {name: meant for name, meant in KERAS_2.activations.items() if modern.get(name) == meant}


def _turns_around(source: Source) -> bool | None:
    """Return whether the file's kernels are turned around, or None where that is not known.

    Keras 1 does not name its backend; but TensorFlow's weights have names that end in `:0`, and Theano's have not.
    """
    contents = source.contents
    if not legacy.recognises(contents):
        return False
    stated = contents.document("backend") or contents.attributes.get("model_weights", {}).get("backend")
    if stated is not None:
        return _TURNS_AROUND.get(str(stated))
    names = [weight.name for weights in legacy.listed_weights(contents).values() for weight in weights]
    if names and all(name.endswith(":0") for name in names):
        return False
    return True if source.version.startswith("1") else None
