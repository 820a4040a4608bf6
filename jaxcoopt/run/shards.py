"""The runs axis split over the local devices, a loop on each: they meet at a record, to agree on whether to go on."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxcoopt.problem.problem import Problem
from jaxcoopt.problem.reference import SCALARS, Optimum
from jaxcoopt.run.compiler import LEAST_WIDE, options_for
from jaxcoopt.run.loop import Carry, Setup, advance_records, compiled_for

AXIS = "runs"
LEAST_RUNS = 16  # to a device: with fewer, its loops over the runs are too short for its vectors (benchmarks/NOTES.md)
WHOLE: Any = PartitionSpec()
SPLIT: Any = PartitionSpec(AXIS)


def devices_for(runs: int) -> int:
    """How many of the local devices so many runs are spread over: as many as get LEAST_RUNS each.

    One where the user has named a device (jax_default_device).
    """
    if jax.config.jax_default_device is not None:  # pyright: ignore[reportAttributeAccessIssue]
        return 1
    return max(1, min(jax.local_device_count(), runs // LEAST_RUNS))


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def devices_of_cores(runs: int) -> None:
    """A CPU device for each core that so many runs are worth: before JAX starts, and where nobody has set a number."""
    wanted = min(cores(), runs // LEAST_RUNS)
    if wanted > 1 and jax.config.values["jax_num_cpu_devices"] < 1:
        with suppress(RuntimeError):  # it has started
            jax.config.update("jax_num_cpu_devices", wanted)


class Spread(NamedTuple):
    """What is called where, and what brings the carry back: program as `advance_records`."""

    program: Any
    setup: Setup
    carry: Carry
    gather: Callable[[Carry], Carry]


def spread_runs(setup: Setup, carry: Carry) -> Spread:
    """As many of the local devices as there are runs for."""
    runs = len(setup.runs)
    return Spread(program_for(runs), *spread(setup, carry), gather=lambda carry: gathered(carry, runs))


def program_for(runs: int) -> Any:
    """`advance_records` for so many runs, compiled: on one device, or split over several."""
    devices = devices_for(runs)
    return compiled_for(runs) if devices == 1 else _split_program(devices)


def spread(setup: Setup, carry: Carry) -> tuple[Setup, Carry]:
    """Both where `program_for` takes them: as they are for one device, else on all of them, the runs split evenly.

    Where they do not divide, the last run is there several times, with the same number, so that it draws the same.
    """
    devices = devices_for(len(setup.runs))
    if devices == 1:
        return setup, carry
    missing = -len(setup.runs) % devices

    def place(leaf: Any, spec: PartitionSpec) -> Any:
        if spec != WHOLE:  # NumPy cuts it without a program to be compiled
            leaf = np.asarray(leaf)
            leaf = np.concatenate([leaf, *[leaf[..., -1:]] * missing], axis=-1)
        return jax.device_put(leaf, NamedSharding(_mesh(devices), spec))

    return jax.tree.map(place, (setup, carry), (run_setup_specs(setup), run_carry_specs(carry)))


def spread_shapes(setup: Setup, carry: Carry) -> tuple[Setup, Carry]:
    """What `spread` gives, as shapes: to compile for where there are no arrays yet."""
    devices = devices_for(len(setup.runs))
    if devices == 1:
        return setup, carry

    def place(leaf: Any, spec: PartitionSpec) -> Any:
        *rest, last = leaf.shape or (0,)
        shape = leaf.shape if spec == WHOLE else (*rest, last + -last % devices)
        return jax.ShapeDtypeStruct(shape, leaf.dtype, sharding=NamedSharding(_mesh(devices), spec))

    return jax.tree.map(place, (setup, carry), (run_setup_specs(setup), run_carry_specs(carry)))


def gathered(carry: Carry, runs: int) -> Carry:
    """The carry of all runs on the default device again."""
    if devices_for(runs) == 1:
        return carry
    return jax.tree.map(
        lambda leaf, spec: jnp.asarray(np.asarray(leaf) if spec == WHOLE else np.asarray(leaf)[..., :runs]),
        carry,
        run_carry_specs(carry),
    )


def split_like_runs(tree: Any, function: Callable[..., Any], runs: int) -> tuple[Any, Callable[..., Any]]:
    """(tree, function(tree, scalar) -> tree) spread as `runs` are, over the last axes, where they divide evenly."""
    devices = devices_for(runs)
    if devices == 1 or runs % devices:
        return tree, function
    mesh, specs = _mesh(devices), runs_last(tree)
    tree = jax.tree.map(lambda leaf, spec: jax.device_put(leaf, NamedSharding(mesh, spec)), tree, specs)
    return tree, jax.shard_map(function, mesh=mesh, in_specs=(specs, WHOLE), out_specs=specs, check_vma=False)


def run_setup_specs(setup: Setup) -> Setup:
    """Which axis of each leaf the runs are on: by where a leaf stands, never by its size, which may be that of others.

    Settings, and what is given for each run, are scalar or [runs]; what a node has [nodes, 1 or runs].
    """
    problem, training = setup.problem, setup.problem.training
    optimum = Optimum(
        **_whole({"allocation": setup.optimum.allocation, "params": setup.optimum.params}),  # the loop reads neither
        **runs_last({name: getattr(setup.optimum, name) for name in SCALARS}),
    )
    return Setup(
        problem=Problem(
            allocation=runs_last(problem.allocation),
            training=training and replace(_whole(training), loss=runs_last(training.loss)),
            work=runs_last(problem.work),
        ),
        network=replace(_whole(setup.network), failure_rate=runs_last(setup.network.failure_rate)),
        method=runs_last(setup.method),
        optimum=optimum,
        tol=_whole(setup.tol),
        network_key=WHOLE,
        batch_key=WHOLE,
        runs=SPLIT,
        mean_share=runs_last(setup.mean_share),
    )


def run_carry_specs(carry: Carry) -> Carry:
    """The same of the carry: a method's state ends in [runs] throughout."""
    return Carry(
        iteration=WHOLE,
        state=runs_last(carry.state),
        seconds=SPLIT,
        seconds_lost=SPLIT,
        visits=WHOLE,
        done=SPLIT,
        bits=None if carry.bits is None else SPLIT,
    )


def runs_last(tree: Any) -> Any:
    """The runs are the last axis, where it is not there to be broadcast."""

    def spec(leaf: Any) -> PartitionSpec:
        return WHOLE if leaf.ndim == 0 or leaf.shape[-1] == 1 else PartitionSpec(*[None] * (leaf.ndim - 1), AXIS)

    return jax.tree.map(spec, tree)


def _whole(tree: Any) -> Any:
    return jax.tree.map(lambda _: WHOLE, tree)


@cache
def _mesh(devices: int) -> Mesh:
    return Mesh(np.array(jax.local_devices()[:devices]), (AXIS,))


@cache
def _split_program(devices: int) -> Any:
    def split(setup: Setup, carry: Carry, lengths: Any, count: Any) -> Any:
        specs, out = (run_setup_specs(setup), run_carry_specs(carry)), PartitionSpec(None, AXIS)
        return jax.shard_map(
            partial(advance_records, axis=AXIS),
            mesh=_mesh(devices),
            in_specs=(*specs, WHOLE, WHOLE),
            out_specs=(specs[1], out, WHOLE),
            check_vma=False,
        )(setup, carry, lengths, count)

    return jax.jit(split, donate_argnames="carry", compiler_options=options_for(LEAST_WIDE))
