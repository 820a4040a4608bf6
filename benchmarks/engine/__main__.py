"""The command line `python -m benchmarks.engine`, which `jaxcoopt bench` runs where the source is."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.engine.command import run_benchmark
from benchmarks.engine.entrants import RIVALS
from jaxcoopt.cli import clean_errors

app = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})


@app.command()
def bench(
    grid: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="small, medium, full, or a JSON list of cases.")
    ] = "small",
    nodes: Annotated[str | None, typer.Option(help="Numbers, such as 100,1000: a grid of your own.")] = None,
    degree: Annotated[str | None, typer.Option(help="Mean numbers of neighbours.")] = None,
    runs: Annotated[str | None, typer.Option(help="Numbers of runs.")] = None,
    params: Annotated[str | None, typer.Option(help="Numbers of parameters.")] = None,
    channel: Annotated[str | None, typer.Option(help="log, ideal.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, float64.")] = None,
    graph: Annotated[str | None, typer.Option(help="regular, barabasi-albert, ring.")] = None,
    rivals: Annotated[str, typer.Option(help="Whom to time beside: any of numpy,vmap,decent-bench.")] = ",".join(
        RIVALS
    ),
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the JSON and the picture.")] = Path(
        "bench-results"
    ),
    readme: Annotated[Path | None, typer.Option(metavar="FILE", help="Write table and picture in here, too.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
) -> None:
    """Time the engine beside NumPy/SciPy, plain jax.vmap and decent-bench; by default in about three minutes."""
    given = {"nodes": nodes, "degree": degree, "runs": runs, "params": params}
    given |= {"channel": channel, "precision": precision, "graph": graph}
    with clean_errors(debug):
        run_benchmark(grid, given, rivals, out, readme, quiet)


if __name__ == "__main__":
    app(prog_name="python -m benchmarks.engine")
