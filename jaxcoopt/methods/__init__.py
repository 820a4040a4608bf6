"""How a node moves: allocation flows, training methods, and the co-optimizer that joins them."""

from jaxcoopt.methods.allocation_admm import DualConsensusADMM, TrackingADMM
from jaxcoopt.methods.choco import CHOCO
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.consensus_admm import DecentralizedADMM
from jaxcoopt.methods.curvature_flow import CurvatureFlow
from jaxcoopt.methods.dgd import DGD, DPSGD
from jaxcoopt.methods.diffusion import LEAD, NIDS, ExactDiffusion
from jaxcoopt.methods.dual_flow import DualFlow, MemorylessDualFlow
from jaxcoopt.methods.extra import EXTRA
from jaxcoopt.methods.gradient_tracking import ATCTracking, DIGing, GradientTracking, HeavyBallTracking
from jaxcoopt.methods.laplacian_flow import (
    FiniteTimeFlow,
    FixedTimeFlow,
    LaplacianFlow,
    SaturatedFlow,
    SingleBitFlow,
    UniformFlow,
)
from jaxcoopt.methods.method import AllocationMethod, TrainingMethod
from jaxcoopt.methods.optimizer import optimizer
from jaxcoopt.methods.primal_dual import PrimalDual
from jaxcoopt.methods.ratio_consensus import RatioConsensus
from jaxcoopt.methods.schedule import Schedule
from jaxcoopt.renamed import renamed

__all__ = [
    "CHOCO",
    "DGD",
    "DPSGD",
    "EXTRA",
    "LEAD",
    "NIDS",
    "ATCTracking",
    "AllocationMethod",
    "CoOptimizer",
    "CurvatureFlow",
    "DIGing",
    "DecentralizedADMM",
    "DualConsensusADMM",
    "DualFlow",
    "ExactDiffusion",
    "FiniteTimeFlow",
    "FixedTimeFlow",
    "GradientTracking",
    "HeavyBallTracking",
    "LaplacianFlow",
    "MemorylessDualFlow",
    "PrimalDual",
    "RatioConsensus",
    "SaturatedFlow",
    "Schedule",
    "SingleBitFlow",
    "TrackingADMM",
    "TrainingMethod",
    "UniformFlow",
    "optimizer",
]

__getattr__ = renamed(__name__, Phases="Schedule")
