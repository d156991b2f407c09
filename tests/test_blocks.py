"""Arrays a block of rows at a time: the same numbers as the whole, whatever lies how."""

import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from lstm_convert import blocks
from lstm_convert.blocks import FileMap, Rows, blocks_of, copied, kept, let_go, not_finite, pairs_of, placed

SHAPES = hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=50) | hnp.array_shapes(
    min_dims=3, max_dims=4, min_side=0, max_side=6
)


@st.composite
def views(draw: st.DrawFn) -> NDArray[Any]:
    """Arrays that lie in every way a view can: turned, every other row, backwards."""
    shape = draw(SHAPES)
    array = np.arange(np.prod(shape), dtype=draw(st.sampled_from(["<f4", ">f4", "<f8", "<f2"]))).reshape(shape)
    array = array.transpose(draw(st.permutations(range(len(shape)))))
    return array[tuple(slice(None, None, draw(st.sampled_from([1, 2, -1]))) for _ in shape)]


@given(views(), st.integers(1, 4000))
def test_blocks_are_contiguous_and_together_the_array(array: NDArray[Any], size: int) -> None:
    with patch.object(blocks, "BYTES", size):
        found = [*blocks_of(array)]
        made = [*blocks_of(Rows(array.shape, array.dtype, lambda start, stop: np.array(array[start:stop], order="C")))]
    for rows in (found, made):
        assert all(block.flags.c_contiguous and block.dtype == array.dtype for block in rows)
        assert all(len(block) == 1 or block.nbytes <= size for block in rows)
        np.testing.assert_array_equal(np.concatenate([array[:0], *rows]), array)


@given(views(), st.integers(1, 4000))
def test_a_copy_is_the_array(array: NDArray[Any], size: int) -> None:
    with patch.object(blocks, "BYTES", size):
        np.testing.assert_array_equal(copied(array, np.full(array.shape, np.nan, array.dtype)), array)


@given(views(), st.integers(1, 4000), st.data())
def test_pairs_are_the_same_places_of_both(array: NDArray[Any], size: int, data: st.DataObject) -> None:
    other = np.array(array, "f8", order=data.draw(st.sampled_from(["C", "F"])))
    with patch.object(blocks, "BYTES", size):
        pairs = [*pairs_of(array, other)]
    assert sum(one.size for one, _ in pairs) == array.size
    for one, two in pairs:
        np.testing.assert_array_equal(one, two)


def test_an_array_without_axes_is_one_block() -> None:
    assert [*blocks_of(np.array(3.0))] == [3.0]
    assert [(one.item(), two.item()) for one, two in pairs_of(np.array(3.0), np.array(4.0))] == [(3.0, 4.0)]


@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_that_are_none_are_counted(order: Any) -> None:
    array = np.zeros((300, 7), order=order)
    array[[3, 200, 299], [0, 6, 6]] = np.nan, np.inf, -np.inf
    with patch.object(blocks, "BYTES", 100):
        assert not_finite(array) == 3
        assert not_finite(array[4:200]) == 0


@pytest.mark.parametrize("large", [1, 1 << 30], ids=["in a file", "in memory"])
def test_what_is_kept_is_there_and_leaves_no_file(large: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LARGE", large)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = np.arange(60.0).reshape(12, 5)
    found = kept(array.shape, array.dtype, (array[row : row + 1] for row in range(12)))
    assert not [*tmp_path.iterdir()]
    np.testing.assert_array_equal(found, array)
    let_go(found)
    np.testing.assert_array_equal(found, array)
    assert kept((0, 5), array.dtype, []).shape == (0, 5)


@settings(deadline=None)
@given(data=st.data())
def test_what_was_let_go_of_is_read_again(data: st.DataObject) -> None:
    array = np.arange(30_000, dtype="<f4").reshape(100, 300)
    with tempfile.TemporaryFile() as file:
        file.write(b"head" + array.tobytes())
        file.flush()
        mapped = FileMap.of(file)
    with patch.object(blocks, "LARGE", 1):
        found = placed(mapped, array.dtype, array.shape, 4)
    place = tuple(slice(*sorted(data.draw(st.tuples(st.integers(0, 300), st.integers(0, 300))))) for _ in range(2))
    for view, wanted in ((found, array), (found.T, array.T), (found[::-1], array[::-1])):
        let_go(view[place])
        np.testing.assert_array_equal(view, wanted)


def test_only_what_we_mapped_is_let_go_of(tmp_path: Path) -> None:
    """Pages of a map that its owner writes to privately would be lost."""
    (tmp_path / "a").write_bytes(bytes(40_000))
    private = np.memmap(tmp_path / "a", "f4", "c")
    private[:] = 7
    assert [block.min() for block in blocks_of(private)] == [7]
    let_go(private)
    assert private.min() == 7
