"""The figures of the README: runs the benchmarks that they come from and prints them, with their date and machine.

    python benchmarks/figures.py [--only PART …] [--runs N] [--environments FOLDER] [--readme]

Needs lstm_convert with its test extra. Each benchmark is a process of its own, and so is all that it measures; about
fifteen minutes on two cores that do nothing else. `peers` runs where --environments names the folder that
`benchmarks/peers.py` keeps its environments in. With --readme, the README gets the figures of all parts that ran.
"""

import argparse
import datetime as dt
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import batch
import conversion
import large
import peers
import small

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FRAMEWORKS = ("keras", "tensorflow-cpu", "torch")


@dataclass(frozen=True)
class Part:
    """A benchmark of which the README has the figures.

    Args:
        rows: what the lines below the first begin with, as far as that is no figure.
        runs: how often it does each thing where nobody says.
        asked: its other arguments.
        compared: what it runs besides Python, with versions.
        markdown: whether what is printed is a Markdown table, and notes that the README goes without.
    """

    rows: Callable[[], Sequence[str]]
    runs: int
    asked: tuple[str, ...] = ()
    compared: Callable[[], Iterable[str]] = lambda: map(installed, ("h5py", "numpy"))
    markdown: bool = False


def installed(name: str) -> str:
    """Return a package of this environment with its version."""
    return f"{name} {version(name)}"


def with_frameworks() -> Iterable[str]:
    """Return all that is installed here of what converts models."""
    return map(installed, ("h5py", "numpy", *FRAMEWORKS))


def of_environments() -> Iterable[str]:
    """Return what the peers' environments are made of."""
    wanted = {name for environment in peers.ENVIRONMENTS.values() for name in environment if "==" in name}
    return sorted(name.replace("==", " ") for name in wanted)


PARTS = {
    "conversion": Part(conversion.rows, runs=9, compared=with_frameworks),
    "small": Part(small.rows, runs=5, compared=with_frameworks),
    "batch": Part(batch.rows, runs=5),
    "large": Part(large.rows, runs=5, asked=("--usual-runs", "1"), compared=with_frameworks),
    "peers": Part(peers.rows, runs=1, asked=("--markdown",), compared=of_environments, markdown=True),
}


def main() -> None:
    """Run the parts that are asked for; print them, and put them into the README where that is asked for."""
    parser = argparse.ArgumentParser(description="The figures of the README, with their date and machine.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--runs", type=int, help="how often each thing is done (default: more often what is short)")
    parser.add_argument("--environments", type=Path, help="the folder of the peers' environments")
    parser.add_argument("--readme", action="store_true", help="put the figures into the README too")
    asked = parser.parse_args()
    for name in asked.only:
        if name == "peers" and asked.environments is None:
            print("peers: left out, since no --environments are named", file=sys.stderr)
            continue
        text = figures(name, asked.runs or PARTS[name].runs, asked.environments)
        print(text, flush=True)
        if asked.readme:
            README.write_text(replaced(README.read_text("utf-8"), name, text), "utf-8")


def figures(name: str, runs: int, environments: Path | None) -> str:
    """Return what a part prints, below the command, the date, the machine and what was compared.

    Args:
        name: of the part.
        runs: how often it does each thing.
        environments: the folder of the peers' environments.
    """
    part = PARTS[name]
    arguments = [*part.asked, "--runs", str(runs)]
    where = ["--environments", str(environments)] if part.markdown else []
    line = [sys.executable, str(Path(__file__).with_name(f"{name}.py")), *arguments, *where]
    printed = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    shown = " ".join(["python", f"benchmarks/{name}.py", *arguments, *(["--environments FOLDER"] if where else [])])
    head = f"`{shown}`, {dt.datetime.now(tz=dt.UTC):%Y-%m-%d}, {machine()}; {', '.join(part.compared())}:"
    if part.markdown:
        return "\n".join([head, "", *(row for row in printed if row.startswith("|"))])
    return "\n".join([head, "", "```", *printed, "```"])


def machine() -> str:
    """Return what this machine and its Python are."""
    told = Path("/proc/cpuinfo")
    models = re.findall(r"^model name\s*: (.+)$", told.read_text("utf-8"), re.MULTILINE) if told.exists() else []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    model = models[0] if models else platform.processor() or platform.machine()
    return f"{model}, {cores} cores, {memory:.0f} GB, Python {platform.python_version()}"


def marked(name: str) -> "re.Pattern[str]":
    """Return what finds the figures of a part in the README, between its markers."""
    return re.compile(rf"(?<=<!-- figures: {name} -->\n).*?(?=\n<!-- /figures -->)", re.DOTALL)


def replaced(readme: str, name: str, text: str) -> str:
    """Return the README with the figures of a part.

    Args:
        readme: the README.
        name: of the part.
        text: its figures.
    """
    changed, count = marked(name).subn(lambda _: text, readme)
    if count != 1:
        raise SystemExit(f"the README has {count} places for the figures of {name}")
    return changed


if __name__ == "__main__":
    main()
