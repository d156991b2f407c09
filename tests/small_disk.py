"""Run a command on a disk that is full after one page more at a time, until it has room.

    unshare -rm python tests/small_disk.py '{"start": …, "disk": …, "command": […], "quota": false}'

`disk` is an empty folder, over which a tmpfs of each size is mounted; with `quota`, for machines on which nobody may do
that, no file may grow beyond that size instead. Prints for each size the exit code, whether the folder is as it was,
and the names in it, as JSON.
"""

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from moments import finished, forked, run

PAGE = 4096
MOST = 64


def main() -> None:
    asked = json.loads(sys.argv[1])
    start, disk = Path(asked["start"]), Path(asked["disk"])
    run([*asked["command"][:-1], "--help"])
    used = sum(-(-path.stat().st_size // PAGE) + 1 for path in start.iterdir())
    found = []
    for pages in range(asked["quota"], MOST):  # the first page is what lies there already
        place = limited(pages * PAGE) if asked["quota"] else mounted(disk, (used + pages) * PAGE)
        with place:
            shutil.copytree(start, disk, dirs_exist_ok=True)
            before = contents(disk)
            code = finished(forked(disk, asked["command"], said=disk.parent))
            found.append([code, before == contents(disk), sorted(contents(disk))])
        if code == 0:
            break
    print(json.dumps(found))  # noqa: T201 (a script)


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)  # noqa: S603, S607 (fixed)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607 (fixed)


@contextmanager
def limited(size: int) -> Iterator[None]:
    """Let no file of this process and its forks grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def contents(folder: Path) -> dict[str, Any]:
    return {path.name: path.is_file() and sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


if __name__ == "__main__":
    main()
