"""A pickle read as data: its opcodes are interpreted here, and none of them can import, call or construct anything.

A pickle is a program for a small stack machine. Python's own unpickler lets that program name any function and call
it; this machine knows names only as text. What a name does when it is called stands in a table that the caller brings.
A name outside that table can be carried about and given a state, no more. Nothing in a pickle is ever copied, so that
what it builds grows with its length and no faster.

*Source:* Python 3.11, Lib/pickletools.py (the opcodes and their arguments).
"""

import pickle
import pickletools
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import Any, Never

from lstm_convert.containers.opcodes import ARGUMENTS, Read
from lstm_convert.containers.pickled_values import Global, Inert, hashable
from lstm_convert.errors import InvalidFile
from lstm_convert.mapped import Stream

Calls = Mapping[str, Callable[..., Any]]
PersistentLoad = Callable[[Any], Any]

NEXT_STEP = (
    "If you trust the file's author, open it with the program that wrote it and save the weights alone: "
    "torch.save(model.state_dict(), path)."
)

_FORBIDDEN_ROOTS = """
_io _posixsubprocess _winapi ast asyncio atexit bdb builtins code codecs codeop commands concurrent ctypes cProfile
dis distutils doctest ftplib functools gc glob http imp importlib inspect io linecache marshal mmap multiprocessing nt
ntpath operator os pdb pickle pickletools pip pkgutil platform popen2 posix posixpath profile pty pydoc requests runpy
setuptools shelve shutil signal smtplib socket sqlite3 ssl subprocess sys tempfile threading timeit trace types urllib
venv webbrowser xmlrpc zipimport
"""
_PLAIN_BUILTINS = """
bool bytearray bytes complex dict float frozenset int list long object range set slice str tuple unicode xrange
"""
FORBIDDEN_ROOTS = frozenset(_FORBIDDEN_ROOTS.split())
"""Modules that no checkpoint has reason to name: they reach the system, or build and run code."""
PLAIN_BUILTINS = frozenset(_PLAIN_BUILTINS.split())
"""The exception to `builtins` among them."""

LONGEST_NAME = 1000
MOST_STEPS = 2_000_000
"""How many opcodes a pickle may have, each of which makes a hundred bytes or so; a tensor takes some twenty."""

_SENSELESS = (
    *(ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError),
    struct.error,
)
"""What comes of interpreting a pickle that is damaged."""


@dataclass(frozen=True)
class Loaded:
    """A pickle's value, every name that it mentions, and where its last byte is behind us."""

    value: Any
    names: frozenset[str]
    end: int


def load(
    content: bytes | mmap, source: str, calls: Calls, persistent_load: PersistentLoad | None = None, start: int = 0
) -> Loaded:
    """Read one pickle.

    Args:
        content: the bytes that it is among; where they end, a lying length ends too.
        source: what the pickle is called in an error's text.
        calls: what each known name gives when the pickle calls it.
        persistent_load: what a persistent id stands for; without it, none is accepted.
        start: where it begins.

    Returns:
        The value, made of plain values, lists, tuples and dicts (a set is a list), `Global`, `Inert` and what `calls`
        and `persistent_load` return.

    Raises:
        InvalidFile: the pickle is damaged, or asks for what must not be done.
    """
    machine = _Machine(source, calls, persistent_load, content, start)
    try:
        machine.run()
        return Loaded(machine.stack.pop(), frozenset(machine.names), machine.place)
    except InvalidFile:
        raise
    except _SENSELESS as error:
        place = machine.place - start
        raise InvalidFile(
            f"{source} is damaged: its pickle makes no sense from byte {place} of it on ({error!s:.200})",
            next_step="Copy or download the file again.",
        ) from error


