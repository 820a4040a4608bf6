"""What can be said of a run before or after it: sectors, connectivity, admissible steps, spectra, rates, Lyapunov."""

from jaxcoopt.theory.connectivity import Connectivity, FailureThreshold, connectivity, failure_threshold
from jaxcoopt.theory.curvature import smoothness
from jaxcoopt.theory.laplacian import average_laplacian, expected_laplacian, lambda_2, lambda_max, laplacians
from jaxcoopt.theory.lyapunov import lyapunov
from jaxcoopt.theory.rates import FittedRate, fit_rate, rate_of_run
from jaxcoopt.theory.sector import Sector, sector
from jaxcoopt.theory.spectrum import eigenvalues, iteration_matrix, spectral_rate
from jaxcoopt.theory.steps import StepBound, paper_bound, step_bound

__all__ = [
    "Connectivity",
    "FailureThreshold",
    "FittedRate",
    "Sector",
    "StepBound",
    "average_laplacian",
    "connectivity",
    "eigenvalues",
    "expected_laplacian",
    "failure_threshold",
    "fit_rate",
    "iteration_matrix",
    "lambda_2",
    "lambda_max",
    "laplacians",
    "lyapunov",
    "paper_bound",
    "rate_of_run",
    "sector",
    "smoothness",
    "spectral_rate",
    "step_bound",
]
