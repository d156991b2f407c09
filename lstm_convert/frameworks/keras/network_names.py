"""The names that the layers of a network get in Keras."""

import re
from collections.abc import Iterable

# Keras numbers operations by itself under these names, so no layer may have one.
# Dots and slashes Keras, or PyTorch below it, takes nowhere; the others HDF5 does not.
_TAKEN_NOWHERE = re.compile(r"[./\x00-\x1f\ud800-\udfff]")
_LONGEST = 200
_OF_OPERATIONS = re.compile(r"(take|flip)(_\d+)?")


class Names:
    """Names that are given away, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def free(self, wanted: str) -> str:
        """Return a name that no layer has yet, with _ where a character can stand in none, and of a bounded length.

        Args:
            wanted: the name it is to be like.
        """
        name = _TAKEN_NOWHERE.sub("_", wanted[:_LONGEST]) or "layer"
        while name in self._taken or _OF_OPERATIONS.fullmatch(name):
            name += "_"
        self._taken.add(name)
        return name

    def all_free(self, wanted: Iterable[str]) -> dict[str, str]:
        """Return a free name for each, by the name it is like."""
        return {name: self.free(name) for name in wanted}
