"""Every public function, each of its arguments, some forty kinds of wrong value: a clear error, or an answer.

The functions and their arguments are read from the package, so new ones come in by themselves. What a right call looks
like is read from the names of the arguments: `RIGHT`, and `OWN` where one name means different things.
"""

import inspect
import re
import traceback
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
from bad_calls import CENTER, NETWORK, ONES, RING, X, Y, cost, cpu, fit, flow, track
from wrong_values import VALUES

import jaxcoopt as jc
from jaxcoopt import datasets
from jaxcoopt.channel import Channel
from jaxcoopt.datasets import Dataset
from jaxcoopt.methods import AllocationMethod, CoOptimizer, TrainingMethod, nonlinearities
from jaxcoopt.problem.bounds import Bounds
from jaxcoopt.problem.costs import Cost
from jaxcoopt.problem.losses import Loss

MODULES = (jc, jc.methods, jc.channels, jc.costs, jc.losses, jc.bounds, nonlinearities)
MODULES = (*MODULES, jc.features, jc.theory, jc.objectives, datasets)
PACKAGE = str(Path(jc.__file__).parent)
ALLOWED = (ValueError, TypeError, MemoryError)
FILES = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError)
LEAKED = re.compile(
    r"has no attribute|not subscriptable|not iterable|unsupported operand|could not convert|truth value|unhashable"
    r"|jax\._src|Traced<|ShapedArray|ufunc|positional argument|beartype|jaxtyping|__array__|Error interpreting"
)


# ---------------------------------------------------------------- what is right

PROBLEM = jc.Problem(cpu(), fit(jc.losses.Linear(0.1)))
METHOD = CoOptimizer(flow(), track())
TABLE = Dataset(np.arange(24.0).reshape(12, 2), np.arange(12) % 3, "made", "the tests")
OPTIMUM = jc.Optimum()

RIGHT: dict[str, Any] = {
    "problem": PROBLEM,
    "network": NETWORK,
    "method": METHOD,
    "steps": 2,
    "runs": 1,
    "seed": 0,
    "nodes": 4,
    "cost": cost(),
    "loss": jc.losses.Linear(0.1),
    "budget": 6.0,
    "lower": 0.0,
    "upper": 3.0,
    "work": ONES,
    "curvature": ONES,
    "center": CENTER,
    "coefficient": ONES,
    "capacity": 4 * ONES,
    "a": ONES,
    "b": ONES,
    "c": ONES,
    "features": X,
    "targets": Y,
    "allocation": None,
    "training": None,
    "step": 0.1,
    "channel": jc.channels.Ideal(),
    "graphs": RING,
    "weights": "metropolis",
    "classes": 2,
    "laplacian": np.diag(ONES) * 2 - 0.5,
    "gain": 0.5,
    "grid": {"training.step": [0.1]},
    "parameters": ["training.step"],
    "distributions": {"channel.rho": [0.1, 1.0]},
    "count": 2,
    "bits": 4,
    "limit": 1.0,
    "scale": 0.1,
    "levels": 4,
    "low": 0.5,
    "level": 1.0,
    "values": [0.1, 0.2],
    "until": [5],
    "dataset": TABLE,
    "how": "shards",
    "path": "/nowhere",
    "axes": 3,
    "iterations": np.arange(20),
    "rate": 0.1,
    "optimum": OPTIMUM,
    "start": None,
    "rho": 0.5,
    "penalty": 1.0,
    "terms": (cost(), cost()),
    "result": None,
    "given": "final",
}
CUSTOM = {"fn": lambda x, p: x**2, "parameters": ONES}
CUSTOM_LOSS = {"fn": lambda p, x, y: (p @ x - y) ** 2, "start": lambda key: jax.numpy.zeros(3)}
OWN: dict[str, dict[str, Any]] = {
    "split": {"features": TABLE.features, "targets": TABLE.targets, "nodes": 3, "classes": None},
    "are_classes": {"targets": TABLE.targets, "classes": None},
    "train_test": {"classes": None},
    "check_samples": {"features": TABLE.features, "targets": TABLE.targets},
    "fit_rate": {"values": 0.9 ** np.arange(20), "iterations": np.arange(20)},
    "topology": {"name": "watts_strogatz", "nodes": 8},
    "backbone": {"name": "sndlib/germany50"},
    "load_trace": {"name": "google2019"},
    "demand": {"name": "google2019"},
    "at_bits": {"bits": 1e4},
    "quadratic": {"features": TABLE.features},
    "fourier": {"features": TABLE.features, "components": 4},
    "tune": {"iterations": 1, "optimizer": None},
    "compare": {
        "methods": {"one": METHOD, "other": METHOD},
        "ours": ["one"],
        "grids": {"one": {"training.step": [0.1]}},
    },
    "Training": {"weights": None},
    "Network.with_weights": {"weights": np.full((1, 4), 0.2)},
    "GradientTracking": {"step": 0.1},
    "DPSGD": {"batch_size": 2},
    "Custom": CUSTOM,
    "jaxcoopt.problem.losses.Custom": CUSTOM_LOSS,
    "MLP": {"classes": None},
    "step_bound": {"method": track()},
    "eigenvalues": {"method": track()},
    "spectral_rate": {"method": track()},
    "lyapunov": {"method": track()},
    "smoothness": {"training": fit(jc.losses.Linear(0.1))},
    "CoOptimizer": {"allocation": flow(), "training": track()},
    "Problem": {"allocation": cpu(), "training": fit(jc.losses.Linear(0.1))},
    "DecentralizedADMM": {"curvature": 1.0},
    "Tolerance": {"tol": 1e-3},
    "Schedule": {"values": np.array([0.1, 0.2])},
    "Metric": {"name": "largest", "unit": "", "function": lambda problem, estimate: estimate.allocation.max(axis=0)},
}
OUTPUTS = (
    "Memory",
    "CompilationCache",
    "Result",
    "Status",
    "Tuned",
    "Connectivity",
    "FailureThreshold",
    "FittedRate",
    "Sector",
    "StepBound",
)
OUTPUTS = (*OUTPUTS, "Shards", "Dataset", "Network", "Bounds", "Cost", "Loss", "Nonlinearity", "Channel")
OTHERS = (
    "params_like",
    "pytree",
    "setting",
    "rate_of_run",
    "iteration_matrix",
    "marginal",
    "curvature",
    "excess",
    "objective_of",
    "optimizer",
)
# rate_of_run raises KeyError, as it says; pytree, setting and optimizer make classes; the others are inside a program


