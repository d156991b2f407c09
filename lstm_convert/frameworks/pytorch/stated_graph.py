"""A state dict's network in the order that the user states: `--graph emb,rnn,norm,last,head`.

Each name is a module, the prefix of keys in the state dict, or one of `WORDS`, an operation without weights. One reads
what the one before makes. What kind of module it is follows from its arrays; where they leave it open, the user says
`emb:embedding`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lstm_convert.canonical import LeftOut, Model
from lstm_convert.containers import Contents
from lstm_convert.errors import LayoutMismatch
from lstm_convert.frameworks.pytorch import parametrised
from lstm_convert.frameworks.pytorch.graph_words import WORDS, Word
from lstm_convert.frameworks.pytorch.stated_line import Line
from lstm_convert.frameworks.pytorch.stated_modules import STATED, Module, module, plain_keys


def stated(contents: Contents, model: Model, graph: str) -> Model:
    """Return a state dict's model with the network that the user states.

    Args:
        contents: the arrays by key.
        model: the recurrent layers of it.
        graph: the names in order, commas between them.

    Raises:
        LayoutMismatch: names are unknown or open, or sizes do not fit from one to the next; all of that is listed.
    """
    contents, _ = parametrised.folded(contents)
    steps = _steps(contents, model, graph)
    line = Line()
    for step in steps:
        line.add(step)
    if line.problems:
        raise LayoutMismatch(
            f"--graph {graph:.200} does not fit the state dict",
            dict.fromkeys(line.problems),
            f"Name its modules in their order, and between them {', '.join(WORDS)}.",
        )
    network = line.network()
    used = {key for step in steps if isinstance(step, Module) for key in step.keys.values()}
    left_out = tuple(
        LeftOut(key, stored.shape, str(stored.dtype), _purpose(model, key))
        for key, stored in contents.arrays.items()
        if key not in used
    )
    assumed = ("between the modules of --graph nothing is computed but what it says", *dict.fromkeys(line.assumed))
    return replace(
        model, layers=network.recurrent, left_out=left_out, assumed=(*model.assumed, *assumed), network=network
    )


def _purpose(model: Model, key: str) -> str:
    return next((entry.purpose for entry in model.left_out if entry.key == key), "weight")


def _steps(contents: Contents, model: Model, graph: str) -> list[Module | Word]:
    """Return the module or the word under each name."""
    recurrent = [key for layer in model.layers if layer.origin for keys in layer.origin.keys for key in keys.values()]
    dicts = {key.rpartition("/")[0] for key in recurrent}  # beside them lies what training keeps
    plain = plain_keys(key for key in contents.arrays if key.rpartition("/")[0] in dicts)

    def step(name: str, kind: str) -> Module | Word:
        keys = {key.removeprefix(f"{name}."): whole for key, whole in plain.items() if key.startswith(f"{name}.")}
        if kind and kind not in STATED:
            return Module(name, {}, problem=f"{kind!r:.50} is no kind; expected one of {', '.join(STATED)}")
        if keys:
            return module(name, kind, keys, contents.arrays, model.layers)
        if name in WORDS and not kind:
            return WORDS[name]
        return Module(name, {}, problem=f"the state dict has no such module; it has {_modules_of(plain)}")

    names = [entry.strip().partition(":") for entry in graph.split(",")]
    steps = [step(name, kind) for name, _, kind in names]
    for number, (name, _, _) in enumerate(names):
        if kind := _only_fitting(steps, number, contents):
            steps[number] = step(name, kind)
    return steps


def _only_fitting(steps: Sequence[Module | Word], number: int, contents: Contents) -> str:
    """Return which an embedding or a linear layer without bias is: words come first, and what follows reads its width.

    Args:
        steps: all of them.
        number: of the one in question.
        contents: the arrays by key.
    """
    here = steps[number]
    if not isinstance(here, Module) or here.possible != ("embedding", "dense"):
        return ""
    if number:
        return "dense"
    read = next((each.reads for each in steps[1:] if isinstance(each, Module) and each.reads), None)
    rows, columns = contents.arrays[here.keys["weight"]].shape
    fitting = [kind for kind, width in (("embedding", columns), ("dense", rows)) if width == read]
    return fitting[0] if len(fitting) == 1 else ""


def _modules_of(plain: Iterable[str]) -> str:
    return ", ".join(name for name in dict.fromkeys(key.rpartition(".")[0] for key in plain) if name)[:500] or "none"