class _Machine:
    """The stack machine: one method an opcode, named in `_ACTS`."""

    def __init__(
        self, source: str, calls: Calls, persistent_load: PersistentLoad | None, content: bytes | mmap, start: int
    ) -> None:
        self.source = source
        self.calls = calls
        self.persistent_load = persistent_load
        self.content = content
        self.place = start
        self.stopped = False
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.names: set[str] = set()
        self.steps = 0

    def run(self) -> None:
        content = self.content
        while not self.stopped:
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise self.refusal(f"has more than {MOST_STEPS} opcodes")
            following = self.place + 1
            act, read = _OPCODES.get(content[self.place]) or self.refuse_opcode()
            argument, following = read(content, following) if read else (None, following)
            act(self, argument)
            self.place = following

    def refuse_opcode(self) -> Never:
        """Raise for what is no opcode, or none that is read."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a text has of odd escapes is of no interest
            behind = Stream(memoryview(self.content)[self.place :])
            opcode, *_ = next(pickletools.genops(behind))  # type: ignore[arg-type]  # any file that is read
        raise self.refusal(f"uses the opcode {opcode.name}, which no torch file has")

    def refusal(self, what: str) -> InvalidFile:
        return InvalidFile(f"{self.source} {what}; nothing was executed", next_step=NEXT_STEP)

    def ignore(self, _: Any) -> None:
        """Pass over what only concerns a faster reader."""

    def stop(self, _: Any) -> None:
        self.stopped = True

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self, _: Any) -> None:
        self.stack.pop()

    # Marks: what follows a mark is gathered on a stack of its own.

    def mark(self, _: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        gathered, self.stack = self.stack, self.marks.pop()
        return gathered

    # The memo: values met before.

    def put(self, index: int) -> None:
        if index > self.steps:
            raise self.refusal(f"numbers its {self.steps}th value {index}")
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    # Containers.

    def tuple_of(self, count: int) -> None:
        items = [self.stack.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Inert):
            target = target.gathered_items()
        if not isinstance(target, list):
            raise self.refusal(f"appends to a {type(target).__name__}")
        target.extend(items)

    def update(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Inert):
            target = target.gathered_entries()
        if not isinstance(target, dict):
            raise self.refusal(f"sets an item of a {type(target).__name__}")
        target.update((hashable(key), value) for key, value in zip(pairs[::2], pairs[1::2], strict=True))

    # Names, and what is done with them.

    def name(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str)) or len(module) + len(name) > LONGEST_NAME:
            raise self.refusal("names something by no proper name")
        module = "builtins" if module == "__builtin__" else module
        full = f"{module}.{name}"
        roots = {module.partition(".")[0], *name.split(".")[:-1]}
        if roots & FORBIDDEN_ROOTS and not (roots == {"builtins"} and name in PLAIN_BUILTINS):
            raise self.refusal(f"names {full}, which is no tensor and no plain container")
        self.names.add(full)
        self.stack.append(Global(full))

    def stack_name(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.name(module, name)

    def call(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        known = self.calls.get(self.named(function))
        if known is None:
            raise self.refusal(f"calls {self.named(function)}, which is no tensor and no plain container")
        self.stack.append(known(*arguments))

    def new(self, arguments: tuple[Any, ...]) -> None:
        name = self.named(self.stack.pop())
        known = self.calls.get(name)
        self.stack.append(known(*arguments) if known else Inert(name, arguments))

    def new_with_keywords(self, _: Any) -> None:
        keywords, arguments = self.stack.pop(), self.stack.pop()
        self.stack.append(Inert(self.named(self.stack.pop()), (arguments, keywords)))

    def named(self, value: Any) -> str:
        if not isinstance(value, Global):
            raise self.refusal(f"calls a {type(value).__name__}")
        return value.name

    def build(self, _: Any) -> None:
        """Give an object its state; what is not inert (a state dict's `_metadata`, a tensor's hooks) needs none."""
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Inert):
            target.state = state
        elif isinstance(target, Global):
            raise self.refusal(f"changes {target.name} itself")

    def persistent(self, _: Any) -> None:
        if self.persistent_load is None:
            raise self.refusal("refers to data outside itself")
        self.stack.append(self.persistent_load(self.stack.pop()))


_Act = Callable[[_Machine, Any], None]

_ACTS: Mapping[str, _Act] = {
    **dict.fromkeys(["PROTO", "FRAME"], _Machine.ignore),
    "STOP": _Machine.stop,
    **dict.fromkeys(["BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"], _Machine.push),
    **dict.fromkeys(["BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"], _Machine.push),
    **dict.fromkeys(["BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"], _Machine.push),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "POP": _Machine.pop,
    "MARK": _Machine.mark,
    "POP_MARK": lambda machine, _: machine.since_mark().clear(),
    **dict.fromkeys(["BINPUT", "LONG_BINPUT"], _Machine.put),
    **dict.fromkeys(["BINGET", "LONG_BINGET"], _Machine.get),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_SET": lambda machine, _: machine.push([]),
    "FROZENSET": lambda machine, _: machine.push(machine.since_mark()),
    "APPEND": lambda machine, _: machine.extend([machine.stack.pop()]),
    **dict.fromkeys(["APPENDS", "ADDITEMS"], lambda machine, _: machine.extend(machine.since_mark())),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "SETITEM": lambda machine, _: machine.update(list(reversed([machine.stack.pop(), machine.stack.pop()]))),
    "SETITEMS": lambda machine, _: machine.update(machine.since_mark()),
    "GLOBAL": lambda machine, names: machine.name(*names),
    "STACK_GLOBAL": _Machine.stack_name,
    "REDUCE": _Machine.call,
    "NEWOBJ": lambda machine, _: machine.new(machine.stack.pop()),
    "NEWOBJ_EX": _Machine.new_with_keywords,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent,
}

_OPCODES: Mapping[int, tuple[_Act, Read | None]] = {
    getattr(pickle, name)[0]: (act, ARGUMENTS.get(name)) for name, act in _ACTS.items()
}
