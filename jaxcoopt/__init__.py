"""Train one model and share one CPU budget over a changing network of computing centers, compiled in JAX."""

from jaxcoopt import channel as channels
from jaxcoopt import methods, theory
from jaxcoopt.compilation_cache import CompilationCache, compilation_cache
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.network import failures
from jaxcoopt.network.network import Network
from jaxcoopt.problem import bounds, costs, features, losses
from jaxcoopt.problem.problem import Allocation, Problem, Training
from jaxcoopt.problem.reference import Optimum, reference
from jaxcoopt.pytrees import pytree
from jaxcoopt.run import clocks
from jaxcoopt.run.initial import Initial
from jaxcoopt.run.memory import Memory, memory
from jaxcoopt.run.metric import Metric
from jaxcoopt.run.record import Record
from jaxcoopt.run.result import Result
from jaxcoopt.run.simulation import Simulation
from jaxcoopt.run.solve import solve
from jaxcoopt.run.status import Status
from jaxcoopt.run.stops import Stop, Tolerance
from jaxcoopt.setting import setting
from jaxcoopt.study.axes import sample
from jaxcoopt.study.compare import compare
from jaxcoopt.study.sweep import sweep
from jaxcoopt.tuning import objectives
from jaxcoopt.tuning.tune import Tuned, tune

__version__ = "0.1.0"

__all__ = [
    "Allocation",
    "CoOptimizer",
    "CompilationCache",
    "Initial",
    "Memory",
    "Metric",
    "Network",
    "Optimum",
    "Problem",
    "Record",
    "Result",
    "Simulation",
    "Status",
    "Stop",
    "Tolerance",
    "Training",
    "Tuned",
    "bounds",
    "channels",
    "clocks",
    "compare",
    "compilation_cache",
    "costs",
    "failures",
    "features",
    "losses",
    "memory",
    "methods",
    "objectives",
    "pytree",
    "reference",
    "sample",
    "setting",
    "solve",
    "sweep",
    "theory",
    "tune",
]
