"""Kernels that are multiplied by a block at a time, against the arrays that they stand for."""

from typing import Any

import numpy as np
import pytest

from lstm_convert import kernels


def made(*shape: int, turned: bool) -> Any:
    random = np.random.default_rng([*shape])
    return random.normal(size=shape[::-1]).astype("f4").T if turned else random.normal(size=shape).astype("f4")


@pytest.fixture
def all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_MOST_HELD", 0)
    monkeypatch.setattr(kernels, "_AT_ONCE", 30)


@pytest.mark.usefixtures("all_are_large")
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("shape", [(2, 5), (7, 1, 2, 5)], ids=str)
def test_large_kernels_multiply_as_their_array_does(shape: tuple[int, ...], *, turned: bool) -> None:
    each = [made(11, 5, turned=turned) for _ in range(4)]
    wanted, x = np.array(each, np.float64).transpose(0, 2, 1), made(*shape, turned=False).astype(np.float64)
    found = kernels.turned(each)
    assert isinstance(found, kernels.Kernels)
    np.testing.assert_allclose(x @ found, x @ wanted, rtol=1e-13)
    np.testing.assert_allclose(x @ found[1:3], x @ wanted[1:3], rtol=1e-13)
    np.testing.assert_allclose(x @ found[2], x @ wanted[2], rtol=1e-13)


def test_small_kernels_are_held() -> None:
    found = kernels.turned([made(11, 5, turned=True)])
    assert isinstance(found, np.ndarray)
    assert found.shape == (1, 5, 11)
    assert found.dtype == np.float64
