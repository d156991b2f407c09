"""JSON from files that may be anything: bounded in size, depth and values, and no name twice in one object."""

import json
from collections import Counter
from typing import Any

from lstm_convert.errors import InvalidFile

LARGEST = 1 << 24
"""How long a JSON text may be, in bytes or characters; what it unfolds to in memory is some thirty times as large."""

NEXT_STEP = "Copy or download the file again."


def parsed(text: Any, what: str) -> Any:
    """Return the value of a JSON text.

    Args:
        text: the text, or its bytes.
        what: what it is, for an error's first line: "its metadata.json".

    Raises:
        InvalidFile: it is no text, no JSON, too large, nested too deeply, or has a name twice in one object.
    """
    if not isinstance(text, str | bytes):
        raise InvalidFile(f"{what} should be a JSON text, is a {type(text).__name__}", next_step=NEXT_STEP)
    if len(text) > LARGEST:
        raise InvalidFile(f"{what} is larger than {LARGEST} bytes, too large for what it is", next_step=NEXT_STEP)
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _without_duplicates(pairs, what))
        if "\\u" in text if isinstance(text, str) else b"\\u" in text:
            refuse_half_characters(json.dumps(value, ensure_ascii=False), what)
    except RecursionError as error:
        raise InvalidFile(f"{what} is no JSON that is read: it is nested too deeply", next_step=NEXT_STEP) from error
    except InvalidFile:
        raise
    except ValueError as error:
        raise InvalidFile(f"{what} is no JSON ({error!s:.200})", next_step=NEXT_STEP) from error
    return value


def refuse_half_characters(text: str, what: str) -> None:
    """Raise where a text has half of a pair of surrogates, which no file and no terminal takes.

    Args:
        text: the text.
        what: what it is, for an error's first line.

    Raises:
        InvalidFile: it has.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidFile(f"{what} is no text: it has half a character", next_step=NEXT_STEP) from error


def _without_duplicates(pairs: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise InvalidFile(f"{what} has {twice!r:.60} twice in one object", next_step=NEXT_STEP)
    return unique
