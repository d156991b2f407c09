"""Load and convert every file of a folder in this process, which is bounded, and print what came of each as JSON.

    python tests/attacks/watch.py FOLDER < [["name", "file", "config or null", "use"], …]

A subprocess of the tests: it grows by at most a gigabyte, and what it does besides reading is written down.
"""

import codecs
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lstm_convert
from lstm_convert import sequences
from lstm_convert.analysis import readout
from lstm_convert.errors import LstmConvertError
from lstm_convert.reading import normalize_file

TARGET = "target.py"
# What a conversion is written to before it is proved, and by which names that is taken away from inside it.
_TEMPORARY, _IN_IT = ".lstm-convert-", (TARGET, "target.safetensors")
LARGEST_MEMORY = 1 << 30
# What no reading does: run a program, reach the network, compile or run code, load a library, remove or rename.
FORBIDDEN = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.remove", "os.rename"),
    *("subprocess.Popen", "socket.", "ctypes.", "pty.spawn", "shutil.", "webbrowser.open", "urllib.Request"),
    *("exec", "marshal.loads", "pickle.find_class"),
)


def main() -> None:
    """Try each file, in its own folder, and print the answers."""
    for module in ("torch", "keras", "tensorflow"):  # `verify` does without them, by the float64 reference alone
        sys.modules[module] = None  # type: ignore[assignment]  # that is how an import is refused
    root = Path(sys.argv[1])
    own = root / f"{_TEMPORARY}files"  # for the copies, without a name, of what is read
    own.mkdir()
    tempfile.tempdir = str(own)
    _warm_up(root)
    size = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + LARGEST_MEMORY, resource.RLIM_INFINITY))
    seen: list[str] = []
    sys.addaudithook(lambda event, arguments: _note(seen, event, arguments))
    asked = json.load(sys.stdin)
    answers = {name: _tried(root / name, file, config, use, seen) for name, file, config, use in asked}
    sys.stdout.write(json.dumps(answers))


def _warm_up(root: Path) -> None:
    """Import what reading and writing import, so that no import is taken for an attack."""
    codecs.lookup("raw_unicode_escape")  # which pickletools reads old texts with
    fixtures = Path(__file__).parents[2] / "fixtures"
    lstm_convert.convert(fixtures / "torch-2.13/plain.legacy.pt", root / "warm.keras")
    lstm_convert.convert(root / "warm.keras", root / "warm.pt", lstm_only=True)
    lstm_convert.convert(root / "warm.pt", root / "warm.npz")
    lstm_convert.convert(root / "warm.npz", root / "warm.lstm.safetensors")
    weights = fixtures / "keras-1.2.2/plain.weights_only.h5"
    lstm_convert.load(weights, config=weights.with_name("plain.yaml"))
    lstm_convert.convert(fixtures / "models/keras-2.2.0/text.h5", root / "warm.py")
    lstm_convert.convert(root / "warm.pt", root / "proved.npz", proof=True)
    lstm_convert.verify(root / "proved.npz")
    normalize_file(root / "warm.pt", root / "normal.npz")


def _note(seen: list[str], event: str, arguments: tuple[Any, ...]) -> None:
    if _TEMPORARY in repr(arguments) or (arguments and arguments[0] in _IN_IT):
        return
    if event.startswith(FORBIDDEN):
        seen.append(f"{event} {arguments!r:.100}")
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        seen.append(f"writes {arguments[0]}")


def _tried(folder: Path, file: str, config: str | None, use: str, seen: list[str]) -> dict[str, Any]:
    before = sorted(path.name for path in folder.iterdir())
    with _measured() as spent:
        seen.clear()
        said, error = _outcome(USES[use], folder / file, folder / config if config else None)
    done = list(seen)
    there = (*folder.iterdir(), *Path(tempfile.gettempdir()).iterdir())
    left = sorted({path.name for path in there} - set(before))
    return {"error": error, "said": said, "done": done, "left": left, **spent}


def _converted(file: Path, config: Path | None) -> None:
    lstm_convert.load(file, config=config)
    lstm_convert.convert(file, file.parent / TARGET, config=config)


# What reads a file: conversions, the data and the readout of an analysis, and what lies beside a result.
USES: dict[str, Callable[[Path, Path | None], object]] = {
    "convert": _converted,
    "data": lambda file, _: (sequences.read_numbers(file), sequences.read_data(file)),
    "readout": lambda file, _: readout.from_file(file),
    "proof": lambda file, _: lstm_convert.verify(file.with_name("a.npz")),
    "moves": lambda file, _: normalize_file(file.with_name("a.npz"), file.parent / TARGET, undo=True),
}


def _outcome(use: Callable[[Path, Path | None], object], file: Path, config: Path | None) -> tuple[str, str]:
    try:
        use(file, config)
    except LstmConvertError as error:
        return str(error), type(error).__name__
    except BaseException as error:  # noqa: BLE001 (any other is what the tests look for)
        return repr(error), "none of ours"
    return "", "none"


@contextmanager
def _measured() -> Iterator[dict[str, float]]:
    """Measure what happens inside: seconds of processor time, and the largest growth in bytes."""
    spent: dict[str, float] = {}
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the largest size so far is that of now
    size, started = _kilobytes("VmRSS"), time.process_time()
    yield spent
    spent |= {"seconds": time.process_time() - started, "memory": (_kilobytes("VmHWM") - size) << 10}


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


if __name__ == "__main__":
    main()
