"""Answers that are kept: found again by their numbers, never for others, and nobody's to change."""

import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.problem import answer_cache as module
from jaxcoopt.problem.answer_cache import kept

pytestmark = pytest.mark.fast


def counted():
    calls = []

    def doubled(values, factor=2):
        calls.append(factor)
        return {"answer": factor * np.asarray(values)}

    return doubled, calls


def test_the_same_numbers_are_computed_once(rng):
    find, calls = counted()
    values = rng.normal(size=5)
    for given in (values, values.copy(), values[::-1][::-1]):
        np.testing.assert_array_equal(kept(find, given)["answer"], 2 * values)
    assert len(calls) == 1
    other, more = counted()
    kept(other, values)
    assert len(more) == 1


@pytest.mark.parametrize("change", ["in place", "type", "shape", "argument", "structure"])
def test_others_are_computed_anew(rng, change):
    find, calls = counted()
    values = rng.normal(size=6)
    kept(find, values)
    if change == "in place":
        values[2] += 1
    others = {"type": values.astype(np.float32), "shape": values.reshape(2, 3), "structure": (*values,)}
    given = others.get(change, values), *((3,) if change == "argument" else ())
    found = kept(find, *given)["answer"]
    np.testing.assert_array_equal(found, given[-1] * np.asarray(values) if len(given) > 1 else 2 * np.asarray(given[0]))
    assert len(calls) == 2


def test_an_answer_may_be_changed(rng):
    find, _ = counted()
    values = rng.normal(size=3)
    for _ in range(3):
        answer = kept(find, values)["answer"]
        np.testing.assert_array_equal(answer, 2 * values)
        answer[:] = 0


def test_few_are_kept_and_errors_are_not(rng):
    find, calls = counted()
    for _ in range(2 * module.MOST):
        kept(find, rng.normal(size=2))
    assert len(module._answers) == module.MOST
    assert len(calls) == 2 * module.MOST

    def fails(values):
        calls.append(None)
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            kept(fails, np.ones(2))
    assert calls[-2:] == [None, None]


def test_an_optimum_is_of_the_numbers_at_hand(rng):
    """Also where the user changes an array that the problem holds."""
    center = rng.uniform(0, 1, 4)
    problem = jc.Problem(jc.Allocation(jc.costs.Quadratic(1.0, center), 4.0))
    for _ in range(2):
        expected = center + (4 - center.sum()) / 4
        np.testing.assert_allclose(jc.reference(problem).allocation, expected, rtol=1e-12)
        center[1] += 0.3
