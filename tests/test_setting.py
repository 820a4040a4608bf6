"""A setting is declared once, at its field; checks, TOML, tuning and sweeps read it there."""

from dataclasses import dataclass, fields

import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt.experiments.method_tables import MAKERS, METHODS
from jaxcoopt.methods.registry import ENTRIES
from jaxcoopt.setting import Scalar, check_parts, check_values, setting, settings_of

pytestmark = pytest.mark.fast


@jc.pytree
@dataclass(frozen=True)
class Part:
    """What another holds."""

    rate: Scalar = setting(above=0, below=1, doc="How fast.")


@jc.pytree
@dataclass(frozen=True)
class Whole:
    """One setting of each kind."""

    step: Scalar = setting(above=0, most=2, hint=", or it grows", doc="How far.")
    count: int = setting(3, whole=True, least=2, most=9, doc="How many.")
    order: str = setting("first", choices=("first", "last"), doc="Which end.")
    flag: bool = setting(False, flag=True, doc="Whether.")
    sizes: tuple[int, ...] = setting((3, 2), sizes=True, doc="How large.")
    part: Part = setting(Part(0.5), part=Part, example="a Part", doc="Inside.")
    maybe: Scalar = setting(None, least=0, doc="Or nothing.")


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        ({"step": 0.0}, ValueError, r"it\.step: must be above 0, got 0"),
        (
            {"step": np.array([1.0, 3.0, 4.0])},
            ValueError,
            r"it\.step: must be at most 2, or it grows, got 3 \(2 of 3 entries\)",
        ),
        ({"step": None}, TypeError, r"it\.step: expected a real number"),
        ({"step": "fast"}, TypeError, r"it\.step"),
        ({"count": 1}, ValueError, r"it\.count: expected from 2 to 9, got 1"),
        ({"count": 10}, ValueError, r"it\.count: expected from 2 to 9, got 10"),
        ({"count": 3.0}, TypeError, r"it\.count: expected a whole number"),
        ({"order": "lasst"}, ValueError, r"it\.order: 'lasst' is not known; did you mean 'last'"),
        ({"flag": 1}, TypeError, r"it\.flag: expected True or False"),
        ({"sizes": ()}, TypeError, r"it\.sizes"),
        ({"sizes": (3, 0)}, ValueError, r"it\.sizes: expected 1 or more"),
        ({"part": Part(1.0)}, ValueError, r"it\.part\.rate: must be below 1, got 1"),
        ({"part": 0.5}, TypeError, r"it\.part: expected a Part, got 0\.5"),
        ({"maybe": -1.0}, ValueError, r"it\.maybe: must be at least 0"),
    ],
)
def test_what_is_out_of_range_is_named(given, kind, says):
    whole = Whole(**{"step": 1.0, **given})
    with pytest.raises(kind, match=says):
        [check(whole, "it") for check in (check_parts, check_values)]


def test_what_is_in_range_passes():
    whole = Whole(step=np.array([0.5, 2.0]), count=2, order="last", flag=True, maybe=0.0)
    check_parts(whole, "it")
    check_values(whole, "it")


def test_numbers_are_leaves_and_all_else_is_compiled_in():
    compiled = {name for name, each in settings_of(Whole).items() if each.compiled}
    assert compiled == {"count", "order", "flag", "sizes"}


def test_an_interval_is_the_range_that_is_declared():
    declared = settings_of(Whole)
    assert declared["step"].interval == (0, 2)
    assert declared["maybe"].interval == (0, np.inf)
    assert declared["count"].interval is None


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_number_of_a_method_is_declared(entry):
    """Else it would be neither checked nor known to TOML files and tuning."""
    method = entry.build()
    assert {each.name for each in fields(method)} == set(settings_of(type(method)))


@pytest.mark.parametrize("name", MAKERS)
def test_every_key_of_a_file_says_what_it_is_for(name):
    from jaxcoopt.experiments.method_tables import _table

    if name in METHODS or name not in ("sgd", "adam"):
        keys = _table(name, MAKERS[name]).model_fields
        assert all(field.description for key, field in keys.items() if key != "kind")
