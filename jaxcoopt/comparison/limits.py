"""Whether there is room for a comparison, known from its numbers before anything is made."""

from jaxcoopt.comparison.settings import FAMILIES, Comparison
from jaxcoopt.containers import free_memory
from jaxcoopt.datasets.size import check_size
from jaxcoopt.errors import check_fits
from jaxcoopt.experiments.amounts import under
from jaxcoopt.experiments.limits import SIZES, STATISTICS

LINK = 16  # bytes of a link in a graph, or more


def check_comparison(settings: Comparison) -> None:
    """Raise MemoryError naming the key that asks for more than fits, with how much would."""
    free = free_memory()

    def fits(name: str, count: int, each: int) -> None:
        check_fits(name, count, int(free // each), count * each, free)

    nodes = 1
    for i, table in enumerate(settings.networks):
        with under(f"networks.{i}"):
            for size in table.nodes if table.kind == "topology" else []:
                check_size(table.name, size, table.degree, table.probability)
        most = max(table.nodes, default=1)
        fits(f"networks.{i}.graphs", table.graphs, LINK * most)
        nodes = max(nodes, most)
    for i, family in enumerate(settings.problems):
        samples, features = (family.samples, family.features) if FAMILIES[family.kind] == "training" else (1, 1)
        fits(f"problems.{i}.samples", samples, 8 * nodes)
        fits(f"problems.{i}.features", features, 8 * nodes * samples)
        for name in ("instances", "tuning_instances", "width"):
            fits(name, getattr(settings, name), 8 * nodes * samples * features)
    records = int(settings.last * settings.longest) // settings.record_every
    fits("record_every: records", records, settings.width * STATISTICS * SIZES[settings.precision])
