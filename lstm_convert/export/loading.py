"""How written source code finds its weights, and knows them as its own: both carry a mark made from the code."""

import hashlib
import re

LOAD = '''\
MARK = "?"  # of this code: its weights have the same


def load(path: str | Path | None = None) -> Model:
    """Return the model with its weights, in eval mode.

    path is the file of the weights, that beside this file where None.
    """
    if path is None:
        path = Path(__file__).resolve().with_suffix(".safetensors")
    with safe_open(path, "pt") as weights:
        metadata = weights.metadata() or {}  # your own weights need no mark
    if metadata.get("mark", MARK) != MARK:
        raise ValueError(f"{path} was written with other code: write both again")
    model = Model()
    model.load_state_dict(load_file(path), assign=True)  # in the file's own type
    model.eval()
    return model'''

_MARKED = re.compile(r'^MARK = "([^"]*)"', re.MULTILINE)
_DIGITS = 16


def marked(text: str) -> str:
    """Return source code with its mark in its place.

    Args:
        text: the source code, which ends with `LOAD`.
    """
    mark = hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
    return _MARKED.sub(f'MARK = "{mark}"', text, count=1)


def mark_of(text: str) -> str | None:
    """Return the mark that source code carries, or None where it has none.

    Args:
        text: the source code.
    """
    found = _MARKED.search(text)
    return found[1] if found else None
