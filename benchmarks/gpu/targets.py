"""GPUs that programs are compiled for without having one, by the public figures of each."""

from dataclasses import dataclass

import jax
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding


@dataclass(frozen=True)
class Target:
    """A GPU: multiprocessors, bandwidth in bytes a second, sizes in bytes, clock in GHz, compute capability."""

    name: str
    multiprocessors: int
    bandwidth: float
    cache: int
    memory: int
    clock: float
    capability: tuple[int, int]
    shared: int  # of a multiprocessor
    shared_most: int  # of a block

    def config(self) -> str:
        """As XLA reads it."""
        major, minor = self.capability
        accelerated = "feature_extension: ACCELERATED_FEATURES" if major >= 9 else ""
        suffix = "a" if accelerated else ""
        return f"""
gpu_device_info {{
  threads_per_block_limit: 1024  threads_per_warp: 32  threads_per_core_limit: 2048  fpus_per_core: 128
  shared_memory_per_block: 49152  shared_memory_per_core: {self.shared}
  shared_memory_per_block_optin: {self.shared_most}
  core_count: {self.multiprocessors}  memory_bandwidth: {int(self.bandwidth)}  l2_cache_size: {self.cache}
  clock_rate_ghz: {self.clock}  device_memory_size: {self.memory}
  block_dim_limit_x: 2147483647  block_dim_limit_y: 65535  block_dim_limit_z: 65535
  registers_per_core_limit: 65536  registers_per_block_limit: 65536
  thread_dim_limit_x: 1024  thread_dim_limit_y: 1024  thread_dim_limit_z: 64
  cuda_compute_capability {{ major: {major} minor: {minor} {accelerated} }}
  device_vendor: "NVIDIA Corporation"  platform_version: "Compute Capability {major}.{minor}{suffix}"
  device_address_bits: 64  ecc_enabled: true  name: "{self.name}"
  driver_version: "13.0.0"  runtime_version: "13.0.0"  compile_time_toolkit_version: "13.0.0"  dnn_version: "9.10.0"
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 }}
device_description_str: "{self.name}"
"""

    def device(self) -> jax.Device:
        """A device to compile for. Raises RuntimeError where jax cannot make programs for CUDA."""
        try:
            made = topologies.get_topology_desc(platform="cuda", target_config=self.config(), topology="1x1x1")
        except Exception as error:
            raise RuntimeError(
                f"this jax ({jax.__version__}) makes no programs for CUDA: pip install 'jax[cuda13]' "
                f"({type(error).__name__}: {error!s:.200})"
            ) from error
        return made.devices[0]

    def sharding(self) -> SingleDeviceSharding:
        """Of arrays on it."""
        return SingleDeviceSharding(self.device())


KIB, GIB = 1 << 10, 1 << 30
H200 = Target("NVIDIA H200", 132, 4.8e12, 50 << 20, 141 * GIB, 1.98, (9, 0), 228 * KIB, 227 * KIB)
H100 = Target("NVIDIA H100 80GB HBM3", 132, 3.35e12, 50 << 20, 80 * GIB, 1.98, (9, 0), 228 * KIB, 227 * KIB)
A100 = Target("NVIDIA A100-SXM4-80GB", 108, 2.04e12, 40 << 20, 80 * GIB, 1.41, (8, 0), 164 * KIB, 163 * KIB)
TARGETS = {"h200": H200, "h100": H100, "a100": A100}
