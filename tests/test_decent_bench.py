"""Our methods beside decent-bench 0.3's: the same least squares, graph, weights and start, 50 iterations.

decent-bench is AGPL-3.0 and needs Python 3.13: it runs as a program of its own, in an environment of its own that takes
minutes to make. So only on request: JAXCOOPT_DECENT_BENCH=1.
"""

import json
import os
import subprocess
from pathlib import Path

import method_cases as cases
import numpy as np
import problems
import pytest

import jaxcoopt as jc
from benchmarks.engine.decent_rival import environment

STEPS, STEP, TOLERANCE = 50, 0.1, 1e-10
THEIRS = {
    "AugDGM": jc.methods.ATCTracking,
    "EXTRA": jc.methods.EXTRA,
    "NIDS": jc.methods.NIDS,
    "ED": jc.methods.ExactDiffusion,
    "DGD": jc.methods.DGD,
}
# Its ATC_Tracking mixes the tracker before the gradients' difference is added, ours (and its AugDGM) after.
OTHER_ORDER = "ATC_Tracking"

pytestmark = pytest.mark.skipif(
    os.environ.get("JAXCOOPT_DECENT_BENCH") != "1",
    reason="set JAXCOOPT_DECENT_BENCH=1 to make an environment with decent-bench 0.3 and compare with it",
)


def theirs(training, start):
    """{name: y [nodes, m]} by decent-bench."""
    try:
        python = environment()
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"no environment with decent-bench: {error}")
    features = np.concatenate([training.features, np.ones((*training.features.shape[:2], 1))], axis=2)
    gram = features.transpose(0, 2, 1) @ features / cases.SAMPLES
    gram[:, np.arange(cases.FEATURES), np.arange(cases.FEATURES)] += cases.L2
    pull = np.einsum("nsf,ns->nf", features, training.targets) / cases.SAMPLES
    given = {
        "gram": gram.tolist(),
        "pull": pull.tolist(),
        "edges": [list(edge) for edge in cases.graph().edges],
        "start": start.tolist(),
        "step": STEP,
        "iterations": STEPS,
        "methods": [*THEIRS, OTHER_ORDER],
    }
    program = Path(__file__).with_name("decent_bench_methods.txt")
    done = subprocess.run(
        [str(python), str(program)], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {name: np.asarray(y) for name, y in json.loads(done.stdout.splitlines()[-1]).items()}


def ours(method, training, initial):
    problem, net = jc.Problem(training=training), cases.network()
    options = {"record_every": STEPS, "optimum": jc.Optimum(), "initial": initial}
    result = jc.solve(problem, net, jc.CoOptimizer(training=method(STEP)), STEPS, **options)
    return problems.one_run(result.params, 0)


def test_the_same_iterates_as_decent_bench(rng):
    training = cases.training(rng)
    initial = cases.start_of(jc.Initial(params=cases.starts(rng, cases.allocation(rng)).params), 0)
    found = theirs(training, problems.one_run(initial.params, 0))
    distances = {name: np.abs(ours(method, training, initial) - found[name]).max() for name, method in THEIRS.items()}
    print(distances)
    assert max(distances.values()) <= TOLERANCE, distances
    assert np.abs(found[OTHER_ORDER] - found["AugDGM"]).max() > TOLERANCE