ALSO = {
    ("FiniteTimeFlow", "exponent"): "low",  # how the object that the function makes calls it
    ("Queueing", "capacity"): "Queueing",  # a capacity that is right by itself, and below the box
}


@dataclass(frozen=True)
class Case:
    """A function with right arguments, one of which is to be made wrong, and what is done with what comes out."""

    name: str
    argument: str
    call: Callable[[Any], Any]

    def __str__(self) -> str:
        return f"{self.name}({self.argument})"


# ---------------------------------------------------------------- from the package


def functions() -> dict[str, Callable[..., Any]]:
    """All that is public and is called by a user, by its name."""
    found: dict[str, Callable[..., Any]] = {}
    for module in MODULES:
        names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
        for name in names:
            thing = getattr(module, name)
            if isinstance(thing, types.ModuleType) or not callable(thing) or name in (*OUTPUTS, *OTHERS):
                continue
            own = getattr(thing, "__module__", "").startswith("jaxcoopt")
            if not own or inspect.isabstract(thing) or getattr(thing, "_is_protocol", False) or is_generic(thing):
                continue
            if not hasattr(module, "__all__") and thing.__module__ != module.__name__:
                continue
            found[name if name not in found or found[name] is thing else f"{module.__name__}.{name}"] = thing
    made = {"Network.from_graphs": jc.Network.from_graphs, "Network.with_weights": NETWORK.with_weights}
    return found | made | {"Quadratic.from_coefficients": jc.costs.Quadratic.from_coefficients}


def is_generic(thing: Any) -> bool:
    """Type aliases, which are callable."""
    return not (inspect.isfunction(thing) or inspect.ismethod(thing) or inspect.isclass(thing))


def cases() -> list[Case]:
    """Every argument of every function."""
    return [case for name, thing in functions().items() for case in cases_of(name, thing)]


def cases_of(name: str, thing: Callable[..., Any]) -> Iterator[Case]:
    """Each argument of one of them."""
    parameters = inspect.signature(thing).parameters
    right = right_arguments(name, thing, parameters)
    for argument in parameters:
        if argument in ("moments",):  # filled in by `solve`
            continue
        yield Case(name, argument, lambda value, argument=argument: use(thing(**{**right, argument: value})))


def right_arguments(name: str, thing: Any, parameters: Any) -> dict[str, Any]:
    """What a right call of it is given; AssertionError where an argument is not known here."""
    own = OWN.get(name, {})
    right = dict(own)
    for argument, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and argument not in own:
            assert argument in RIGHT, f"tests/battery.py: say in RIGHT or OWN what {name} takes for {argument!r}"
            right[argument] = RIGHT[argument]
    if "optimum" in parameters:
        right.setdefault("optimum", OPTIMUM)  # which would be computed
    return right


