"""All methods in one table: what appears here appears in the tests, in TOML files and in comparisons."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxcoopt.errors import unknown_name
from jaxcoopt.methods.allocation_admm import DualConsensusADMM, TrackingADMM
from jaxcoopt.methods.choco import CHOCO
from jaxcoopt.methods.consensus_admm import DecentralizedADMM
from jaxcoopt.methods.curvature_flow import CurvatureFlow
from jaxcoopt.methods.dgd import DGD, DPSGD
from jaxcoopt.methods.diffusion import LEAD, NIDS, ExactDiffusion
from jaxcoopt.methods.dual_flow import DualFlow, MemorylessDualFlow
from jaxcoopt.methods.extra import EXTRA
from jaxcoopt.methods.gradient_tracking import ATCTracking, GradientTracking, HeavyBallTracking
from jaxcoopt.methods.laplacian_flow import (
    FiniteTimeFlow,
    FixedTimeFlow,
    LaplacianFlow,
    SaturatedFlow,
    SingleBitFlow,
    UniformFlow,
)
from jaxcoopt.methods.primal_dual import PrimalDual
from jaxcoopt.methods.ratio_consensus import RatioConsensus
from jaxcoopt.problem.bounds import Multiplier
from jaxcoopt.shown import briefly


def _spread(least: float, most: float, count: int) -> tuple[float, ...]:
    """So many values from least to most in equal ratios, to three digits."""
    ratio = (most / least) ** (1 / (count - 1))
    return tuple(float(f"{least * ratio**i:.3g}") for i in range(count))


# Every grid has 30 points, so that no method is tuned better than another; test_registry_grids says so.
STEPS, RATES, PENALTIES = _spread(1e-3, 1.0, 30), _spread(3e-3, 3.0, 30), _spread(1e-2, 30.0, 30)
FEW_STEPS = (0.003, 0.01, 0.02, 0.04, 0.1)
WEIGHTS = (3.0, 10.0, 30.0)


@briefly
@dataclass(frozen=True)
class Entry:
    """A method by its name: make(**settings) builds it.

    title: as in the literature. settings: what runs on the tests' small problems. grid: the values that a comparison
    tries, all combinations. exact: reaches the optimum where links are ideal and the graph is connected and stays.
    paper: the method of arXiv 2510.25176; ours: beyond it.
    """

    name: str
    half: Literal["allocation", "training"]
    title: str
    make: Callable[..., Any]
    settings: Mapping[str, Any]
    grid: Mapping[str, Sequence[float]] = field(default_factory=dict)
    exact: bool = True
    paper: bool = False
    ours: bool = False

    def build(self, **changed: object) -> Any:
        """The method with its settings, some of them changed."""
        return self.make(**{**self.settings, **changed})


def _allocation(name: str, title: str, make: Callable[..., Any], settings: Mapping[str, Any], **more: Any) -> Entry:
    return Entry(name, "allocation", title, make, settings, **more)


def _training(name: str, title: str, make: Callable[..., Any], settings: Mapping[str, Any], **more: Any) -> Entry:
    return Entry(name, "training", title, make, settings, **more)


ENTRIES = (
    # The penalty's floor keeps all flows with it from the optimum where bounds are active.
    _allocation(
        "laplacian_flow",
        "Laplacian-gradient flow",
        LaplacianFlow,
        {"step": 0.05},
        grid={"step": FEW_STEPS, "bounds.weight": WEIGHTS, "bounds.sharpness": (30.0, 100.0)},
        exact=False,
        paper=True,
    ),
    _allocation(
        "accelerated_flow",
        "accelerated Laplacian flow",
        LaplacianFlow,
        {"step": 0.05, "momentum": 0.5},
        grid={"step": FEW_STEPS, "momentum": (0.3, 0.6, 0.9), "bounds.weight": WEIGHTS[1:]},
        exact=False,
    ),
    _allocation(
        "finite_time_flow",
        "finite-time flow",
        FiniteTimeFlow,
        {"step": 0.05},
        grid={"step": STEPS[::3], "bounds.weight": WEIGHTS},
        exact=False,
    ),
    _allocation(
        "fixed_time_flow",
        "fixed-time flow",
        FixedTimeFlow,
        {"step": 0.05},
        grid={"step": STEPS[::3], "bounds.weight": WEIGHTS},
        exact=False,
    ),
    _allocation(
        "saturated_flow",
        "saturated flow",
        SaturatedFlow,
        {"step": 0.05},
        grid={"step": FEW_STEPS, "level": (0.3, 3.0), "bounds.weight": WEIGHTS},
        exact=False,
    ),
    _allocation(
        "single_bit_flow",
        "single-bit flow",
        SingleBitFlow,
        {"step": 0.01},
        grid={"step": _spread(1e-4, 0.1, 10), "bounds.weight": WEIGHTS},
        exact=False,
    ),
    _allocation(
        "uniform_flow",
        "uniformly quantized flow",
        UniformFlow,
        {"step": 0.05, "level": 0.01, "bits": 12},
        grid={"step": FEW_STEPS, "level": (0.01, 0.1), "bounds.weight": WEIGHTS},
        exact=False,
    ),
    _allocation(
        "curvature_flow",
        "curvature flow, limited",
        CurvatureFlow,
        {"gain": 0.7},
        grid={"gain": (0.3, 0.5, 0.7, 0.8, 0.9, 0.97), "momentum": (0.0, 0.1, 0.2, 0.3, 0.5)},
        exact=False,  # it may stall where full nodes cut the graph
        ours=True,
    ),
    _allocation(
        "curvature_flow_multiplier",
        "curvature flow, multipliers",
        CurvatureFlow,
        {"gain": 0.7, "bounds": Multiplier(0.1)},
        grid={"gain": (0.3, 0.5, 0.7, 0.8, 0.9), "bounds.gain": (0.05, 0.1, 0.2), "momentum": (0.0, 0.3)},
        ours=True,
    ),
    _allocation(
        "dual_flow",
        "dual flow",
        DualFlow,
        {},
        grid={"gain": (1.0, 2.0, 4.0, 8.0, 16.0, 32.0), "relaxation": (0.5, 0.6, 0.7, 0.8, 0.9)},
        ours=True,
    ),
    _allocation(
        "dual_flow_memoryless",
        "dual flow, memoryless",
        MemorylessDualFlow,
        {},
        grid={"gain": _spread(0.5, 20.0, 30)},
        ours=True,
    ),
    _allocation("primal_dual", "primal-dual", PrimalDual, {"step": 0.1}, grid={"step": STEPS}),
    _allocation("tracking_admm", "tracking ADMM", TrackingADMM, {"penalty": 0.3}, grid={"penalty": PENALTIES}),
    _allocation(
        "dual_consensus_admm", "dual consensus ADMM", DualConsensusADMM, {"penalty": 0.3}, grid={"penalty": PENALTIES}
    ),
    _allocation("ratio_consensus", "ratio consensus", RatioConsensus, {}, exact=False),
    _training(
        "gradient_tracking",
        "gradient tracking (DIGing)",
        GradientTracking,
        {"step": 0.05},
        grid={"step": RATES},
        paper=True,
    ),
    _training("atc_tracking", "ATC tracking", ATCTracking, {"step": 0.05}, grid={"step": RATES}),
    _training(
        "heavy_ball_tracking",
        "heavy-ball tracking",
        HeavyBallTracking,
        {"step": 0.05, "momentum": 0.3},
        grid={"step": RATES[::3], "momentum": (0.3, 0.6, 0.9)},
    ),
    _training("dgd", "DGD", DGD, {"step": 0.05}, grid={"step": RATES}, exact=False),
    _training("extra", "EXTRA", EXTRA, {"step": 0.1}, grid={"step": RATES}),
    _training("nids", "NIDS", NIDS, {"step": 0.2}, grid={"step": RATES}),
    _training("exact_diffusion", "exact diffusion", ExactDiffusion, {"step": 0.2}, grid={"step": RATES}),
    _training(
        "decentralized_admm",
        "decentralised ADMM",
        DecentralizedADMM,
        {"penalty": 0.5, "curvature": 2.0},
        grid={"penalty": _spread(0.01, 3.0, 10), "curvature": (1.0, 3.0, 10.0)},
    ),
    _training("choco", "CHOCO", CHOCO, {"step": 0.05}, grid={"step": RATES[::3], "gain": (0.1, 0.3, 1.0)}, exact=False),
    _training("lead", "LEAD", LEAD, {"step": 0.2}, grid={"step": RATES[::3], "gain": (0.1, 0.3, 1.0)}),
    _training("dpsgd", "D-PSGD", DPSGD, {"step": 0.05, "batch_size": 2}, grid={"step": RATES}, exact=False),
)

BY_NAME = {entry.name: entry for entry in ENTRIES}


def entry_of(name: str, half: str | None = None) -> Entry:
    """The entry of a method; raises ValueError with the nearest names for one that is not known."""
    known = [entry.name for entry in ENTRIES if half in (None, entry.half)]
    if name not in known:
        raise unknown_name("method", name, known)
    return BY_NAME[name]
