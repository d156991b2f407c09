"""What the tests of collections share: files laid out in an empty folder, and what became of them."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

from helpers import FIXTURES

TORCH, KERAS = FIXTURES / "torch-2.13/plain.pt", FIXTURES / "keras-2.2.0/plain.h5"


def lay(source: Path, *names: str) -> None:
    """Lay copies of a file under some names."""
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, name)


def files(folder: str = "out") -> list[str]:
    """Return the files below a folder, hidden ones too."""
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def lines(path: str = "out/batch.jsonl") -> list[dict[str, Any]]:
    """Return the lines of a log."""
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def packed(name: str = "results.zip") -> dict[str, bytes]:
    """Return what an archive holds, after checking it."""
    with zipfile.ZipFile(name) as opened:
        assert opened.testzip() is None
        return {entry: opened.read(entry) for entry in opened.namelist()}
