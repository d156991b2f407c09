"""Cut classes and functions out of the template modules, with the lines that a variant needs and no others."""

import ast
import math
import re
from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files

_MARKED = re.compile(r"(?P<line>.*?)(  )?# if (?P<condition>[a-z_ ]+)")
_CALL = r"\b{name}\((\w+)\)"
_SIGNATURE = re.compile(r"(?P<head> +def \w+\()\n(?P<parameters>(?: +[^#\n]+,\n)+) +(?P<tail>\) -> .*:)$", re.MULTILINE)

LINE = 88


@cache
def template(module: str) -> Mapping[str, str]:
    """Return the text of each class and function of a template module by its name.

    Args:
        module: the module's name, `layers_template`.
    """
    text = files(__package__).joinpath(f"{module}.py").read_text("utf-8")
    lines = text.splitlines()
    definitions = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    return {node.name: "\n".join(lines[node.lineno - 1 : node.end_lineno]) for node in definitions}


def chosen(text: str, facts: Collection[str]) -> str:
    """Return the lines of a template that hold for a variant, their conditions taken off.

    Args:
        text: lines, some of which end with `# if one and not other`.
        facts: what is true of the variant.
    """
    kept = []
    for line in text.splitlines():
        marked = _MARKED.fullmatch(line)
        if marked is None:
            kept.append(line)
        elif all(_holds(term, facts) for term in marked["condition"].split(" and ")):
            kept.append(marked["line"].rstrip())
    return _SIGNATURE.sub(_on_one_line, "\n".join(kept))


def _on_one_line(signature: re.Match[str]) -> str:
    """Return a signature on as few lines as fit, as it would have been written without its variants."""
    head, tail = signature["head"], signature["tail"]
    parameters = " ".join(signature["parameters"].split()).rstrip(",")
    if len(head + parameters + tail) <= LINE:
        return f"{head}{parameters}{tail}"
    margin = " " * (len(head) - len(head.lstrip()))
    fits = len(f"{margin}    {parameters}") <= LINE
    return f"{head}\n{margin}    {parameters}\n{margin}{tail}" if fits else signature[0]


def _holds(term: str, facts: Collection[str]) -> bool:
    return term.removeprefix("not ") not in facts if term.startswith("not ") else term in facts


def with_words(text: str, words: Mapping[str, str]) -> str:
    """Return a text with whole words replaced.

    Args:
        text: the text.
        words: what is written for each word.
    """
    return re.sub(r"\b[A-Za-z_]+\b", lambda found: words.get(found[0], found[0]), text)


def with_calls(text: str, functions: Mapping[str, str]) -> str:
    """Return a text with functions of one name called by another name, or not at all where that is empty.

    Args:
        text: the text.
        functions: for each name, what is called instead.
    """
    for name, function in functions.items():
        text = re.sub(_CALL.format(name=name), rf"{function}(\1)" if function else r"\1", text)
    return text


_BOTH = re.compile(r"\((h\w*(?:\[[^\]]*\])?), c\w*(?:\[[^\]]*\])?\)")
_JOINED = re.compile(r"h_n, c_n = (torch\.cat\(.*?\)), torch\.cat\(.*\)")


def with_h_alone(text: str) -> str:
    """Return a text that hands on the states h and c with h alone, of which the type is Tensor.

    Args:
        text: the text.
    """
    text = _JOINED.sub(r"h_n = \1", _BOTH.sub(r"\1", text)).replace("h, c = state", "h = state")
    return re.sub(r"\bState\b", "Tensor", text)


def number(value: float) -> str:
    """Return a number as Python source."""
    value = float(value)
    return repr(value) if math.isfinite(value) else f'float("{value}")'
