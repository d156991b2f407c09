"""Every real file of the folder LSTM_CONVERT_REAL_DIR: its LSTM computes what was recorded, or it is refused."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import Array
from real_models import Source, chain, convolution, lstm, pooled, relu
from real_outcomes import HARD, MATCHES, NOT_PLAIN, OUTCOMES, Outcome

import lstm_convert
from lstm_convert import Model, Unsupported

if not os.environ.get("LSTM_CONVERT_REAL_DIR"):
    pytest.skip("LSTM_CONVERT_REAL_DIR names no folder of real models", allow_module_level=True)

REAL = Path(os.environ["LSTM_CONVERT_REAL_DIR"])
COMPUTED = [name for name, outcome in OUTCOMES.items() if outcome.recipe]
NEEDS_TELLING = [name for name, outcome in OUTCOMES.items() if outcome.config or outcome.recurrent_activation]


def loaded(name: str) -> Source:
    outcome = OUTCOMES[name]
    config = REAL / outcome.config if outcome.config else None
    path = REAL / name
    model = lstm_convert.load(path, config=config, recurrent_activation=outcome.recurrent_activation)
    return Source(path, model)


def assert_matches(found: Array, wanted: Array, tolerance: float = 1e-5) -> None:
    """Equal within a share of the largest recorded number."""
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


def assert_computes(outcome: Outcome, source: Source) -> None:
    assert outcome.recipe is not None
    for key, computed in outcome.recipe(source):
        assert_matches(computed, source.recorded[key], outcome.tolerance)


def says_hard_sigmoid(model: Model) -> bool:
    cells = [cell for layer in model.layers for cell in layer.cells.values()]
    return any(activation.name == "hard_sigmoid" for cell in cells for activation in cell.activations().values())


def test_no_file_of_the_folder_is_forgotten() -> None:
    files = {str(path.relative_to(REAL)) for path in REAL.glob("*/*")}
    recordings = {name for name in files if name.removesuffix(".npz").removesuffix(".repo") in files - {name}}
    configs = {outcome.config for outcome in OUTCOMES.values()}
    assert files - recordings - configs == set(OUTCOMES)


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_real_file_ends_as_the_table_says(name: str, tmp_path: Path, record_property: Any) -> None:
    outcome = OUTCOMES[name]
    target = tmp_path / "target.pt"
    said: dict[str, Any] = {"config": REAL / outcome.config if outcome.config else None}
    said["recurrent_activation"] = outcome.recurrent_activation
    if outcome.reason:
        with pytest.raises(outcome.error) as refused:
            lstm_convert.convert(REAL / name, target, lstm_only=True, **said)
        assert outcome.reason in str(refused.value)
        assert not target.exists()
    else:
        done = lstm_convert.convert(REAL / name, target, lstm_only=True, **said)
        assert done.proof.max_abs_difference <= done.proof.tolerance
        torch.load(target, weights_only=True)
    if outcome.kind == HARD:
        lstm_convert.convert(REAL / name, target, allow=["hard_sigmoid"], lstm_only=True, **said)
    if outcome.kind in (HARD, NOT_PLAIN):
        for ending in (".npz", ".keras"):
            done = lstm_convert.convert(REAL / name, tmp_path / f"target{ending}", lstm_only=True, **said)
            assert_computes(outcome, Source(REAL / name, lstm_convert.load(done.target)))
            assert ("scaled by 6/5" in "\n".join(done.usage)) == (ending == ".keras" and says_hard_sigmoid(done.source))
    record_property("real file", outcome.kind)


@pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated:DeprecationWarning")  # one real file is TorchScript
@pytest.mark.parametrize("name", COMPUTED)
def test_the_lstm_of_a_real_file_computes_what_was_recorded(name: str) -> None:
    assert_computes(OUTCOMES[name], loaded(name))


@pytest.mark.parametrize("name", [name for name in COMPUTED if (REAL / f"{name}.repo.npz").exists()])
def test_it_is_what_the_repository_itself_recorded_too(name: str) -> None:
    source = loaded(name)
    with np.load(REAL / f"{name}.repo.npz", allow_pickle=False) as file:
        source.__dict__["recorded"] = dict(file)
    assert_computes(OUTCOMES[name], source)


def test_the_last_recurrent_layer_inside_a_model_matches_too() -> None:
    source = loaded("faroit+CountNet/models__F-CRNN.h5")
    steps = (convolution("convolution1d_1"), relu, pooled(4), convolution("convolution1d_2"), relu, pooled(2))
    [(key, computed)] = chain(*steps, convolution("convolution1d_3"), relu, lstm(), y="y1")(source)
    assert_matches(computed, source.recorded[key])


@pytest.mark.parametrize("name", NEEDS_TELLING)
def test_weights_alone_of_unknown_age_are_refused_until_told(name: str) -> None:
    with pytest.raises(Unsupported, match="versions of Keras differ"):
        lstm_convert.load(REAL / name)


@pytest.mark.parametrize("name", NEEDS_TELLING)
def test_told_the_other_activation_it_computes_something_else(name: str) -> None:
    wrong = "hard_sigmoid" if OUTCOMES[name].kind == MATCHES else "sigmoid"
    source = Source(REAL / name, lstm_convert.load(REAL / name, recurrent_activation=wrong))
    assert any(
        np.abs(computed - source.recorded[key]).max() > 1e-3 * np.abs(source.recorded[key]).max()
        for key, computed in OUTCOMES[name].recipe(source)  # type: ignore[misc]  # those told something have one
    )
