"""The runs axis split over the local devices, a loop on each: they meet at a record, to agree on whether to go on."""

import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

from jaxcoopt.arrays import Numbers
from jaxcoopt.compiler import LEAST_WIDE, options_for
from jaxcoopt.layout import WHOLE, specs
from jaxcoopt.platform import CPU, choices
from jaxcoopt.run.loop import Carry, Setup, advance_records, compiled_for, recorded
from jaxcoopt.run.stacked import Stacked

AXIS = "runs"
LEAST_RUNS = CPU.runs_a_device  # to a core


def devices_for(runs: int) -> int:
    """How many of the local devices so many runs are spread over: as many as get enough of them each.

    One where the user has named a device (jax_default_device).
    """
    if jax.config.jax_default_device is not None:  # pyright: ignore[reportAttributeAccessIssue]
        return 1
    return max(1, min(jax.local_device_count(), runs // choices().runs_a_device))


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

    def place(leaf: ArrayLike, spec: PartitionSpec) -> Array:
        if spec != WHOLE:  # NumPy cuts it without a program to be compiled
            leaf = np.asarray(leaf)
            leaf = np.concatenate([leaf, *[leaf[..., -1:]] * missing], axis=-1)
        return jax.device_put(leaf, NamedSharding(_mesh(devices), spec))

    both = setup.for_devices(), carry
    return jax.tree.map(place, both, run_specs(both))


def spread_shapes(setup: Setup, carry: Carry) -> tuple[Setup, Carry]:
    """What `spread` gives, as shapes: to compile for where there are no arrays yet."""
    devices = devices_for(len(setup.runs))
    if devices == 1:
        return setup, carry

    def place(leaf: Numbers | jax.ShapeDtypeStruct, spec: PartitionSpec) -> jax.ShapeDtypeStruct:
        *rest, last = leaf.shape or (0,)
        shape = leaf.shape if spec == WHOLE else (*rest, last + -last % devices)
        return jax.ShapeDtypeStruct(shape, leaf.dtype, sharding=NamedSharding(_mesh(devices), spec))

    both = setup.for_devices(), carry
    return jax.tree.map(place, both, run_specs(both))


def gathered(carry: Carry, runs: int) -> Carry:
    """The carry of all runs on the default device again."""
    if devices_for(runs) == 1:
        return carry
    return jax.tree.map(
        lambda leaf, spec: jnp.asarray(np.asarray(leaf) if spec == WHOLE else np.asarray(leaf)[..., :runs]),
        carry,
        run_specs(carry),
    )


def split_like_runs(tree: PyTree, function: Callable[..., Any], runs: int) -> tuple[PyTree, Callable[..., Any]]:
    """(tree, function(tree, scalar) -> tree) spread as `runs` are, over the last axes, where they divide evenly."""
    devices = devices_for(runs)
    if devices == 1 or runs % devices:
        return tree, function
    mesh, cut = _mesh(devices), run_specs(tree)
    tree = jax.tree.map(lambda leaf, spec: jax.device_put(leaf, NamedSharding(mesh, spec)), tree, cut)
    return tree, jax.shard_map(function, mesh=mesh, in_specs=(cut, WHOLE), out_specs=cut, check_vma=False)


def run_specs(tree: PyTree) -> PyTree:
    """How each array is cut along its runs, where it is not broadcast over them."""
    return specs(tree, (AXIS,), AXIS)


@cache
def _mesh(devices: int) -> Mesh:
    return Mesh(np.array(jax.local_devices()[:devices]), (AXIS,))


def _rows_of(each: jax.ShapeDtypeStruct) -> PartitionSpec:
    """How the records of an array [..., runs] are cut."""
    return PartitionSpec(*[None] * each.ndim, AXIS)


@cache
def _split_program(devices: int) -> Any:
    def split(setup: Setup, carry: Carry, lengths: Array, count: Array) -> PyTree:
        cut = run_specs((setup, carry))
        out = jax.tree.map(_rows_of, jax.eval_shape(lambda: Stacked.of(recorded(setup, carry))))
        return jax.shard_map(
            partial(advance_records, axis=AXIS),
            mesh=_mesh(devices),
            in_specs=(*cut, WHOLE, WHOLE),
            out_specs=(cut[1], out, WHOLE),
            check_vma=False,
        )(setup, carry, lengths, count)

    return jax.jit(split, donate_argnames="carry", compiler_options=options_for(LEAST_WIDE))
