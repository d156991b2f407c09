"""What a source holds: its recurrent layers, the network around them where it tells one, and where it all came from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from lstm_convert.canonical.gates import Array, Gates
from lstm_convert.canonical.layers import Recurrent
from lstm_convert.canonical.network import Network


@dataclass(frozen=True)
class LeftOut:
    """An array of the source that belongs to no recurrent layer."""

    key: str
    shape: tuple[int, ...]
    dtype: str
    purpose: str = "weight"


@dataclass(frozen=True)
class Provenance:
    """What a model was read from: enough to say which file it was, and which framework's meaning its arrays had."""

    framework: str
    version: str = ""
    format: str = ""
    file: str = ""
    sha256: str = ""


@dataclass(frozen=True, eq=False)
class Model:
    """The recurrent layers of one source, in the model's order.

    Args:
        layers: the layers.
        left_out: the arrays of the source that belong to none of them.
        assumed: what the source did not say and was taken for granted, one sentence each.
        notes: what was done to read it, one sentence each.
        network: the whole network, where the source tells it and all of it is understood.
        not_understood: why there is no network where the source tells one, a line a layer.
        provenance: where all this came from.
    """

    layers: tuple[Recurrent, ...]
    left_out: tuple[LeftOut, ...] = ()
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    network: Network | None = None
    not_understood: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=lambda: Provenance("memory"))

    def arrays(self) -> Iterator[tuple[str, tuple[Array, ...]]]:
        """Yield each array, of the layers and of what is around them, and what it is: `lstm_1 (forward) W`.

        Those of gates come gate by gate; nothing is read or copied.
        """
        for layer in self.layers:
            for direction, cell in layer.cells.items():
                for name, array in cell.held().items():
                    gates = array.each if isinstance(array, Gates) else (array,)
                    yield f"{layer.name} ({direction}) {name}", gates
        for neighbour in self.network.layers.values() if self.network else ():
            yield from ((f"{neighbour.name} {name}", (array,)) for name, array in neighbour.arrays.items())

    def with_layers(self, layers: Iterable[Recurrent]) -> "Model":
        """Return the same model with other layers, one for each it has and in their order, in its network too."""
        layers = tuple(layers)
        return replace(self, layers=layers, network=self.network.with_recurrent(layers) if self.network else None)

    def __getitem__(self, name: str) -> Recurrent:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(f"no recurrent layer {name!r}; there are {', '.join(layer.name for layer in self.layers)}")
