"""The option `info --gates`, as a user runs it: what the weights alone say."""

import json
from pathlib import Path

import pytest
from commands import GRU, WEATHER, Command

from lstm_convert.analysis.tables import COLUMNS


def test_info_shows_the_gates(command: Command) -> None:
    code, out, err = command("info", WEATHER, "--gates")
    assert (code, err) == (0, "")
    found = {tuple(line.split()[1:6]) for line in out.splitlines() if line.startswith(" lstm_1")}
    assert found == {("fwd", gate, kind, "16", str(columns)) for gate in "ifgo" for kind, columns in
                     (("W", 4), ("U", 16), ("b", 1))}  # fmt: skip
    assert "AT REST, by b_f alone: tau_life" in out


@pytest.mark.parametrize("path", [WEATHER, GRU], ids=["LSTM", "GRU"])
def test_info_shows_the_gates_as_json(command: Command, path: Path) -> None:
    code, out, _ = command("info", path, "--gates", "--json")
    answer = json.loads(out)
    assert code == 0
    assert list(answer) == ["file", "inventory", "gates", "units"]
    assert tuple(answer["gates"][0]) == COLUMNS["gates"]
    assert {row["gate"] for row in answer["gates"]} == set("ifgo" if path == WEATHER else "zrg")
    assert len(answer["units"]) == (16 if path == WEATHER else 0)
