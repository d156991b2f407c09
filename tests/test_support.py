"""The matrix of variants and targets says what is so: each of its cells is tried, and the exact ones run for real."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch

import lstm_convert
from lstm_convert.canonical import LSTM, Model, Recurrent
from lstm_convert.errors import Unsupported
from lstm_convert.formats import FORMATS
from lstm_convert.reference import run
from lstm_convert.support import Variant, matrix, variants

ROOT = Path(__file__).parents[1]
VARIANTS = {variant.name: variant for variant in variants()}
TARGETS = [row for row in matrix()[0] if row != "variant"]
CELLS = [
    pytest.param(
        VARIANTS[row["variant"]], target.split()[0], row[target], id=f"{row['variant']} as {target.split()[0]}"
    )
    for row in matrix()
    for target in TARGETS
]


def saved(variant: Variant) -> Model:
    assert variant.layer is not None
    return Model((variant.layer,))


def sequences(layer: Recurrent, seed: int = 0) -> dict[str, Any]:
    """Random input, initial states and, for a masked layer, a mask with gaps at the start, inside and at the end."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(2, 4, layer.forward.inputs)) / 4  # short and small: some variants grow without bound
    h0 = [random.normal(size=(2, cell.outputs)) / 4 for cell in layer.cells.values()]
    c0 = [random.normal(size=(2, cell.units)) / 4 for cell in layer.cells.values()]
    mask = np.array([[0, 1, 0, 1], [1, 0, 1, 0]], bool) if layer.masked_by else None
    return {"x": x, "h0": h0, "c0": c0, "mask": mask}


def test_the_page_is_what_the_command_prints(command: Callable[..., tuple[int, str, str]]) -> None:
    assert command("formats", "--matrix") == (0, (ROOT / "docs/support.md").read_text("utf-8"), "")


def test_no_cell_is_empty_and_each_says_one_of_four_things() -> None:
    said = {text.partition(":")[0] for row in matrix() for column, text in row.items() if column != "variant"}
    assert said <= {"exact", "exact by scaling", "exact as source", "refused"}
    assert all(text.partition(": ")[2] for row in matrix() for text in row.values() if text.startswith("refused"))


def test_every_kind_of_file_that_is_written_has_a_column() -> None:
    assert {extension for target in TARGETS for extension in target.split()} == {
        extension for entry in FORMATS for extension in entry.extensions
    }


@pytest.mark.parametrize(("variant", "extension", "said"), CELLS)
def test_every_cell_is_true(variant: Variant, extension: str, said: str, tmp_path: Path) -> None:
    if variant.layer is None:
        assert said == f"refused: {variant.refused}"
    elif said.startswith("refused: "):
        with pytest.raises(Unsupported) as refusal:
            lstm_convert.save(saved(variant), tmp_path / f"x{extension}")
        assert all(reason in str(refusal.value) for reason in said.removeprefix("refused: ").split("; "))
        if "--custom-layer" in said:
            lstm_convert.save(saved(variant), tmp_path / f"x{extension}", custom_layer=True)
    else:
        lstm_convert.save(saved(variant), tmp_path / f"x{extension}")  # which proves what it wrote


@pytest.mark.parametrize(
    "variant",
    [variant for variant, row in zip(variants(), matrix(), strict=True) if row[TARGETS[1]].startswith("exact")],
    ids=lambda variant: variant.name,
)
def test_nn_lstm_computes_what_it_is_said_to(variant: Variant) -> None:
    layer = saved(variant).layers[0]
    given = sequences(layer)
    module = lstm_convert.to_torch(layer)
    states = tuple(torch.from_numpy(np.stack(given[name])) for name in ("h0", "c0"))
    two = isinstance(layer, LSTM)  # states, of which others have one
    with torch.no_grad():
        output, last_states = module(torch.from_numpy(given["x"]), states if two else states[0])
    h, *c = last_states if two else (last_states,)
    expected = run(layer, given["x"], given["h0"], given["c0"])
    last = torch.cat([h[-2], h[-1]], -1) if layer.backward else output[:, -1]
    np.testing.assert_allclose(output if layer.return_sequences else last, expected.output, atol=1e-12)
    np.testing.assert_allclose(h, np.stack(expected.h), atol=1e-12)
    for found, wanted in zip(c, [np.stack(expected.c)] if two else [], strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_keras_computes_what_it_is_said_to(tmp_path: Path) -> None:
    """All exact variants in one file, each layer of it run by Keras in float64."""
    exact = [row["variant"] for row in matrix() if row[TARGETS[0]].startswith("exact")]
    layers = [renamed(VARIANTS[name].layer, number) for number, name in enumerate(exact)]
    lstm_convert.save(Model(tuple(layers)), tmp_path / "all.keras")
    model = keras.models.load_model(tmp_path / "all.keras")
    for layer in layers:
        given = sequences(layer)
        expected = run(layer, given["x"], given["h0"], given["c0"], given["mask"])
        two = isinstance(layer, LSTM)
        states = [state for pair in zip(given["h0"], given["c0"], strict=True) for state in pair[: 1 + two]]
        options = {} if given["mask"] is None else {"mask": given["mask"]}
        found = model.get_layer(layer.name)(given["x"], initial_state=states, **options)
        outputs = found if isinstance(found, list | tuple) else [found]
        for one, other in zip(outputs, expected.outputs, strict=False):
            np.testing.assert_allclose(one, other, atol=1e-7, err_msg=layer.path)


def renamed(layer: Recurrent | None, number: int) -> Recurrent:
    assert layer is not None
    return replace(layer, path=f"layer_{number}", starts_from=None)
