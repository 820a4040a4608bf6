"""Several processes at one sweep, on one machine or many, over jax.distributed: each has every n-th chunk."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import jax
from jax.experimental import multihost_utils

HEARTBEAT = 10  # seconds of silence after which a process counts as dead


@contextmanager
def joined(coordinator: str | None, processes: int | None, process_id: int | None) -> Iterator[None]:
    """Inside, this process is one of `processes`, which find each other at host:port `coordinator`, that of process 0.

    To be entered before anything else of JAX; nothing to do without a coordinator. Raises ValueError for a part of the
    three, RuntimeError where the others do not come.
    """
    given = {"coordinator": coordinator, "processes": processes, "process-id": process_id}
    if all(value is None for value in given.values()):
        yield
        return
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise ValueError(f"--{missing[0]}: missing; several processes need --coordinator, --processes and --process-id")
    assert processes is not None
    assert process_id is not None
    if not 0 <= process_id < processes:
        raise ValueError(f"--process-id: expected 0 to {processes - 1}, got {process_id}")
    jax.config.update("jax_enable_recoverability", True)  # else one process that dies takes all with it
    jax.distributed.initialize(coordinator, processes, process_id, heartbeat_timeout_seconds=HEARTBEAT)
    try:
        yield
        if process_id == 0:  # who runs the service goes last: this waits until the others have gone, in whatever way
            with suppress(multihost_utils.ProcessFailureError), multihost_utils.live_devices(jax.devices()):
                pass
    finally:
        jax.distributed.shutdown()


def is_ours(number: int) -> bool:
    """Whether the chunk of a number is this process's, whatever has been done of the others."""
    return number % jax.process_count() == jax.process_index()


def meet() -> None:
    """Wait for the other processes. Raises RuntimeError where one has died."""
    if jax.process_count() == 1:
        return
    lost: set[int] = set()
    try:
        with multihost_utils.live_devices(jax.devices()) as alive:
            lost = set(range(jax.process_count())) - {device.process_index for device in alive}
    except multihost_utils.ProcessFailureError as error:
        lost = {device.process_index for device in error.failed_devices}
    if lost:
        raise RuntimeError(
            f"process {', '.join(map(str, sorted(lost)))} of {jax.process_count()} died, and its chunks are not done; "
            "start all of them again, and the store goes on where it stands"
        )
