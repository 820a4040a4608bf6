"""Two ways to feed mini-batches to a gradient tracker, in plain NumPy, so that neither is the library's own.

    python benchmarks/minibatch.py     # some seconds; writes benchmarks/results/minibatch.json

same batch:   z += mix(z) + g(y'; B') - g(y; B')   (two gradients an iteration; the difference does not telescope)
telescoping:  z += mix(z) + g(y'; B') - g(y; B)    (one gradient an iteration; sum z = sum g(y'; B') at all times)

What is printed is the median over runs of the pooled loss's relative gap after the last iteration.
"""

import json
from pathlib import Path

import networkx as nx
import numpy as np

NODES, SAMPLES, FEATURES, RUNS, STEPS, L2 = 20, 50, 5, 8, 4000, 1e-2


def gradient(y: np.ndarray, features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """[runs, nodes, features] of least squares over samples [runs, nodes, samples, ...]."""
    residual = np.einsum("rnsf,rnf->rns", features, y) - targets
    return np.einsum("rnsf,rns->rnf", features, residual) / targets.shape[-1] + L2 * y


def gap(same_batch: bool, step: float, batch: int, rng: np.random.Generator) -> float:
    graph = nx.random_regular_graph(4, NODES, seed=0)
    mixing = 0.2 * (nx.to_numpy_array(graph) - 4 * np.eye(NODES)) + np.eye(NODES)
    features = rng.normal(size=(NODES, SAMPLES, FEATURES))
    targets = features @ rng.normal(size=FEATURES) + 0.5 * rng.normal(size=(NODES, SAMPLES))
    pooled, seen = features.reshape(-1, FEATURES), targets.ravel()
    best = np.linalg.solve(pooled.T @ pooled / len(seen) + L2 * np.eye(FEATURES), pooled.T @ seen / len(seen))

    def draw() -> tuple[np.ndarray, np.ndarray]:
        index = rng.integers(SAMPLES, size=(RUNS, NODES, batch))
        node = np.arange(NODES)[:, None]
        return features[node, index], targets[node, index]

    y = np.zeros((RUNS, NODES, FEATURES))
    kept = gradient(y, *(np.broadcast_to(a, (RUNS, *a.shape)) for a in (features, targets)))
    z = kept.copy()
    for _ in range(STEPS):
        new = mixing @ y - step * z
        samples = draw()
        after = gradient(new, *samples)
        before = gradient(y, *samples) if same_batch else kept
        y, z, kept = new, mixing @ z + after - before, after
    mean = y.mean(axis=1)
    loss = lambda w: 0.5 * np.mean((w @ pooled.T - seen) ** 2, axis=-1) + 0.5 * L2 * np.sum(w**2, axis=-1)  # noqa: E731
    return float(np.median(loss(mean) / loss(best) - 1))


def main() -> None:
    rows = []
    for batch in (1, 5, 20):
        for step in (0.1, 0.02, 0.005):
            same, telescoping = (gap(kind, step, batch, np.random.default_rng(1)) for kind in (True, False))
            rows.append({"batch": batch, "step": step, "same_batch": same, "telescoping": telescoping})
            print(f"batch {batch:2d}  step {step:5.3f}  same batch {same:.1e}  telescoping {telescoping:.1e}")
    report = {"nodes": NODES, "steps": STEPS, "runs": RUNS, "numpy": np.__version__, "rows": rows}
    (Path(__file__).parent / "results" / "minibatch.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
