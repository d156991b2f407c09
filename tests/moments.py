"""Run a command again and again, and let something happen to it at one moment after the other.

    python tests/moments.py '{"start": …, "into": …, "command": […], "modules": […], "meanwhile": […]}'

A moment is a line of one of the modules that is about to be executed: between two of them lies at most one change that
others can see. For each there is a process of its own, forked from one that has loaded everything, in a copy of the
folder `start` under the moment's number. `meanwhile` says what happens there:

    ["kill"]                    SIGKILL
    ["run", ARGUMENT, …]        another command runs while this one is stopped; if it waits for that, both go on
    ["copy", FROM, TO]          a file is written over, in its place, while the command is stopped
    ["exchange", FROM, TO]      the same, but another file is put in its place
    ["truncate", TO]            a file is cut to half of its length

Prints the exit codes of each moment as JSON: of the command, and of the other one.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from lstm_convert import cli

PATIENCE = 0.3  # seconds for which another command may be kept waiting by the one that is stopped
Trace = Callable[[FrameType, str, Any], Any]


def main() -> None:
    asked = json.loads(sys.argv[1])
    start, into = Path(asked["start"]), Path(asked["into"])
    warm = into / "warm"
    shutil.copytree(start, warm, symlinks=True)
    os.chdir(warm)
    run(asked["command"])  # which loads everything
    count = counted(asked, start, into / "counted")
    moments = range(1, count + 1, max(1, count // asked["most"]))
    print(json.dumps({moment: happening(asked, start, into / str(moment), moment) for moment in moments}))  # noqa: T201 (a script)


def counted(asked: dict[str, Any], start: Path, folder: Path) -> int:
    """Return how many moments there are."""
    shutil.copytree(start, folder, symlinks=True)
    reading, writing = os.pipe()
    process = forked(folder, asked["command"], traced(asked["modules"], lambda: os.write(writing, b".")))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        count = len(pipe.read())
    finished(process)
    return count


def happening(asked: dict[str, Any], start: Path, folder: Path, moment: int) -> tuple[int, int | None]:
    """Return the exit codes of what ran in a folder: the command, and the other one."""
    shutil.copytree(start, folder, symlinks=True)
    kind, *details = asked["meanwhile"]
    left = [moment]

    def halt() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL if kind == "kill" else signal.SIGSTOP)

    process = forked(folder, asked["command"], traced(asked["modules"], halt))
    if kind == "kill":
        return finished(process), None
    _, status = os.waitpid(process, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        return os.waitstatus_to_exitcode(status), None
    if kind != "run":
        changed(kind, *(folder / name for name in details))
        os.kill(process, signal.SIGCONT)
        return finished(process), None
    other = forked(folder, details)
    code = patiently(other)
    os.kill(process, signal.SIGCONT)
    ended = finished(process)
    return ended, finished(other) if code is None else code


def changed(kind: str, *paths: Path) -> None:
    if kind == "copy":
        paths[1].write_bytes(paths[0].read_bytes())
    elif kind == "exchange":
        paths[0].replace(paths[1])
    else:
        os.truncate(paths[0], paths[0].stat().st_size // 2)


def forked(folder: Path, command: Sequence[str], trace: Trace | None = None, said: Path = Path()) -> int:
    """Return the number of a process that runs a command in a folder; files there or elsewhere get what it says."""
    process = os.fork()
    if process:
        return process
    os.chdir(folder)
    with (said / "stdout").open("a") as out, (said / "stderr").open("a") as errors:
        os.dup2(out.fileno(), 1)
        os.dup2(errors.fileno(), 2)
    sys.settrace(trace)
    code = run(command)
    sys.settrace(None)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(command: Sequence[str]) -> int:
    sys.argv = ["lstm-convert", *command]
    try:
        cli.main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def traced(modules: Sequence[str], act: Callable[[], Any]) -> Trace:
    """Return what acts before each line of some modules."""

    def of_lines(_frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            act()
        return of_lines

    def of_calls(frame: FrameType, _event: str, _argument: Any) -> Any:
        return of_lines if frame.f_code.co_filename.endswith(tuple(modules)) else None

    return of_calls


def patiently(process: int) -> int | None:
    """Return the exit code of a process, or None where it waits."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


def finished(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


if __name__ == "__main__":
    main()
