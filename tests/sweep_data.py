"""Sweeps made by hand, in the form in which they are stored."""

import json
import math

import numpy as np
import xarray

MAX_STEPS, CONVERGED, DIVERGED, PENDING = 0, 1, 2, -1
UNITS = {"training_gap": "relative to the optimum", "allocation_gap": "relative to the optimum"}


def sweep(axes, seeds=5, records=11, points=None, seed=0):
    """A dataset over a grid of axes {name: values}, or over so many points with those values; all runs done."""
    rng = np.random.default_rng(seed)
    dims = tuple(axes) if points is None else ("point",)
    shape = tuple(len(values) for values in axes.values()) if points is None else (points,)
    coords = {name: (name if points is None else "point", np.asarray(values)) for name, values in axes.items()}
    iterations = 100 * np.arange(records)
    size = (*shape, seeds, records)
    rate = rng.uniform(0.002, 0.02, (*shape, 1, 1)) * rng.uniform(0.9, 1.1, (*shape, seeds, 1))
    noise = rng.uniform(0.8, 1.25, size)
    gap = np.exp(-rate * iterations) * noise
    speed = rng.uniform(1e4, 3e4, (*shape, 1, 1))
    values = {
        "training_gap": gap,
        "allocation_gap": np.maximum(gap**2 - 1e-9, 0),
        "allocation_cost": -10 + gap,
        "training_loss": 0.3 + gap,
        "budget_residual": np.zeros(size),
        "consensus_error": gap * (iterations > 0),
        "bits": np.broadcast_to(speed * iterations, size),
        "seconds": np.broadcast_to(1e-5 * speed * iterations, size),
    }
    variables = {
        name: ((*dims, "seed", "iteration"), each.astype(np.float32), {"units": UNITS.get(name, name)})
        for name, each in values.items()
    }
    variables["status"] = ((*dims, "seed"), np.zeros(size[:-1], np.int8))
    variables["left"] = ((*dims, "seed"), np.full(size[:-1], iterations[-1], np.int32))
    coords |= {"seed": np.arange(seeds), "iteration": iterations}
    attributes = {"title": "A sweep", "settings": json.dumps({"steps": 1000}), "versions": json.dumps({"jax": "0.11"})}
    return xarray.Dataset(variables, coords, attributes)


def diverge(dataset, from_record=3, **where):
    """The runs at those places (dims by position, dots in their names as __) have diverged."""
    index = {name.replace("__", "."): place for name, place in where.items()}
    for name, variable in dataset.data_vars.items():
        if "iteration" in variable.dims and name not in ("bits", "seconds"):
            variable[{**index, "iteration": slice(from_record, None)}] = np.nan
    dataset["status"][index] = DIVERGED
    dataset["left"][index] = int(dataset["iteration"][from_record])
    return dataset


def unfinish(dataset, **where):
    """The runs at those places are not done yet."""
    index = {name.replace("__", "."): place for name, place in where.items()}
    for variable in dataset.data_vars.values():
        if "iteration" in variable.dims:
            variable[index] = np.nan
    dataset["status"][index] = PENDING
    return dataset


def grid(x=7, y=5, seeds=5):
    """Two axes of numbers and one of labels, some runs diverged, some not done."""
    axes = {
        "channel.rho": np.geomspace(1e-3, 1.0, x),
        "training.step": np.linspace(0.1, 0.5, y),
        "network": ["ring", "germany50"],
    }
    dataset = sweep(axes, seeds)
    dataset = diverge(dataset, channel__rho=slice(math.ceil(0.8 * x), None), seed=slice(0, math.ceil(0.6 * seeds)))
    dataset = diverge(dataset, channel__rho=x - 1, training__step=y - 1)
    dataset = diverge(dataset, channel__rho=0, training__step=1, seed=0)
    return unfinish(dataset, training__step=0, network=1)
