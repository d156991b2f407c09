"""The layer of our own that a Keras file may use where Keras has none: its name, its settings, its source code.

The code is one fixed text, `lstm_layer.py`: nothing of a model ever goes into it, only into the config that Keras hands
to its class. A file names the class as Keras registers it, so a class of another package is never taken for it.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from lstm_convert.activations import named
from lstm_convert.canonical import LSTM, Activation, Cell, Recurrent
from lstm_convert.canonical.options import is_number
from lstm_convert.errors import InvalidFile
from lstm_convert.frameworks.keras.recurrent_specs import EXTENDED
from lstm_convert.layout import Layout
from lstm_convert.packing import options, rescaled
from lstm_convert.table import KERAS_3, KERAS_EXTENDED, counterpart

SOURCE_FILE = "lstm_layer.py"
CLASS_NAME = EXTENDED.rpartition(">")[2]

_ACTIVATIONS = (KERAS_EXTENDED.gate_option, KERAS_EXTENDED.candidate_option, KERAS_EXTENDED.output_option)


def source_code() -> str:
    """Return the Keras layer's source code, the same for every model."""
    return files(__package__).joinpath(SOURCE_FILE).read_text("utf-8")


def fitted(layer: Recurrent) -> Recurrent:
    """Return a layer as Keras holds it, its gates scaled to Keras 3's hard_sigmoid where Keras's LSTM needs that."""
    scaled = {name: changed for name, cell in layer.cells.items() if (changed := rescaled(keras_row(layer), cell))}
    fitting = layer.with_cells({**layer.cells, **scaled}) if scaled else layer
    return fitting if row_of(fitting) is not KERAS_EXTENDED else layer


def row_of(layer: Recurrent) -> Layout:
    """Return the row of a fitted layer: Keras's own where it computes every cell of it, or there is none of ours."""
    own = keras_row(layer)
    ours = isinstance(layer, LSTM) and any(own.refusals(cell) for cell in layer.cells.values())
    return KERAS_EXTENDED if ours else own


def keras_row(layer: Recurrent) -> Layout:
    """Return the row of Keras's own layer of a layer's kind."""
    reset_after = getattr(layer.forward, "reset_after", True)
    return counterpart(KERAS_3, type(layer.forward), reset_after=reset_after)


def cell_document(cell: Cell, name: str) -> dict[str, Any]:
    """Return a cell as an architecture states it.

    Args:
        cell: what our layer holds.
        name: Keras's name for it.
    """
    config = {
        "name": name,
        "dtype": cell.W.dtype.name,
        "units": cell.units,
        "use_bias": cell.b is not None or cell.b_rec is not None,
        "peephole": cell.peephole is not None,
        "projection": None if cell.projection is None else cell.outputs,
        **{option: _spelled(value) for option, value in options(KERAS_EXTENDED, cell).items()},
    }
    module = SOURCE_FILE.removesuffix(".py")
    return {"module": module, "class_name": CLASS_NAME, "config": config, "registered_name": EXTENDED}


def stated_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cell's options by the names of the row, from its config.

    Args:
        config: the config of the cell, of which nothing is sure.

    Raises:
        InvalidFile: an activation or a clip is none.
    """
    found: dict[str, Any] = {
        option: _activation(config[option]) for option in _ACTIVATIONS if config.get(option) is not None
    }
    for name in KERAS_EXTENDED.settings:
        value = config.get(name)
        if name == "coupled":
            found[name] = bool(value)
        elif value is None or is_number(value):
            found[name] = value
        else:
            raise InvalidFile(f"{CLASS_NAME} has a {name} that is no number: {value!r:.40}")
    return found


def array_names(config: Mapping[str, Any]) -> list[str]:
    """Return the arrays that a cell with some config has, in the order in which Keras lists them."""
    return KERAS_EXTENDED.names(
        bias=bool(config.get("use_bias", True)),
        peephole=bool(config.get("peephole")),
        projection=bool(config.get("projection")),
    )


def _spelled(value: Any) -> Any:
    """Return an option as a config states it: an activation by its name, with its numbers where it has some."""
    if not isinstance(value, Activation):
        return value
    return {"name": value.name, **value.parameters} if value.parameters else value.name


def _activation(value: Any) -> Activation:
    if isinstance(value, str):
        return named(value)
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        numbers = {str(key): number for key, number in value.items() if key != "name"}
        if all(map(is_number, numbers.values())):
            return Activation(value["name"], numbers)
    raise InvalidFile(f"{CLASS_NAME} has an activation that is none: {value!r:.80}")
