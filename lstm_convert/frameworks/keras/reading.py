"""A Keras file to canonical layers: what it states, what the user adds, and what must be taken for granted."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lstm_convert import json_text
from lstm_convert.canonical import LeftOut, Model, Provenance
from lstm_convert.containers import Contents
from lstm_convert.errors import InvalidFile
from lstm_convert.frameworks import ReadOptions, refuse_options
from lstm_convert.frameworks.keras import keepsake, legacy, saved_state
from lstm_convert.frameworks.keras.architecture import parse
from lstm_convert.frameworks.keras.graph import Graph
from lstm_convert.frameworks.keras.layers import Source, assumptions, canonical_layers, refuse_foreign
from lstm_convert.frameworks.keras.located import LocatedLayer
from lstm_convert.frameworks.keras.network import Understood, understood
from lstm_convert.frameworks.keras.wiring import wired
from lstm_convert.layout import Layout
from lstm_convert.table import KERAS_2, KERAS_3


def recognises(contents: Contents) -> bool:
    """Return whether an HDF5 file or Keras zip holds Keras weights."""
    return legacy.recognises(contents) or saved_state.recognises(contents)


def read(contents: Contents, options: ReadOptions) -> Model:
    """Return the recurrent layers of a Keras file.

    Args:
        contents: an HDF5 file, a `.keras` archive or split weights.
        options: the architecture or the gates' activation, where the file has none.

    Returns:
        The model: its layers in the model's order, what was left out, what was assumed.

    Raises:
        InvalidFile: the file or its architecture contradicts itself.
        LayoutMismatch: arrays are missing or mis-shaped; all of them are listed.
        Unsupported: the file does not say what it computes, or holds layers that are not read.
    """
    refuse_options(options, "a Keras file, which tells its graph itself", ("--config", "--recurrent-activation"))
    source = _source(contents, options)
    wiring = wired(source.graph.root) if source.graph else None
    reader = legacy if legacy.recognises(contents) else saved_state
    found = reader.located(contents, source.graph.root if source.graph else None)
    # Weights alone may have the names of a recurrent cell's and shapes of none: they are left out.
    recurrent = [layer for layer in found if all(cell.kind for cell in layer.spec.cells)]
    refuse_foreign(recurrent)
    assumed = tuple(assumptions(source, recurrent))
    layers = keepsake.in_order(contents, canonical_layers(source, recurrent))
    names = [layer.name for layer in layers]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidFile("two recurrent layers have one name", twice)
    kept = keepsake.restored(contents, layers) if options.keepsakes else layers
    whole = understood(source, wiring, dict(zip(names, kept, strict=True))) if wiring else Understood()
    used = {key for layer in recurrent for cell in layer.cells for key in cell.keys.values()}
    return Model(
        layers=kept,
        left_out=tuple(_left_out(contents, used)),
        assumed=assumed + whole.assumed,
        notes=tuple(_notes(source, recurrent)),
        network=whole.network,
        not_understood=whole.reasons,
        provenance=Provenance(framework="keras", version=source.version),
    )


def _source(contents: Contents, options: ReadOptions) -> Source:
    document = options.architecture or _own_architecture(contents)
    root = parse(document) if document else None
    version = _version(contents, document)
    by_version = KERAS_3 if version.startswith("3") else KERAS_2
    modern = by_version if version else _layout_by_storage(contents)
    return Source(contents, Graph(root) if root else None, version, modern, options)


def _notes(source: Source, recurrent: Iterable[LocatedLayer]) -> Iterator[str]:
    """Yield what a model hands a layer, or makes of it, that the layer alone does not say."""
    if source.graph is None:
        return
    for node in (layer.spec.node for layer in recurrent):
        if source.graph.is_given_states(node) and source.graph.states_from(node) is None:
            yield f"{node.path}: it starts from states that no recurrent layer alone makes; give them to it yourself"
        if source.graph.is_repeated(node):
            yield f"{node.path}: a TimeDistributed runs it on each sequence of a sample; make those your batch"


def _own_architecture(contents: Contents) -> Any:
    text = contents.document("config.json") or contents.document("model_config") or keepsake.architecture(contents)
    return None if text is None else json_text.parsed(text, "its architecture")


def _version(contents: Contents, document: Any) -> str:
    """Return the version of Keras that wrote a file, or "" where nothing says it."""
    stated = contents.document("keras_version") or contents.attributes.get("model_weights", {}).get("keras_version")
    if metadata := contents.document("metadata.json"):
        said = json_text.parsed(metadata, "its metadata.json")
        if not isinstance(said, Mapping):
            raise InvalidFile(f"its metadata.json should be a JSON object, is a {type(said).__name__}")
        stated = said.get("keras_version")
    if not stated and isinstance(document, Mapping):
        stated = document.get("keras_version") or ("3" if "compile_config" in document else "")
    return str(stated or "")


def _layout_by_storage(contents: Contents) -> Layout | None:
    """Return which Keras wrote weights without a version, as far as their storage tells."""
    if legacy.recognises(contents):
        return KERAS_2
    if any(path.startswith(saved_state.LAYER_CONTAINERS[1]) for path in contents.attributes):
        return KERAS_2
    named = any("name" in values for path, values in contents.attributes.items() if path.endswith("vars"))
    return KERAS_3 if named else None


def _left_out(contents: Contents, used: set[str]) -> Iterator[LeftOut]:
    for key, stored in contents.arrays.items():
        if key in used or keepsake.owns(key):
            continue
        top, _, _ = key.partition("/")
        purpose = "weight"
        if top in ("optimizer_weights", "optimizer"):
            purpose = "optimizer state"
        elif "seed_generator" in key:
            purpose = "random seed"
        yield LeftOut(key, stored.shape, str(stored.dtype), purpose)
