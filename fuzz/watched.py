"""One hostile file at a time in a process of its own, with bounds on its memory and its time, and what came of it."""

import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import BinaryIO, TextIO

from mutations import kind_of, mutant
from seeds import Seed

import lstm_convert
from lstm_convert import sequences
from lstm_convert.analysis import readout
from lstm_convert.errors import LstmConvertError
from lstm_convert.formats import ALLOWABLE
from lstm_convert.placing import MOVES, PROOF
from lstm_convert.reading import normalize_file

LARGEST_MEMORY = 1 << 30
LONGEST_SECONDS = 5
_MADE = "made\n"
_NOT_MADE = "not made: the HDF5 library fails at changing a damaged file once more"
_LONGEST_WAIT = 60  # by the clock, for what waits and computes nothing
_LARGEST_FILE = 1 << 28
_FILES_A_PROCESS = 300
_FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 (in memory: nothing here is to last)
_TARGET = "target"
_TARGETS = (".npz", ".lstm.safetensors", ".keras", ".weights.h5", ".h5", ".pt", ".safetensors", ".py")
# What h5py says, past all errors, of an object of a damaged file that cannot be closed.
_NOTE_OF_H5PY = "h5py._objects.ObjectID.__dealloc__"
_SIGNALS: dict[int, str] = {signal.SIGPROF: "too slow", signal.SIGALRM: "hangs"}


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Args:
        number: which file of the run.
        kind: what it was a mutation of.
        outcome: `converted`, or read where it is no model; `read` where the target refused it, `refused: <error>`, or
            `FAILED: …`.
        seconds: of processor time.
        memory: how much the process grew, at the largest, in bytes.
        detail: the error's first line, or where a failure comes from.
    """

    number: int
    kind: str
    outcome: str
    seconds: float = 0.0
    memory: int = 0
    detail: str = ""

    @property
    def failed(self) -> bool:
        """Whether this is what must not be."""
        return self.outcome.startswith("FAILED")


def watched(kinds: dict[str, list[Seed]], seed: int, numbers: list[int]) -> Iterator[Outcome]:
    """Yield what becomes of files, each read and converted in a forked process that may die of it.

    Args:
        kinds: the sound files.
        seed: where chance starts from.
        numbers: which files of the run.
    """
    waiting = list(numbers)
    while waiting:
        done = 0
        for outcome in _in_a_process(kinds, seed, waiting[:_FILES_A_PROCESS]):
            done += 1
            yield outcome
        del waiting[:done]


def _in_a_process(kinds: dict[str, list[Seed]], seed: int, numbers: list[int]) -> Iterator[Outcome]:
    """Yield what becomes of files until the process ends, which may be before the last of them."""
    reading, writing = os.pipe()
    with tempfile.TemporaryDirectory(dir=_FOLDER) as folder:
        process = os.fork()
        if process == 0:
            os.close(reading)
            os.chdir(folder)
            with os.fdopen(writing, "w", buffering=1) as answers:
                _answer(kinds, seed, numbers, answers)
            os._exit(0)
        os.close(writing)
        done, made = 0, False
        with os.fdopen(reading) as answers:
            for line in answers:
                made = line == _MADE
                if not made:
                    done += 1
                    yield Outcome(**json.loads(line))
        _, status = os.waitpid(process, 0)
    if status:
        number = numbers[done]
        how = _SIGNALS.get(status & 0x7F, f"ends the process ({status})")
        yield Outcome(number, kind_of(kinds, number), f"FAILED: {how}" if made else _NOT_MADE)


def _answer(kinds: dict[str, list[Seed]], seed: int, numbers: list[int], answers: TextIO) -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + LARGEST_MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("error")
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        for number in numbers:
            signal.setitimer(signal.ITIMER_PROF, LONGEST_SECONDS)
            file = mutant(kinds, seed, number)
            answers.write(_MADE)
            for name, content in file.files.items():
                Path(name).write_bytes(content)
            Path("/proc/self/clear_refs").write_text("5")  # the largest size so far is that of now
            before = _kilobytes("VmRSS")
            signal.setitimer(signal.ITIMER_PROF, LONGEST_SECONDS)
            signal.alarm(_LONGEST_WAIT)
            started = time.process_time()
            outcome, detail = _tried(file, Random(f"{seed}:{number}:target"))
            seconds = time.process_time() - started
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
            memory = (_kilobytes("VmHWM") - before) << 10
            left = {path.name for path in Path().iterdir()} - set(file.files)
            if left and outcome != "converted":
                outcome, detail = "FAILED: leaves files", ", ".join(sorted(left))
            printed = _taken(said)
            if printed and _NOTE_OF_H5PY not in printed:
                outcome, detail = "FAILED: prints", printed[:200]
            for path in Path().iterdir():
                path.unlink()
            print(json.dumps(asdict(Outcome(number, file.kind, outcome, seconds, memory, detail))), file=answers)


def _taken(said: BinaryIO) -> str:
    """Return what was printed to a file, which is empty again."""
    size = said.tell()
    said.seek(0)
    text = said.read(size).decode("utf-8", "replace")
    said.seek(0)
    said.truncate()
    return text


def _tried(file: Seed, random: Random) -> tuple[str, str]:
    """Let a file be read, and written in another kind where it is a model; return what came of it."""
    try:
        USES[file.use](file, random)
    except LstmConvertError as error:
        first = str(error).partition("\n")[0]
        if first.startswith(_TARGET):
            return "read", first
        named = first.startswith(tuple(f"{name}: " for name in file.files))
        return (f"refused: {type(error).__name__}" if named else "FAILED: names no file"), first
    except BaseException as error:  # noqa: BLE001 (whatever else comes is what is looked for)
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "lstm_convert" in frame.filename]
        last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).parent.name}/{Path(last.filename).name}:{last.lineno} {last.name}"
        return f"FAILED: {type(error).__name__}", f"{where}: {error!s:.150}"
    return "converted", ""


def _convert(file: Seed, random: Random) -> None:
    """Convert a file to some kind, which reads the result back and proves it."""
    target, alone = f"{_TARGET}{random.choice(_TARGETS)}", random.random() < 0.3  # noqa: PLR2004 (some)
    allow = random.choice(((), ALLOWABLE))
    lstm_convert.convert(file.name, target, config=file.config, allow=allow, lstm_only=alone)


USES: Mapping[str, Callable[[Seed, Random], object]] = {
    "convert": _convert,
    "data": lambda file, _: (sequences.read_numbers(file.name), sequences.read_data(file.name)),
    "readout": lambda file, _: readout.from_file(file.name),
    "proof": lambda file, _: lstm_convert.verify(file.name.removesuffix(PROOF)),
    "moves": lambda file, _: normalize_file(file.name.removesuffix(MOVES), f"{_TARGET}.npz", undo=True),
}


def _kilobytes(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


def warm_up(kinds: dict[str, list[Seed]]) -> None:
    """Import what reading and converting import, so that every process has it from the start.

    `verify` is left without any framework: the float64 reference is what is watched.

    Args:
        kinds: the sound files.
    """
    for module in ("torch", "keras", "tensorflow"):
        sys.modules[module] = None  # type: ignore[assignment]  # that is how an import is refused
    for seeds in kinds.values():
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            for name, content in seeds[0].files.items():
                Path(name).write_bytes(content)
            if seeds[0].use != "convert":
                USES[seeds[0].use](seeds[0], Random(0))
                continue
            for ending in _TARGETS:
                with suppress(LstmConvertError):
                    lstm_convert.convert(seeds[0].name, f"{_TARGET}{ending}", force=True)
