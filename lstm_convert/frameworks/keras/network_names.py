"""The names that the layers of a network get in Keras."""

import re
from collections import Counter

# What TensorFlow takes in the name of a scope, less the dot, that PyTorch does not, and the slash, that Keras does not.
_TAKEN_NOWHERE = re.compile(r"[^A-Za-z0-9_>-]")
_LONGEST = 200
# Keras numbers operations by itself under these names, so no layer may have one.
_OF_OPERATIONS = re.compile(r"(take|flip|transpose|divide|ones_like|not_equal|any|logical_(and|or))(_\d+)?")


class Names:
    """Names that are given away, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._tried: Counter[str] = Counter()

    def free(self, wanted: str) -> str:
        """Return a name that no layer has yet, with _ where a character can stand in none, and of a bounded length.

        Args:
            wanted: the name it is to be like.
        """
        like = _TAKEN_NOWHERE.sub("_", wanted[:_LONGEST])
        like = like if like[:1].isalnum() else f"layer{like}"
        name = like
        while name in self._taken or _OF_OPERATIONS.fullmatch(name):
            self._tried[like] += 1
            name = f"{like}__{self._tried[like]}"
        self._taken.add(name)
        return name
