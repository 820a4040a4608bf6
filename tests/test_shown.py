"""What `print` shows of the library's objects: a few lines that a person reads, never the numbers of an array."""

import dataclasses
import importlib
import inspect
import pkgutil

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

import jaxcoopt as jc
from jaxcoopt import datasets
from jaxcoopt.pytrees import pytree
from jaxcoopt.run.memory import Memory
from jaxcoopt.shown import array, shown

LINES, LONGEST = 5, 180
NODES = 5000  # far more numbers than a person reads


def few_lines(value):
    """Its text, checked: `print`, `str` and `repr` are the same, in few lines."""
    text = repr(value)
    assert str(value) == text
    lines = text.split("\n")
    assert 1 <= len(lines) <= LINES, text
    assert max(map(len, lines)) <= LONGEST, text
    assert "array(" not in text
    assert "\n " not in text.replace("\n  ", "")  # later lines are indented
    return text


@pytest.fixture(scope="module")
def trio():
    rng = np.random.default_rng(0)
    cost = jc.costs.Quadratic(rng.uniform(0.5, 2, NODES), rng.uniform(1, 5, NODES)) + jc.costs.Latency(np.ones(NODES))
    allocation = jc.Allocation(cost, 2.0 * NODES, np.zeros(NODES), rng.uniform(5, 9, NODES))
    training = jc.Training(jc.losses.Logistic(0.1), rng.normal(size=(NODES, 4, 3)), np.ones((NODES, 4)))
    graph = nx.relabel_nodes(nx.cycle_graph(NODES), {i: f"center {i}\n" for i in range(NODES)})
    method = jc.CoOptimizer(jc.methods.DualFlow(), jc.methods.GradientTracking(np.full(2, 0.1)), jc.channels.TopK(2))
    return jc.Problem(allocation, training, work=np.ones(NODES)), jc.Network.from_graphs(graph), method


def test_problem_network_and_method(trio):
    problem, network, method = map(few_lines, trio)
    for part in ("budget=10000", "float64[5000] ", "features=float64[5000, 4, 3] ", "Logistic(l2=0.1", "all 0"):
        assert part in problem
    assert "5,000 nodes, one graph, 5,000 links" in network
    assert "'center 0\\n'" in network
    assert "GradientTracking(step=float64[2] 0.1, 0.1" in method
    assert few_lines(trio[0].allocation)
    assert few_lines(trio[0].training)


def test_traced_objects_have_no_numbers(trio):
    seen = {}

    @jax.jit
    def look(problem, method):
        seen.update(problem=few_lines(problem), method=few_lines(method))
        return jnp.zeros(())

    problem, _, method = trio
    jax.block_until_ready(look(problem, method))
    assert "traced" in seen["problem"]
    assert "traced" in seen["method"]
    few_lines(jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), float), problem))
    few_lines(jax.tree.map(lambda leaf: object(), problem))


def test_result_names_how_runs_ended():
    cost = jc.costs.Quadratic(np.ones(6), np.arange(6.0))
    step = jc.methods.LaplacianFlow(np.array([0.1, 0.1, 1e30]))
    problem, network = jc.Problem(jc.Allocation(cost, 6.0)), jc.Network.from_graphs(nx.cycle_graph(6))
    with pytest.warns(RuntimeWarning, match="step"):
        result = jc.solve(problem, network, jc.CoOptimizer(step), 20, runs=3)
    text = few_lines(result)
    assert "3 runs" in text
    assert "2 MAX_STEPS, 1 DIVERGED" in text
    assert "LaplacianFlow" in text
    assert result.statuses == (jc.Status.MAX_STEPS, jc.Status.MAX_STEPS, jc.Status.DIVERGED)
    assert result.status.tolist() == [0, 0, 2]
    few_lines(result.state)
    few_lines(result.optimum)
    few_lines(jc.Initial(np.ones(NODES)))
    memory = repr(Memory(3, 1000, 2000, 3000, 0, 10**9))
    assert memory.startswith("Memory: 3 runs need")
    assert "\n" not in memory


def test_datasets():
    data = datasets.Dataset(np.ones((300, 40)), np.arange(300), "name", "a source " * 30)
    assert "features=float64[300, 40] all 1" in few_lines(data)


def dataclasses_of_the_package():
    found = {}
    for module in pkgutil.walk_packages(jc.__path__, "jaxcoopt."):
        if module.name.rsplit(".", 1)[-1] != "__main__":
            found |= {
                f"{module.name}.{name}": each
                for name, each in vars(importlib.import_module(module.name)).items()
                if inspect.isclass(each) and dataclasses.is_dataclass(each) and each.__module__ == module.name
                if not inspect.isabstract(each)
            }
    return found


OWN = ("jaxcoopt.run.memory.Memory", "jaxcoopt.tuning.tune.Tuned")  # words of their own about numbers
ALL = {name: each for name, each in dataclasses_of_the_package().items() if name not in OWN}


@pytest.mark.parametrize("name", ALL)
def test_no_class_shows_its_arrays(name):
    """Whatever its fields hold."""
    cls = ALL[name]
    value = object.__new__(cls)
    for field in dataclasses.fields(cls):
        object.__setattr__(value, field.name, np.arange(20_000.0).reshape(200, 100))
    text = repr(value)
    assert text.count("\n") < LINES
    assert len(text) < LINES * LONGEST


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array([[1.0, np.nan], [np.inf, 3.0]]), "float64[2, 2] 1 to 3, 2 not finite"),
        (np.full(9, np.nan), "float64[9] nowhere finite"),
        (np.zeros((0, 3)), "float64[0, 3]"),
        (np.arange(4) > 2, "bool[4] 1 True"),
        (np.array(["a"]), "str32[1]"),
        (np.float32(0.1), "0.1"),
        (jnp.arange(9, dtype=jnp.bfloat16), "bfloat16[9] 0 to 8"),
        (jax.random.key(0), "key<fry>[]"),
    ],
)
def test_arrays(value, text):
    assert array(value) == text


def test_an_own_repr_stays_and_odd_fields_are_survived():
    @pytree
    @dataclasses.dataclass(frozen=True)
    class Mine:
        weight: object

        def __repr__(self):
            return "mine"

    @pytree(static=("fn",))
    @dataclasses.dataclass(frozen=True)
    class Other:
        inner: object
        fn: object

    assert repr(Mine(np.ones(9))) == "mine"
    inner = {"a\nb": [1.0] * 900, "deep": [[[[[[1]]]]]], "text": "x\n" * 900}
    text = few_lines(Other(inner, lambda x: x))
    assert "float64[900] all 1" in text
    deleted = jnp.ones(3)
    deleted.delete()
    assert shown(Mine(deleted)).startswith("Mine(weight=float")
    loop = []
    loop.append(loop)
    few_lines(Other(loop, Mine(1)))
