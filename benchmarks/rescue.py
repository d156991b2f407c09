"""Real trained files: which Keras opens them, what they become, and how far that is from what was recorded.

    python benchmarks/rescue.py FOLDER [--markdown]

FOLDER holds trained files of Keras and PyTorch, and beside each, as `<file>.npz`, what went into it and came out of it:
x0, x1, … and y0, y1, … A weights-only `<name>_weights.h5` takes its architecture from `<name>_config.json`. Needs
lstm_convert with its test extra; tf_keras, which is Keras 2, is asked too where it is installed.
"""

import argparse
import importlib.util
import os
import runpy
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import lstm_convert
from lstm_convert import LstmConvertError

KINDS = (".h5", ".hdf5", ".keras", ".pt", ".pth", ".jit")
KERASES = [name for name in ("tf_keras", "keras") if importlib.util.find_spec(name)]
# Largest difference, relative to the outputs' scale, that counts as the same.
SAME = 1e-5

Arrays = list[Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a file somewhere: how far it was from what was recorded, or why there is nothing to compare."""

    difference: float | None
    reason: str = ""

    def __str__(self) -> str:
        if self.difference is None:
            return self.reason
        return f"{self.difference:.0e}" if self.difference <= SAME else f"WRONG {self.difference:.0e}"


def main() -> None:
    """Try every file and print the table."""
    parser = argparse.ArgumentParser(description="Which real trained files open where, and what they become.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    arguments = parser.parse_args()
    columns = ["file", *(f"opens in {name}" for name in KERASES), "to .keras", "to .py"]
    rows = [tried(path) for path in sorted(arguments.folder.rglob("*")) if path.suffix in KINDS]
    if arguments.markdown:
        lines = [columns, ["---"] * len(columns), *rows]
        print("\n".join(f"| {' | '.join(line)} |" for line in lines))
    else:
        widths = [max(len(line[number]) for line in (columns, *rows)) for number in range(len(columns))]
        for line in (columns, *rows):
            print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    for number, column in enumerate(columns[1:], start=1):
        same = sum(row[number][:1].isdigit() for row in rows)
        wrong = sum(row[number].startswith("WRONG") for row in rows)
        print(f"{column}: {same} of {len(rows)} as recorded, {wrong} silently wrong")


def tried(path: Path) -> list[str]:
    """Return the row of one file."""
    recorded = recordings(path)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = [of_keras(name, path, recorded) for name in KERASES]
        outcomes.append(converted(path, Path(folder) / "rescued.keras", recorded, in_keras))
        outcomes.append(converted(path, Path(folder) / "model.py", recorded, in_torch))
    print(f"{path.name}: {', '.join(map(str, outcomes))}", file=sys.stderr)
    return [path.name, *map(str, outcomes)]


def recordings(path: Path) -> tuple[Arrays, Arrays] | None:
    """Return what went into a file's model and what came out, or None where nothing was recorded."""
    beside = path.with_name(f"{path.name}.npz")
    if not beside.exists():
        return None
    with np.load(beside, allow_pickle=False) as file:
        inputs, outputs = ([file[name] for name in sorted(file.files) if name[0] == kind] for kind in "xy")
    return inputs, outputs


def of_keras(name: str, path: Path, recorded: tuple[Arrays, Arrays] | None) -> Outcome:
    """Return what a Keras makes of a file itself."""
    keras = importlib.import_module(name)
    try:
        model = keras.models.load_model(path, compile=False)
        return (
            compared(model.predict(_one_or_all(recorded[0]), verbose=0), recorded)
            if recorded
            else Outcome(None, "opens")
        )
    except Exception as error:  # noqa: BLE001 (whatever Keras says)
        return Outcome(None, f"no: {type(error).__name__}")


def converted(
    path: Path, target: Path, recorded: tuple[Arrays, Arrays] | None, run: Callable[[Path, Arrays], Any]
) -> Outcome:
    """Return what a file becomes."""
    beside = path.with_name(path.name.replace("_weights.h5", "_config.json"))
    config = beside if beside != path and beside.exists() else None
    try:
        tells_network = lstm_convert.load(path, config=config).network is not None
        lstm_convert.convert(path, target, config=config)
    except LstmConvertError as error:
        return Outcome(None, textwrap.shorten(f"refused: {error.what.rpartition(': ')[2]}", 70, placeholder=" …"))
    if not tells_network:
        return Outcome(None, "its recurrent layers alone: it tells no more")
    return compared(run(target, recorded[0]), recorded) if recorded else Outcome(None, "converts")


def in_keras(path: Path, inputs: Arrays) -> Any:
    """Run a `.keras` file in Keras 3, in its safe mode."""
    import keras  # noqa: PLC0415 (each framework is loaded when it is first needed)

    return keras.models.load_model(path, safe_mode=True).predict(_one_or_all(inputs), verbose=0)


def in_torch(path: Path, inputs: Arrays) -> Any:
    """Run written PyTorch source with the weights beside it."""
    import torch  # noqa: PLC0415 (as above)

    model = runpy.run_path(str(path))["load"]()
    with torch.no_grad():
        return model(*map(torch.from_numpy, map(_as_float32, inputs)))


def _as_float32(array: Any) -> Any:
    return array if array.dtype.kind == "i" else array.astype(np.float32)


def _one_or_all(inputs: Arrays) -> Any:
    return inputs[0] if len(inputs) == 1 else inputs


def compared(returned: Any, recorded: tuple[Arrays, Arrays]) -> Outcome:
    """Return how far the outputs are from those recorded, relative to their scale."""
    outputs: Sequence[Any] = returned if isinstance(returned, list | tuple) else [returned]
    worst = 0.0
    for found, expected in zip(map(np.asarray, outputs), recorded[1], strict=False):  # some record what lies inside too
        if found.shape != expected.shape:
            return Outcome(None, f"returns {found.shape}, recorded {expected.shape}")
        worst = max(worst, float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max())))
    return Outcome(worst)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
