"""What a pickle is read as: names, objects that are inert, and how values of it are shown and used as keys."""

from dataclasses import dataclass
from typing import Any

LARGEST_KEY_BITS = 64
LONGEST_KEY_TUPLE = 8


@dataclass(frozen=True, slots=True)
class Global:
    """A name that a pickle mentions, such as `torch.FloatStorage`: only ever the name, never what it stands for."""

    name: str


@dataclass(eq=False, slots=True)
class Inert:
    """What a pickle builds of a class that is not known here: the class's name and what it was given, nothing else."""

    cls: str
    arguments: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] | None = None
    entries: dict[Any, Any] | None = None

    def gathered_items(self) -> list[Any]:
        """Return the items of a list's kin, to be added to."""
        self.items = [] if self.items is None else self.items
        return self.items

    def gathered_entries(self) -> dict[Any, Any]:
        """Return the entries of a dict's kin, to be added to."""
        self.entries = {} if self.entries is None else self.entries
        return self.entries

    @property
    def attributes(self) -> dict[Any, Any]:
        """The object's attributes; a state may be a dict, or a pair of dicts of which the second is for `__slots__`."""
        states = self.state if isinstance(self.state, tuple) else (self.state,)
        dicts = [state for state in states if isinstance(state, dict)]
        return dicts[0] if len(dicts) == 1 else {key: value for state in dicts for key, value in state.items()}


def shown(value: Any) -> str:
    """Return a value of a pickle in a few words; one that is nested or huge by its type alone."""
    small = isinstance(value, int) and value.bit_length() <= LARGEST_KEY_BITS
    return f"{value!r:.60}" if small or isinstance(value, str | bytes | float | None) else f"a {type(value).__name__}"


def hashable(key: Any) -> Any:
    """Return a key that is quick to hash; one that is not can name no tensor, and only its being a key is kept."""
    if isinstance(key, int):
        return key if key.bit_length() <= LARGEST_KEY_BITS else object()
    if isinstance(key, tuple):
        flat = len(key) <= LONGEST_KEY_TUPLE and all(isinstance(part, str | float | bool | None) for part in key)
        return key if flat else object()
    return key if isinstance(key, str | bytes | float | Global | Inert | None) else object()
