"""Names of a file as names of Python: no string of a file becomes code, or makes a file large."""

import keyword
import re
from collections.abc import Iterable

LONGEST_NAME = 24
LONGEST_TEXT = 60

# What nn.Module calls its own. Source: torch 2.13.0, torch/nn/modules/module.py; the tests compare the two.
_TAKEN = frozenset({
    "T_destination", "add_module", "apply", "bfloat16", "buffers", "call_super_init", "children", "compile", "cpu",
    "cuda", "double", "dump_patches", "eval", "extra_repr", "float", "forward", "get_buffer", "get_extra_state",
    "get_parameter", "get_submodule", "half", "ipu", "load_state_dict", "modules", "mtia", "named_buffers",
    "named_children", "named_modules", "named_parameters", "parameters", "register_backward_hook",
    "register_buffer", "register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook",
    "register_full_backward_pre_hook", "register_load_state_dict_post_hook", "register_load_state_dict_pre_hook",
    "register_module", "register_parameter", "register_state_dict_post_hook", "register_state_dict_pre_hook",
    "requires_grad_", "set_extra_state", "set_submodule", "share_memory", "state_dict", "to", "to_empty", "train",
    "training", "type", "xpu", "zero_grad",
})  # fmt: skip


def attributes(names: Iterable[str], prefix: str = "lstm_", taken: Iterable[str] = ()) -> list[str]:
    """Return for each name of a layer the name of its attribute.

    All but ASCII letters, digits and underscores become underscores, which are taken off both ends; at most 24
    characters stay. What is then no name, or Python's or nn.Module's own, gets the prefix in front; what another layer
    has already gets `_2`, `_3`, … behind.

    Args:
        names: the layers' names, each any text.
        prefix: a name that none begins with by itself.
        taken: names that are not free.
    """
    found: dict[str, None] = {}
    counts: dict[str, int] = {}
    used = set(taken)
    for name in names:
        plain = plain_name(name, prefix)
        unique = plain
        while unique in found or unique in used:
            counts[plain] = counts.get(plain, 1) + 1
            unique = f"{plain}_{counts[plain]}"
        found[unique] = None
    return list(found)


def plain_name(name: str, prefix: str = "lstm_") -> str:
    """Return any text as a name of Python that nn.Module leaves free, with a prefix where it would not be one."""
    plain = re.sub(r"[^A-Za-z0-9]+|_+", "_", name[: 4 * LONGEST_NAME]).strip("_")[:LONGEST_NAME].strip("_")
    taken = keyword.iskeyword(plain) or keyword.issoftkeyword(plain) or plain in _TAKEN
    if not plain or plain[0].isdigit() or taken:
        plain = f"{prefix}{plain}".rstrip("_")
    return plain


def comment(text: str) -> str:
    """Return any text as one that may stand in a comment or docstring: one line, nothing in it that means anything."""
    shown = re.sub(r"[^A-Za-z0-9 _.,:/()+=-]", "?", text[:LONGEST_TEXT])
    return shown.strip() + (" ..." if len(text) > LONGEST_TEXT else "")
