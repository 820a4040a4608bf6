"""The shape of the package: imports one way and light, files and functions short, all that is public documented."""

import ast
import doctest
import functools
import inspect
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import networkx as nx
import pytest

import jaxcoopt

PACKAGE = Path(jaxcoopt.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
# Each part imports itself and what stands above it. The root gathers all up to `tuning`, for whoever stands below.
ORDER = (
    {"errors", "files", "containers", "arrays", "host", "pytrees", "programs", "setting", "layout", "shown", "escaping"}
    | {"along_runs", "compensated", "compilation_cache", "compiler", "derivative", "describe", "linear", "draws"}
    | {"platform", "renamed", "versions"},
    {"datasets"},
    {"problem"},
    {"network"},
    {"channel"},
    {"methods"},
    {"theory"},
    {"run"},
    {"study"},
    {"tuning"},
    {"jaxcoopt"},
    {"report"},
    {"experiments"},
    {"cli"},
)
LEVEL = {part: level for level, parts in enumerate(ORDER) for part in parts}
FILE_LINES, FUNCTION_LINES = 400, 60
OPEN = 0.03  # of the parameters may be annotated with Any alone


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The folder (or the file at the top) that a module belongs to."""
    return module.split(".")[1] if "." in module else module


@functools.cache
def imports() -> dict[str, set[str]]:
    """Module to the modules of the package that it names in import statements, wherever they stand."""
    modules = {module_of(file) for file in FILES}
    found: dict[str, set[str]] = {}
    for file in FILES:
        named: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: relative import at line {node.lineno}; write it out"
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                named |= inside & modules or {str(node.module)}
        found[module_of(file)] = {name for name in named if name.split(".")[0] == "jaxcoopt"}
        assert found[module_of(file)] <= modules
    return found


@pytest.mark.fast
def test_every_part_has_its_place():
    parts = {part_of(module_of(file)) for file in FILES}
    assert parts <= set(LEVEL), f"say in ORDER where {parts - set(LEVEL)} stands"
    assert {"errors", "problem", "network", "channel", "methods", "run", "datasets"} <= parts


@pytest.mark.fast
def test_imports_go_one_way():
    wrong = []
    for module, named in imports().items():
        here = part_of(module)
        for other in named:
            there = part_of(other)
            aside = here != there and LEVEL[there] == LEVEL[here] > 0
            if LEVEL[there] > LEVEL[here] or aside:
                wrong.append(f"{module} imports {other}")
    assert not wrong


@pytest.mark.fast
def test_datasets_stand_apart():
    """They know errors, how objects are shown and what memory is free; the library itself does not know them."""
    for module, named in imports().items():
        parts = {part_of(other) for other in named}
        if part_of(module) == "datasets":
            assert parts <= {"errors", "containers", "datasets", "shown"}, module
        elif LEVEL[part_of(module)] <= LEVEL["jaxcoopt"]:
            assert "datasets" not in parts, module


@pytest.mark.fast
def test_no_import_cycles():
    graph = nx.DiGraph((module, other) for module, named in imports().items() for other in named)
    assert len(graph.edges) > 50
    assert list(nx.simple_cycles(graph)) == []


QUICK = 3.0  # times what JAX alone takes, as machines differ; 2.3 seen


@functools.cache
def fresh_import() -> dict[str, Any]:
    """What `import jaxcoopt` loads in a new interpreter, and its processor time over that of JAX alone: the best of
    three, or of fewer where it is quick. Then what the command line loads.
    """
    script = (
        "import json, sys, time\n"
        "before, start = set(sys.modules), time.process_time()\n"
        "import jax.numpy\n"
        "of_jax = time.process_time() - start\n"
        "import jaxcoopt\n"
        "times = (time.process_time() - start) / of_jax\n"
        "loaded = sorted(set(sys.modules) - before)\n"
        "import jaxcoopt.cli\n"
        "found = {'times': times, 'modules': loaded, 'with cli': sorted(sys.modules), 'file': jaxcoopt.__file__}\n"
        "print(json.dumps(found))"
    )
    runs = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=PACKAGE.parent, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        runs.append(json.loads(done.stdout))
        if runs[-1]["times"] < QUICK:
            break
    assert {run["file"] for run in runs} == {jaxcoopt.__file__}
    return min(runs, key=lambda run: run["times"])


HEAVY = (
    "matplotlib",
    "xarray",
    "sklearn",
    "pydantic",
    "typer",
    "pandas",
    "mlxtend",
    "topohub",
    "river",
    "cvxpy",
    "clarabel",
    "beartype",
    "chex",
    "hypothesis",
    "pytest",
    "jaxcoopt.datasets",
    "jaxcoopt.cli",
)


@pytest.mark.parametrize("name", HEAVY)
def test_import_leaves_the_optional_packages_alone(name):
    assert name not in fresh_import()["modules"]


def test_import_loads_what_it_should():
    assert {"jax", "networkx", "optax", "jaxcoopt.run.solve"} <= set(fresh_import()["modules"])


def test_the_command_line_leaves_test_packages_alone():
    """And decent-bench, which is never imported: its licence is another one."""
    assert not [name for name in fresh_import()["with cli"] if name.startswith(("decent", "pytest"))]


def test_import_is_quick():
    """Processor time, beside that of JAX on the same machine."""
    assert fresh_import()["times"] < QUICK


# ---------------------------------------------------------------- documentation


def public(module: ModuleType) -> dict[str, Any]:
    """What a module offers: its `__all__`, else what it defines under a name without underscore."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    return {name: getattr(module, name) for name in names if not name.startswith("_")}


def offered() -> dict[str, Any]:
    """Public names, and the public methods and properties that their classes define."""
    import jaxcoopt.datasets as datasets

    jc = jaxcoopt
    found: dict[str, Any] = {}
    for module in (
        jc,
        jc.channels,
        jc.methods,
        jc.costs,
        jc.losses,
        jc.bounds,
        jc.failures,
        jc.clocks,
        jc.features,
        jc.theory,
        jc.objectives,
        datasets,
    ):
        for name, value in public(module).items():
            path = f"{module.__name__}.{name}"
            found[path] = value
            for member, item in vars(value).items() if inspect.isclass(value) else ():
                if not member.startswith("_") and (
                    inspect.isroutine(item) or isinstance(item, (property, classmethod))
                ):
                    found[f"{path}.{member}"] = item
    return found


OFFERED = offered()


@pytest.mark.fast
def test_the_contract_is_offered():
    """The names that the README, the notebooks and outside checks use."""
    wanted = {
        "": ["Problem", "Allocation", "Training", "Network", "CoOptimizer", "Initial", "Optimum", "Result", "Status"],
        ".": ["solve", "reference", "memory", "sweep", "sample", "tune", "compare"],
        "costs": ["Quadratic", "Latency", "Power", "Queueing", "Custom"],
        "losses": ["Linear", "Logistic", "Softmax", "SmoothHinge", "Custom", "MLP"],
        "channels": ["Ideal", "LogQuantizer", "UniformQuantizer", "Sign", "Clip", "Natural", "QSGD", "TopK", "RandK"],
        "bounds": ["Penalty", "Multiplier", "Limit"],
        "clocks": ["Clock", "Synchronous"],
        "failures": ["Independent", "Bursts", "NodeFailures", "Outages"],
        "methods": ["LaplacianFlow", "GradientTracking", "CoOptimizer", "CurvatureFlow", "DualFlow", "Schedule"],
        "objectives": ["final", "worst", "area", "at_bits"],
        "theory": ["step_bound", "lambda_2", "sector"],
        "features": ["quadratic", "fourier"],
    }
    for place, names in wanted.items():
        home = getattr(jaxcoopt, place) if place.strip(".") else jaxcoopt
        assert set(names) <= set(public(home)), place


@pytest.mark.fast
@pytest.mark.parametrize("name", OFFERED)
def test_public_names_are_documented(name):
    """In their own words: a dataclass without a docstring gets its signature for one."""
    value = OFFERED[name]
    words = inspect.getdoc(value) or ""
    if isinstance(value, (str, int, float, tuple, list, dict)):  # constants cannot carry one
        return
    assert words.strip()
    assert not words.startswith(f"{name.rsplit('.', 1)[-1]}(")


@pytest.mark.fast
@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_every_file_says_what_it_is(file):
    assert ast.get_docstring(ast.parse(file.read_text()))


def docstrings() -> list[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    trees = (ast.parse(file.read_text()) for file in FILES)
    found = (ast.get_docstring(node) for tree in trees for node in ast.walk(tree) if isinstance(node, kinds))
    return [text for text in found if text]


@pytest.mark.fast
def test_there_are_examples_in_the_docstrings():
    examples = [example for text in docstrings() for example in doctest.DocTestParser().get_examples(text)]
    assert examples
    assert any(example.want for example in examples)


# ---------------------------------------------------------------- sizes


@pytest.mark.fast
def test_files_are_short():
    lengths = {str(file.relative_to(PACKAGE)): len(file.read_text().splitlines()) for file in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES} == {}
    assert sorted(lengths.values())[len(lengths) // 2] < 150


@pytest.mark.fast
def test_functions_are_short():
    """Lines from `def` to the end, the docstring not counted."""
    long = {}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                first = node.body[0]
                words = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) is not None else 0
                lines = node.end_lineno - node.lineno + 1 - words
                if lines > FUNCTION_LINES:
                    long[f"{file.relative_to(PACKAGE)}:{node.name}"] = lines
    assert long == {}


# ---------------------------------------------------------------- types


def annotations() -> list[tuple[str, str]]:
    """(where, type) of every parameter that is annotated."""
    found = []
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            names = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
            typed = [each for each in names if each is not None and each.annotation is not None]
            where = f"{file.relative_to(PACKAGE)}:{node.lineno} {node.name}"
            found += [(f"{where}({each.arg})", ast.unparse(each.annotation)) for each in typed]
    return found


@pytest.mark.fast
def test_parameters_say_their_types():
    found = annotations()
    untold = [where for where, kind in found if kind in ("Any", "typing.Any")]
    assert len(found) > 3000
    assert len(untold) < OPEN * len(found), "\n".join(untold)


# ---------------------------------------------------------------- the project


@pytest.mark.fast
def test_versions_agree():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    assert project["version"] == jaxcoopt.__version__


@pytest.mark.fast
def test_required_packages_are_those_that_are_imported():
    """Whatever a file of the package imports is in pyproject: required, or an extra behind `require`."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    wanted = {name.split(">")[0].split("[")[0].replace("-", "_") for name in project["dependencies"]}
    named: set[str] = set()
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                named |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                named.add(str(node.module).split(".")[0])
    outside = {name for name in named if name not in sys.stdlib_module_names and name != "jaxcoopt"}
    assert outside <= wanted, f"not required: {outside - wanted}"