def right_call(name: str, argument: str) -> Callable[[Any], Any]:
    """One of the functions, with all but one argument right."""
    return next(case.call for case in cases_of(name, functions()[name]) if case.argument == argument)


def use(made: Any) -> Any:
    """What is made of settings shows when they are run."""
    problem, method, more = None, None, {}
    match made:
        case Cost():
            problem, method = jc.Problem(cpu(made, budget=2.0, lower=0.1, upper=1.0)), CoOptimizer(flow())
        case Loss():
            problem, method = jc.Problem(training=fit(made, targets=(Y > 0).astype(int))), CoOptimizer(training=track())
        case Channel():
            problem, method = PROBLEM, CoOptimizer(flow(), track(), made)
        case Bounds():
            problem, method = jc.Problem(cpu()), CoOptimizer(jc.methods.CurvatureFlow(bounds=made))
        case nonlinearities.Nonlinearity():
            problem, method = jc.Problem(cpu()), CoOptimizer(flow(nonlinearity=made))
        case AllocationMethod():
            problem, method = jc.Problem(cpu()), CoOptimizer(made)
        case TrainingMethod():
            problem, method = jc.Problem(training=fit(jc.losses.Linear(0.1))), CoOptimizer(training=made)
        case CoOptimizer():
            problem, method = PROBLEM, made
        case jc.methods.Schedule():
            problem, method = jc.Problem(cpu()), CoOptimizer(flow(step=made))
        case jc.Allocation():
            problem, method = jc.Problem(made), CoOptimizer(flow())
        case jc.Training():
            problem, method = jc.Problem(training=made), CoOptimizer(training=track())
        case jc.Problem():
            problem, method = made, METHOD
        case jc.Initial():
            problem, method, more = PROBLEM, METHOD, {"initial": made}
        case jc.Metric():
            problem, method, more = PROBLEM, METHOD, {"record": jc.Record(metrics=[made])}
        case jc.Record():
            problem, method, more = PROBLEM, METHOD, {"record": made}
        case jc.Simulation():
            return made.run(2)
        case jc.Stop():
            problem, method, more = PROBLEM, METHOD, {"stop": made, "optimum": jc.reference(PROBLEM, 4)}
        case jc.Optimum():
            problem, method, more = PROBLEM, METHOD, {"optimum": made}
        case _:
            return made
    return jc.solve(problem, NETWORK, method, 2, **({"optimum": OPTIMUM} | more))


# ---------------------------------------------------------------- what comes out


class AcceptedError(Exception):
    """All checks are passed, and a program would be compiled now."""


def refused(*args: Any, **rest: Any) -> Any:
    raise AcceptedError


COMPILED = (
    "jaxcoopt.compilation_cache._keep_in",
    "jaxcoopt.run.solve.run_batch",
    "jaxcoopt.run.simulation.prepare",
    "jaxcoopt.run.memory.layout_of",
    "jaxcoopt.study.compare.scores_of",
    "jaxcoopt.study.sweep.finished",
    "jaxcoopt.tuning.tune.Rollout",
    "jaxcoopt.problem.reference._allocation",
    "jaxcoopt.problem.reference._training",
)


def only_checks(stack: ExitStack) -> None:
    """Stops before anything is compiled: what is taken is not run."""
    for name in COMPILED:
        stack.enter_context(mock.patch(name, refused))


def outcome(case: Case, value: Any) -> tuple[str, str]:
    """("answer", ""), ("clear", the message), or what is wrong with the error and the message."""
    try:
        case.call(value)
    except AcceptedError:
        return "answer", ""
    except Exception as error:
        return judged(case, error), f"{type(error).__name__}: {error}"
    return "answer", ""


def judged(case: Case, error: Exception) -> str:
    """ "clear", or what is missing."""
    files = FILES if case.argument in ("path", "store", "folder") else ()
    if type(error) not in (*ALLOWED, *files):
        return "another type"
    raised = traceback.extract_tb(error.__traceback__)[-1].filename
    if not raised.startswith(PACKAGE):
        return f"raised in {'/'.join(Path(raised).parts[-2:])}"
    message = str(error)
    names = {case.argument, ALSO.get((case.name, case.argument), case.argument)}
    if not any(re.search(rf"\b{re.escape(name)}\b", message) for name in names):
        return "argument not named"
    if LEAKED.search(message):
        return "words of the inside"
    return "clear"


def pairs() -> list[tuple[Case, str]]:
    """Every argument with every wrong value."""
    return [(case, name) for case in cases() for name in VALUES]
