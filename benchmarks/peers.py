"""What other ways between Keras and PyTorch make of models that the frameworks themselves wrote and ran.

    python benchmarks/peers.py --environments FOLDER [--runs 3] [--markdown]

Each peer has a virtual environment of its own in FOLDER, which is made where it is not there yet (with this Python,
which should be 3.11, the last for which Keras 2.15 is built; 11 GB in all) and kept for the next time, but for
that of lstm_convert as it lies here. PyTorch is installed as pip is configured to: name an index of CPU builds
(`PIP_EXTRA_INDEX_URL`), or it brings gigabytes of CUDA. A peer that does not install is reported with pip's reason.

A conversion is a process of its own, from the file to the file that the peer makes of it; time is the median of all,
memory the highest peak. What it made is run by its own framework on the recorded inputs, in a process that is not
measured, and compared with the outputs that the framework recorded when it wrote the file; from PyTorch, with what
PyTorch computes from the same state dict. `peer_scripts/` has what each does.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import environ, wait4, waitstatus_to_exitcode
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
SCRIPTS = Path(__file__).with_name("peer_scripts")
FIXTURES = ROOT / "fixtures"
SAME = 1e-5  # of the outputs' scale

TORCH = "torch==2.13.0"
KERAS_2 = (TORCH, "tensorflow-cpu==2.15.1", "keras==2.15.0", "numpy<2")
KERAS_3 = (TORCH, "keras==3.15.1", "h5py", "safetensors")
ENVIRONMENTS: Mapping[str, tuple[str, ...]] = {
    "lstm_convert": (str(ROOT),),
    "keras 2": KERAS_2,
    "keras 3": KERAS_3,
    "nobuco": (*KERAS_2, "nobuco==0.17.0", "torchvision==0.28.0"),
    "onnx, keras 2": (*KERAS_2, "tf2onnx==1.17.0", "onnx2pytorch==0.6.0", "onnx==1.17.0"),
    "onnx, keras 3": (*KERAS_3, "tensorflow-cpu==2.21.0", "tf2onnx==1.17.0", "onnx2pytorch==0.6.0"),
}

FROM_KERAS = {
    "LSTM, Keras 1": "keras-1.2.2/weather.h5",
    "stacked, Keras 2": "keras-2.2.0/plain.h5",
    "stacked, Keras 3": "keras-3.15.1/plain.keras",
    "bidirectional, tf.keras 2.15": "tf-2.15/bidirectional.h5",
    "bidirectional, Keras 3": "keras-3.15.1/bidirectional.keras",
    "masked, Keras 3": "keras-3.15.1/variant_masking.keras",
    "text with a mask, tf.keras 2.15": "models/tf-2.15/text.h5",
    "hard_sigmoid, Keras 1": "keras-1.2.2/weather_hard_sigmoid.h5",
    "hard_sigmoid, Keras 2": "keras-2.2.0/hard.h5",
    "GRU reset_after, Keras 3": "models/keras-3.15.1/gru_default.keras",
}
FROM_TORCH = {
    "LSTM": "torch-2.13/plain.pt",
    "no bias": "torch-2.13/nobias.pt",
    "three layers": "torch-2.13/three_layer.pt",
    "GRU": "torch-2.13/gru.pt",
}


@dataclass(frozen=True)
class Command:
    """What runs: an environment, and a script or a command in it, `{source}`, `{result}` … for the files."""

    environment: str
    arguments: tuple[str, ...]

    def line(self, folder: Path, files: Mapping[str, str]) -> list[str]:
        """Return the command with its files."""
        program, *rest = [argument.format(**files) for argument in self.arguments]
        programs = folder / self.environment / "bin"
        if program.endswith(".py"):
            return [str(programs / "python"), str(SCRIPTS / program), *rest]
        return [str(programs / program), *rest]


def script(environment: str, name: str, *arguments: str) -> Command:
    """Return a script of `peer_scripts/` in an environment."""
    return Command(environment, (name, *arguments))


@dataclass(frozen=True)
class Peer:
    """One way from one framework to the other.

    Args:
        name: what it is called.
        models: what it is given.
        ending: of the file that it makes.
        convert: what makes that file; of Keras 2 and older, and of Keras 3.
        run: what runs it, likewise.
    """

    name: str
    models: Mapping[str, str]
    ending: str
    convert: tuple[Command, Command]
    run: tuple[Command, Command]


def both(*commands: Command) -> tuple[Command, Command]:
    """Return what is used for files of any age, or for older and newer ones."""
    return commands[0], commands[-1]


CONVERT, RUN = ("convert", "{source}", "{result}"), ("run", "{result}", "{inputs}", "{outputs}")
OURS = ("lstm-convert", "convert", "{source}", "{result}", "--force")
PEERS = (
    Peer(
        "lstm_convert", FROM_KERAS, ".py",
        both(Command("lstm_convert", OURS)),
        both(script("keras 3", "plain_torch.py", *RUN)),
    ),
    Peer(
        "the hand recipe", FROM_KERAS, ".pt",
        both(script("keras 2", "hand.py", *CONVERT), script("keras 3", "hand.py", *CONVERT)),
        both(script("keras 2", "hand.py", *RUN), script("keras 3", "hand.py", *RUN)),
    ),
    Peer(
        "tf2onnx + onnx2pytorch", FROM_KERAS, ".onnx",
        both(script("onnx, keras 2", "onnx_chain.py", *CONVERT), script("onnx, keras 3", "onnx_chain.py", *CONVERT)),
        both(script("onnx, keras 2", "onnx_chain.py", *RUN), script("onnx, keras 3", "onnx_chain.py", *RUN)),
    ),
    Peer(
        "Keras 3 on its torch backend", FROM_KERAS, ".keras",
        both(script("keras 3", "keras_run.py", *CONVERT)),
        both(script("keras 3", "keras_run.py", *RUN)),
    ),
    Peer(
        "lstm_convert, to Keras 3", FROM_TORCH, ".keras",
        both(Command("lstm_convert", (*OURS, "--graph", "{recurrent},last,head"))),
        both(script("keras 3", "keras_run.py", *RUN)),
    ),
    Peer(
        "nobuco, to Keras 2", FROM_TORCH, ".h5",
        both(script("nobuco", "nobuco_port.py", *CONVERT)),
        both(script("nobuco", "keras_run.py", *RUN)),
    ),
)  # fmt: skip


@dataclass
class Score:
    """What became of the models of a peer."""

    converted: int = 0
    wrong: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    worst: float = 0.0
    seconds: list[float] = field(default_factory=list)
    megabytes: float = 0.0


def main() -> None:
    """Make the environments, run every peer on every model, and print the tables."""
    parser = argparse.ArgumentParser(description="What other ways between Keras and PyTorch make of real models.")
    parser.add_argument("--environments", type=Path, required=True, help="the folder of the virtual environments")
    parser.add_argument("--runs", type=int, default=3, help="how often each conversion runs (default 3)")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    arguments = parser.parse_args()
    folder = arguments.environments.resolve()
    missing = {name: reason for name, wanted in ENVIRONMENTS.items() if (reason := made(folder / name, wanted))}
    columns = ["", "right", "silently wrong", "not converted", "largest difference", "time", "memory", "installed"]
    rows, notes = [], []
    for peer in PEERS:
        needed = {command.environment for command in (*peer.convert, *peer.run)}
        if reasons := [missing[name] for name in sorted(needed) if name in missing]:
            rows.append([peer.name, f"does not install: {reasons[0]}", *[""] * (len(columns) - 2)])
            continue
        score = scored(peer, folder, arguments.runs)
        size = sum(size_of(folder / name) for name in sorted({command.environment for command in peer.convert}))
        rows.append(
            [
                peer.name, f"{score.converted} of {len(peer.models)}", str(len(score.wrong)), str(len(score.refused)),
                f"{score.worst:.0e}", f"{statistics.median(score.seconds):.1f} s" if score.seconds else "",
                f"{score.megabytes:.0f} MB", f"{size:.0f} MB",
            ]
        )  # fmt: skip
        notes += [f"{peer.name}: {note}" for note in (*score.wrong, *map(": ".join, score.refused.items()))]
    print(table([columns, *rows], markdown=arguments.markdown))
    print("\n".join(notes))


def rows() -> list[str]:
    """Return what the rows of the Markdown table begin with."""
    return [f"| {peer.name} |" for peer in PEERS]


def made(environment: Path, wanted: Sequence[str]) -> str:
    """Make an environment where it is not there yet, or anew for what lies here; return why it could not be made."""
    done = environment / "installed"
    as_wanted = done.exists() and done.read_text("utf-8").split("\n") == [*wanted]
    if as_wanted and str(ROOT) not in wanted:
        return ""
    print(f"making {environment}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
    pip = [str(environment / "bin/pip"), "install", "-q", "--disable-pip-version-check"]
    first = [TORCH] if TORCH in wanted else []
    for requirements in filter(None, (first, wanted)):
        ran = subprocess.run([*pip, *requirements], capture_output=True, text=True, check=False)
        if ran.returncode:
            said = [line for line in ran.stderr.splitlines() if line.startswith("ERROR")]
            return (said or ran.stderr.splitlines() or ["pip failed"])[-1]
    done.write_text("\n".join(wanted), "utf-8")
    return ""


def scored(peer: Peer, folder: Path, runs: int) -> Score:
    """Return what a peer makes of its models."""
    score = Score()
    for name, source in peer.models.items():
        with tempfile.TemporaryDirectory() as scratch:
            outcome = of_model(peer, FIXTURES / source, folder, Path(scratch), runs, score)
        print(f"{peer.name}: {name}: {outcome}", file=sys.stderr, flush=True)
        if isinstance(outcome, str):
            score.refused[name] = outcome
        elif outcome <= SAME:
            score.converted += 1
            score.worst = max(score.worst, outcome)
        else:
            score.wrong.append(f"{name}: WRONG by {outcome:.0e}")
    return score


def of_model(peer: Peer, source: Path, folder: Path, scratch: Path, runs: int, score: Score) -> float | str:
    """Return how far what a peer makes of a model is from what was recorded, or why it makes nothing of it."""
    new = "keras-3" in str(source)
    expected = source.with_name(f"{source.name.partition('.')[0]}.expected.npz")
    files = {
        "source": str(source), "result": str(scratch / f"result{peer.ending}"), "inputs": str(expected),
        "outputs": str(scratch / "outputs.npz"), "recurrent": "gru" if "gru" in source.name else "lstm",
    }  # fmt: skip
    for _ in range(runs):
        seconds, megabytes, said = measured(peer.convert[new].line(folder, files))
        if said:
            return said
        score.seconds.append(seconds)
        score.megabytes = max(score.megabytes, megabytes)
    if peer.models is FROM_TORCH:
        files |= {"inputs": str(scratch / "inputs.npz")}
        with np.load(expected) as recorded:
            np.savez(files["inputs"], x0=recorded["x0"])
        record = script("keras 3", "plain_torch.py", "record", "{source}", "{inputs}", str(scratch / "expected.npz"))
        expected = scratch / "expected.npz"
        if said := measured(record.line(folder, files))[2]:
            raise SystemExit(f"PyTorch does not run {source}: {said}")
    if said := measured(peer.run[new].line(folder, files))[2]:
        return f"does not run: {said}"
    with np.load(files["outputs"]) as found, np.load(expected) as recorded:
        if found["y0"].shape != recorded["y0"].shape:
            return f"returns {found['y0'].shape}, recorded {recorded['y0'].shape}"
        return float(np.abs(found["y0"] - recorded["y0"]).max() / max(1.0, np.abs(recorded["y0"]).max()))


def measured(command: Sequence[str]) -> tuple[float, float, str]:
    """Return the wall seconds and the peak megabytes of a process, and, where it failed, the last line that it said."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore", "CUDA_VISIBLE_DEVICES": ""}
    own = {name: value for name, value in environ.items() if not name.startswith(("PYTHON", "KERAS"))}
    with tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=own | quiet)
        _, status, usage = wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = waitstatus_to_exitcode(status)
        errors.seek(0)
        said = [line.strip() for line in errors.read().splitlines() if line.strip()]
    reason = "" if process.returncode == 0 else (said or [f"exit code {process.returncode}"])[-1][:150]
    return seconds, usage.ru_maxrss / 1024, reason


def size_of(environment: Path) -> float:
    """Return how many megabytes an environment takes."""
    return sum(path.lstat().st_blocks for path in environment.rglob("*")) * 512 / 1e6


def table(rows: Sequence[Sequence[str]], *, markdown: bool) -> str:
    """Return rows as text, the first of them the names of the columns."""
    if markdown:
        lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
        return "\n".join(f"| {' | '.join(row)} |" for row in lines)
    widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


if __name__ == "__main__":
    main()
