"""How a node moves: allocation flows, training methods, and the co-optimizer that joins them."""

from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.gradient_tracking import GradientTracking
from jaxcoopt.methods.laplacian_flow import LaplacianFlow

__all__ = ["CoOptimizer", "GradientTracking", "LaplacianFlow"]
