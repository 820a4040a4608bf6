"""Settings: read, overridden, refused with words that help, written and read again."""

import tomllib

import numpy as np
import pytest
import tomli_w
from pydantic import BaseModel

from jaxcoopt.experiments.amounts import Amounts, OfDemand, OfSamples, RandomAmount
from jaxcoopt.experiments.build import build
from jaxcoopt.experiments.explain import _models
from jaxcoopt.experiments.overrides import apply_override, toml_value
from jaxcoopt.experiments.settings import EXPERIMENTS, Experiment


def to_toml(settings):
    """As a run's folder keeps them."""
    return tomli_w.dumps(settings.model_dump(exclude_none=True))


@pytest.mark.parametrize("name", EXPERIMENTS.names())
def test_written_settings_read_back_the_same(name):
    settings = EXPERIMENTS.read(name)
    assert Experiment.model_validate(tomllib.loads(to_toml(settings))) == settings


def test_odd_texts_and_lists_are_written_as_toml(tmp_path):
    file = tmp_path / "odd.toml"
    overrides = ('title="a \\"b\\" \\\\ \\n é \U0001f600"', "allocation.lower=[" + "0.5," * 24 + "]", "tol=1e-9")
    file.write_text(to_toml(EXPERIMENTS.read("ring_allocation", overrides)))
    settings = EXPERIMENTS.read(str(file))
    assert settings.title == 'a "b" \\ \n é \U0001f600'
    assert settings.tol == 1e-9
    assert build(settings).problem.allocation.lower.shape == (24,)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("channel.rhoo=1.0", "channel.rhoo: unknown key; did you mean 'rho'?"),
        ("steps=many", "steps: got 'many' (a text), expected a whole number"),
        ("steps=1.5", "steps: got 1.5 (a number), expected a whole number"),
        ("steps=true", "steps: got true, expected a whole number"),
        ("title=3", "title: got 3 (a whole number), expected a text in quotes"),
        ("channel.rho=nan", "channel.rho: got nan (a number), expected a finite number"),
        (
            "channel.kind=lg",
            "channel.kind: got 'lg', expected one of 'ideal', 'log', 'uniform', 'sign', 'clip', 'natural', 'qsgd'",
        ),
        ("channel.placement=differense", "expected 'message', 'difference' or 'innovation'; did you mean 'difference'"),
        ("channel={}", "channel.kind: missing; say which kind of channel it is"),
        ("allocation.cost.1.kind=power", "allocation.cost.1.coefficient: missing; Above 0."),
        ("allocation.cost.0.curvture=1.0", "allocation.cost.0.curvture: unknown key; did you mean 'curvature'?"),
        ("allocation.cost=[]", "allocation.cost: got [] (a list), expected at least one entry"),
        ("allocation=3", "allocation: got 3 (a whole number), expected a table"),
        ("allocation.lower=low", "allocation.lower: got 'low' (a text), expected a number, a list"),
        ("allocation.lower=true", "allocation.lower: got true, expected a number, a list"),
        ("allocation.lower={low=1.0,high='b'}", "allocation.lower.high: got 'b' (a text), expected a number"),
        ("allocation.lower=[1.0,'b']", "allocation.lower.1: got 'b' (a text), expected a number"),
        ("allocation.lower={of_demnd=1.0}", "allocation.lower.of_demnd: unknown key"),
        ("network.graphs.0.name=rink", "network.graphs.0.name: 'rink' is not known; did you mean 'ring'?"),
        ("method.allocation.bounds.weigth=1.0", "method.allocation.bounds.weigth: unknown key; did you mean 'weight'?"),
        ("demand={kind='trace',name='google'}", "demand.name: 'google' is not known; did you mean 'google2019'?"),
        ("data={name='iris'}", "there is a [data] table but no [training] table"),
        ("allocation.budget.x=1", "it is 60.0, so nothing can be set inside it"),
        ("network.graphs.1.name=ring", "--set network.graphs.1: it is a list of 1"),
        ("steps", "--set: expected key=value, such as channel.rho=0.1, got 'steps'"),
    ],
)
def test_wrong_settings_are_named(override, expected):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        EXPERIMENTS.read("ring_allocation", [override])
    assert expected in str(caught.value)


