"""How far two sides of `verify` may lie apart, and which sequences tell."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import KERAS_3, TORCH, command
from planting import doubled, planted, swapped

import lstm_convert
from lstm_convert import Model, verify
from lstm_convert.errors import InvalidFile, LstmConvertError
from lstm_convert.frameworks.pytorch import running as torch_running
from lstm_convert.reference import run
from lstm_convert.rounding import EPSILONS, tolerance
from lstm_convert.sequences import BATCHES, LENGTHS, trials

PLAIN_TORCH = TORCH / "plain.pt"


@pytest.mark.parametrize("dtype", EPSILONS)
@pytest.mark.parametrize(("times", "verdict"), [(10.0, "differs"), (0.1, "same")])
def test_an_error_beyond_the_tolerance_is_seen_and_one_within_is_not(dtype: str, times: float, verdict: str) -> None:
    """The only error is in what the framework is made to return, at one number of one step."""
    model = lstm_convert.load(TORCH / f"{dtype if dtype != 'float32' else 'plain'}.pt")
    honest = torch_running.runner

    def off(model: Model, path: Path | None, contents: Any) -> Any:
        make = honest(model, path, contents)

        def engine(number: int, return_sequences: bool) -> Any:  # noqa: FBT001 (as the runner has it)
            made = make(number, return_sequences)

            def ran(x: Any, h0: Any, c0: Any, mask: Any) -> Any:
                layer = replace(model.layers[number], return_sequences=return_sequences)
                exact = run(layer, x, h0, c0)
                scale = max(float(np.abs(a).max()) for a in (*exact.outputs, *exact.h, *exact.c))
                outputs = exact.outputs[0].copy()
                outputs[0, 0, 0] += times * tolerance(dtype, scale, x.shape[1])
                return replace(made.run(x, h0, c0, mask), outputs=(outputs,), h=exact.h, c=exact.c)

            return replace(made, run=ran)

        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_running, "runner", off)
        found = verify(model, replace(model, provenance=lstm_convert.Provenance("memory")))
    assert {row.verdict for row in found.rows if "PyTorch" in row.compared} == {verdict}
    assert {row.verdict for row in found.rows if "PyTorch" not in row.compared} == {"same"}


def test_an_error_of_the_framework_alone_is_seen_though_both_frameworks_agree() -> None:
    """A file that is read wrongly would run the same in its framework twice, and differ from the reference."""
    model = lstm_convert.load(PLAIN_TORCH)
    honest = torch_running.runner

    def of_another(model: Model, path: Path | None, contents: Any) -> Any:
        return honest(planted(model, [swapped("i", "f")]), path, contents)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_running, "runner", of_another)
        found = verify(model, model)
    frameworks = [row for row in found.rows if "PyTorch" in row.compared]
    assert all(row.max_abs_error == 0 and row.verdict == "differs" for row in frameworks)


def test_the_tolerance_grows_with_length_and_type() -> None:
    assert tolerance("float32", 1.0, 3) == 16 * 2.0**-23
    assert tolerance("float32", 0.1, 3) == tolerance("float32", 1.0, 3)
    assert tolerance("float16", 1.0, 3) > tolerance("float32", 1.0, 8) > tolerance("float32", 1.0, 3)


# Seeded sequences.


def test_a_seed_gives_the_same_numbers_again() -> None:
    first, again, other = (
        verify(PLAIN_TORCH, planted(lstm_convert.load(PLAIN_TORCH), [doubled]), seed=seed).rows for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_the_sequences_are_what_they_should_be() -> None:
    layer = lstm_convert.load(KERAS_3 / "variant_masking.keras").layers[0]
    given = list(trials(layer, np.random.default_rng(0), masked=True))
    assert [(trial.steps, len(trial.x)) for trial in given] == [
        (steps, batch) for steps in LENGTHS for batch in BATCHES
    ]
    for trial in given:
        assert all(state.all() for state in (*trial.h0, *trial.c0))
        assert np.array_equal(trial.x.astype(np.float16), trial.x)
        assert trial.mask is not None
    longest = given[-1].mask
    assert longest is not None
    assert longest.any()
    assert not longest.all()


# Data of the user's own.


def test_data_are_run_in_place_of_seeded_sequences(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(2, 11, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    other = TORCH / "plain.safetensors"
    found = verify(PLAIN_TORCH, other, data=tmp_path / "x.npy")
    assert found.same
    assert {row.steps for row in found.rows} == {11}
    assert command("verify", PLAIN_TORCH, other, "--data", tmp_path / "x.npy") == 0
    assert verify(PLAIN_TORCH, other, data=1000 * x).same


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((7, 3)), r"\(batch, time, features\), found float64 \(7, 3\)"),
        (np.zeros((2, 7, 4)), "no layer takes sequences of 4 features"),
        (np.zeros((0, 7, 3)), "batch, time, features"),
        (np.full((2, 7, 3), np.nan), "NaN or infinite"),
        (np.array([[["a"]]]), "batch, time, features"),
        (np.array([[[{}]]], dtype=object), "objects"),
    ],
)
def test_wrong_data_are_refused(tmp_path: Path, array: np.ndarray[Any, Any], said: str) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(LstmConvertError, match=said):
        verify(PLAIN_TORCH, PLAIN_TORCH, data=tmp_path / "x.npy")
    assert command("verify", PLAIN_TORCH, PLAIN_TORCH, "--data", tmp_path / "x.npy") == 2


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00\x05\x00{", b"\x93NUMPY"])
def test_damaged_data_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(InvalidFile, match=r"no \.npy file|damaged"):
        verify(PLAIN_TORCH, PLAIN_TORCH, data=tmp_path / "x.npy")
