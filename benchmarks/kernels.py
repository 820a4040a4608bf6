"""One application of the mix by every kernel that applies, over graphs, sizes and widths: what the rule rests on.

    python benchmarks/kernels.py     # some minutes; writes benchmarks/results/kernels.json

Times are per application, the best of several runs of a compiled loop u <- u + mix(u) / 2 in float32; they are printed
as ratios to the "table" kernel in the same process, and the table's own in microseconds.
"""

import json
import platform
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
from jax import lax

import jaxcoopt as jc

KERNELS = ("table", "buckets", "dense", "shifts", "auto")
REPEATS, SECONDS = 5, 0.05
WIDTHS = ((1, 1), (4, 1), (1, 10), (4, 10), (64, 1), (64, 10))  # runs, numbers
LARGEST_DENSE, LARGEST_HUB = 1000, 1000


def graphs() -> dict[str, nx.Graph]:
    found: dict[str, nx.Graph] = {}
    for nodes in (20, 100, 300):
        for fill in (0.1, 0.2, 0.35, 0.5, 0.7, 1.0):
            if fill * nodes >= 4:
                degree = min(nodes - 1, 2 * round(fill * nodes / 2))
                found[f"regular {nodes} {degree}"] = nx.random_regular_graph(degree, nodes, seed=0)
    for nodes in (100, 1000, 10_000):
        found[f"ring {nodes}"] = nx.cycle_graph(nodes)
        found[f"exponential {nodes}"] = nx.circulant_graph(nodes, [2**k for k in range(int(np.log2(nodes / 2)) + 1)])
        found[f"torus {nodes}"] = nx.grid_2d_graph(nodes // 10, 10, periodic=True)
        found[f"regular {nodes} 8"] = nx.random_regular_graph(8, nodes, seed=0)
        found[f"barabasi_albert {nodes} 4"] = nx.barabasi_albert_graph(nodes, 4, seed=0)
        found[f"star {nodes}"] = nx.star_graph(nodes - 1)
    return found


def apply(graph: nx.Graph) -> dict[str, jc.Network]:
    """The graph's network with each kernel that applies and is not out of all proportion."""
    networks = {}
    for kernel in KERNELS:
        if kernel == "dense" and len(graph) > LARGEST_DENSE:
            continue
        if kernel == "table" and max(degree for _, degree in graph.degree) > LARGEST_HUB:
            continue
        try:
            networks[kernel] = jc.Network.from_graphs(graph, kernel=kernel)
        except ValueError:  # no shifts
            continue
    return networks


@jax.jit
def loop(network: jc.Network, u: jax.Array, count: jax.Array) -> jax.Array:
    key, runs = jax.random.key(0), jnp.arange(u.shape[-1], dtype=jnp.int32)
    return lax.fori_loop(0, count, lambda k, u: u + network.links(key, k, runs).mix(u) / 2, u)


def measure(networks: dict[str, jc.Network], u: jax.Array) -> dict[str, float]:
    """Seconds of one application by each kernel, in turns, the best of all."""

    def seconds(network: jc.Network, count: int) -> float:
        start = time.perf_counter()
        loop(network, u, jnp.asarray(count, jnp.int32)).block_until_ready()
        return (time.perf_counter() - start) / count

    counts = {}
    for name, network in networks.items():
        seconds(network, 1)
        counts[name] = max(2, int(SECONDS / seconds(network, 2)))
    best = dict.fromkeys(networks, np.inf)
    for _ in range(REPEATS):
        for name, network in networks.items():
            best[name] = min(best[name], seconds(network, counts[name]))
    return best


def main() -> None:
    rows = []
    print(f"{'graph':26s}{'runs':>5s}{'m':>4s}{'table':>12s}" + "".join(f"{kernel:>10s}" for kernel in KERNELS[1:]))
    for name, graph in graphs().items():
        networks = apply(graph)
        for runs, numbers in WIDTHS:
            u = jnp.asarray(np.random.default_rng(0).normal(size=(len(graph), numbers, runs)), jnp.float32)
            times = measure(networks, u)
            base = times.get("table", times["buckets"])
            ratios = {kernel: time / base for kernel, time in times.items()}
            cells = "".join(f"{ratios[k]:10.2f}" if k in ratios else f"{'-':>10s}" for k in KERNELS[1:])
            print(f"{name:26s}{runs:5d}{numbers:4d}{base * 1e6:9.1f} us{cells}", flush=True)
            rows.append({"graph": name, "runs": runs, "numbers": numbers, "base_us": base * 1e6, "ratios": ratios})
    report = {"jax": jax.__version__, "processor": platform.machine(), "cpus": jax.device_count(), "rows": rows}
    (Path(__file__).parent / "results" / "kernels.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