def test_several_errors_are_all_listed():
    with pytest.raises(ValueError, match=r"2 errors\n  .*steps.*\n  .*seed"):
        EXPERIMENTS.read("default", ["steps=x", "seed=x"])


def test_broken_toml_names_the_line(tmp_path):
    file = tmp_path / "broken.toml"
    file.write_text("steps = 3\n[network\n")
    with pytest.raises(ValueError, match=r"broken.toml: not valid TOML: .*line 2.*'\[network'"):
        EXPERIMENTS.read(str(file))


def test_file_that_is_not_text_is_refused(tmp_path):
    file = tmp_path / "bytes.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="not a text file"):
        EXPERIMENTS.read(str(file))


def test_override_of_a_kind_drops_the_other_keys():
    table = tomllib.loads(EXPERIMENTS.text("default"))
    apply_override(table, "channel.rho=0.1")
    assert table["channel"]["rho"] == 0.1
    apply_override(table, "channel.kind=ideal")
    assert table["channel"] == {"kind": "ideal"}


def test_override_values_are_toml_or_text():
    assert [toml_value(text) for text in ("1", "1.5", "true", "[1, 2]", "'a'", "a b", "sndlib/x")] == [
        1,
        1.5,
        True,
        [1, 2],
        "a",
        "a b",
        "sndlib/x",
    ]


def test_every_setting_is_documented():
    seen: set[type[BaseModel]] = set()
    todo = [Experiment]
    while todo:
        model = todo.pop()
        seen.add(model)
        for name, field in model.model_fields.items():
            assert name == "kind" or field.description, f"{model.__name__}.{name}"
            todo += [each for each in _models(field.annotation) if each not in seen]
    assert len(seen) > 20


def test_amounts_become_numbers():
    amounts = Amounts(3, np.array([1.0, 2.0, 3.0]), np.array([10, 20, 30]), seed=0)
    assert amounts.value("a", 2.0) == 2.0
    assert amounts.value("a", [1.0, 2.0, 4.0]).tolist() == [1, 2, 4]
    assert amounts.value("a", OfDemand(of_demand=2.0)).tolist() == [2, 4, 6]
    assert amounts.value("a", OfSamples(of_samples=0.1)) == pytest.approx([1, 2, 3])
    drawn = amounts.value("a", RandomAmount(low=1.0, high=100.0, log=True))
    assert ((drawn >= 1) & (drawn <= 100)).all()
    assert (drawn == amounts.value("a", RandomAmount(low=1.0, high=100.0, log=True))).all()
    assert (drawn != amounts.value("b", RandomAmount(low=1.0, high=100.0, log=True))).any()


def test_amounts_that_do_not_fit_are_named():
    amounts = Amounts(3, None, None, seed=0)
    with pytest.raises(ValueError, match="work: expected one number for each of the 3 nodes, got 2"):
        amounts.value("work", [1.0, 2.0])
    with pytest.raises(ValueError, match=r"work.of_samples: there is no \[data\] table"):
        amounts.value("work", OfSamples(of_samples=1.0))
    with pytest.raises(ValueError, match="expected 0 < low <= high"):
        amounts.value("work", RandomAmount(low=0.0, high=1.0, log=True))


def test_built_default_starts_feasible_with_bounds_that_matter():
    built = build(EXPERIMENTS.read("default"))
    allocation, demand = built.problem.allocation, built.demand
    assert allocation.budget == pytest.approx(demand.sum(), rel=1e-12)
    assert built.initial.allocation == pytest.approx(demand)
    assert built.samples.shards.counts.sum() == 4000
    assert built.samples.test_targets.shape == (1000,)
    assert np.bincount(built.samples.test_targets).tolist() == [100] * 10
    assert built.problem.work == pytest.approx(1e-3 * built.samples.shards.counts)
