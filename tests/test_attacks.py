"""Hostile files of every kind: nothing in them runs, and each is refused in words, in little memory and little time."""

import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from attacks import Attack, array_attacks, hdf5_attacks, pickle_attacks, size_attacks, text_attacks, watch, zip_attacks

from lstm_convert import errors

ROOT = Path(__file__).parent.parent
GROUPS: dict[str, Callable[[], Iterable[Attack]]] = {
    "pickles": pickle_attacks.attacks,
    "zips": zip_attacks.attacks,
    "hdf5": hdf5_attacks.attacks,
    "texts": text_attacks.attacks,
    "sizes": size_attacks.attacks,
    "arrays": array_attacks.attacks,
}
LONGEST_SECONDS = 5
DOCUMENTED = {name for name, error in vars(errors).items() if isinstance(error, type)}


def tried(attacks: list[Attack], folder: Path) -> dict[str, Any]:
    """Build attacks and let a bounded process read them all; return what came of each."""
    named = {f"{number}": attack for number, attack in enumerate(attacks)}
    for name, attack in named.items():
        (folder / name).mkdir()
        attack.build(folder / name)
    question = json.dumps([[name, attack.file, attack.config, attack.use] for name, attack in named.items()])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, watch.__file__, str(folder)]
    done = subprocess.run(  # noqa: S603 (this very Python)
        command, input=question, capture_output=True, text=True, check=False, env=environment, cwd=folder
    )
    assert (done.returncode, done.stderr) == (0, "")
    answers = json.loads(done.stdout)
    return {named[name].name: answer for name, answer in answers.items()}


def faults(attack: Attack, answer: dict[str, Any]) -> list[str]:
    """Return all that is not as it should be of what came of an attack."""
    return [
        *[f"raised {answer['error']}"] * (answer["error"] not in DOCUMENTED),
        *[f"should say {attack.said!r}"] * (attack.said not in answer["said"]),
        *["names no file"]
        * (not any(name in answer["said"] for name in (attack.file, str(attack.config), watch.TARGET))),
        *answer["done"],
        *[f"left {name}" for name in answer["left"]],
        *["too slow"] * (answer["seconds"] > LONGEST_SECONDS),
        *["too large"] * (answer["memory"] > watch.LARGEST_MEMORY),
    ]


@pytest.mark.parametrize("group", GROUPS)
def test_every_attack_is_refused_in_words_and_nothing_else_happens(tmp_path: Path, group: str) -> None:
    attacks = list(GROUPS[group]())
    answers = tried(attacks, tmp_path)
    assert len(answers) == len(attacks) > 20
    wrong = {attack.name: (faults(attack, answers[attack.name]), answers[attack.name]) for attack in attacks}
    assert {name: found for name, found in wrong.items() if found[0]} == {}
    assert not list(tmp_path.rglob(pickle_attacks.CANARY))
    assert not list(tmp_path.parent.glob("escaped*"))


def test_the_calls_are_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of the check: an ordinary unpickler runs what a call asks for."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle_attacks.called("os.system"))  # noqa: S301 (made here, to see it act)
    assert (tmp_path / pickle_attacks.CANARY).exists()


def test_a_call_that_would_be_made_would_be_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The check of the check: what a watched process does is noted."""
    seen: list[str] = []
    monkeypatch.chdir(tmp_path)
    watch._note(seen, "os.system", ("touch x",))  # noqa: SLF001 (it is the hook itself that is looked at)
    watch._note(seen, "open", (str(tmp_path / "x"), "w", 0))  # noqa: SLF001
    watch._note(seen, "open", (str(tmp_path / "x"), "rb", 0))  # noqa: SLF001
    assert seen == ["os.system ('touch x',)", f"writes {tmp_path / 'x'}"]


def test_every_bound_that_is_told_stands_once_in_the_code() -> None:
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|") and ".py`" in line]
    told = [
        (name, path)
        for row in rows
        for names, path in re.findall(r"((?:`\w+`(?:, )?)+) in `([\w/]+\.py)`", row)
        for name in re.findall(r"`(\w+)`", names)
    ]
    assert len(told) > 25
    for name, path in told:
        code = (ROOT / "lstm_convert" / path).read_text("utf-8")
        assert len(re.findall(rf"^(?:\w+, )*{name}(?:, \w+)* = ", code, re.MULTILINE)) == 1, (name, path)
