"""The command line `jaxcoopt`."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import networkx as nx
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import jaxcoopt
from jaxcoopt.experiments.play import Played, play
from jaxcoopt.experiments.read import DEFAULT, read_settings, shipped, shipped_text, shipped_title
from jaxcoopt.experiments.write import to_toml
from jaxcoopt.report.folder import reserved_folder, write_folder
from jaxcoopt.report.nodes import node_table
from jaxcoopt.report.summary import scores, summarise, versions
from jaxcoopt.report.table import summary_table
from jaxcoopt.run.status import Status

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"jaxcoopt {jaxcoopt.__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Train one model and share one CPU budget over a network of computing centers."""


@app.command()
def examples(name: Annotated[str | None, typer.Argument(help="Print the TOML text of this one.")] = None) -> None:
    """List the experiments that come with the package, or print one to start from."""
    with clean_errors():
        if name is not None:
            typer.echo(shipped_text(name), nl=False)
            return
        table = Table(box=None, pad_edge=False, show_header=False)
        for each in shipped():
            table.add_row(Text(each, style="cyan"), Text(shipped_title(each)))
        Console().print(table)


@app.command()
def run(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A TOML file, or the name of a shipped experiment.")
    ] = DEFAULT,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting, such as channel.rho=0.1. A new kind drops the table's other keys.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep settings, numbers, traces and pictures in this folder.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write into a folder that is not empty.")] = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="No progress bar.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
) -> None:
    """Run one experiment: by default, MNIST and a CPU budget over germany50."""
    start = time.perf_counter()
    console = Console(quiet=quiet)
    with clean_errors(debug):
        settings = read_settings(file, set_ or ())
        with nullcontext() if out is None else reserved_folder(out, overwrite):
            watched = not (quiet or no_progress)
            played = play(settings, progress=watched, stage=_stages(console if watched else None))
            summary = _summary(played)
            console.print()
            summary["seconds"] = time.perf_counter() - start
            if out is not None:
                _write(out, played, summary, start)
        _show(console, played, summary, out)
    if all(int(code) == Status.DIVERGED for code in played.result.status):
        _complain("every run diverged: the numbers mean nothing. Make the steps of [method] smaller.")
        raise typer.Exit(FAILED)


@contextmanager
def clean_errors(debug: bool = False) -> Iterator[None]:
    """What the user can mend is one message and exit code 2, not a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        _complain("interrupted; nothing was written")
        raise typer.Exit(INTERRUPTED) from None
    except (ValueError, TypeError, ImportError, OSError, OverflowError, RuntimeError) as error:
        if debug or isinstance(error, typer.Exit):
            raise
        _complain(str(error))
        raise typer.Exit(BAD_INPUT) from error


def _complain(message: str) -> None:
    console = Console(stderr=True, soft_wrap=True)
    console.print(Text("error: ", style="bold red") + Text(message, style="red"))


def _stages(console: Console | None) -> Any:
    """Shows what is being done before the iterations start."""

    def stage(text: str) -> AbstractContextManager[Any]:
        return nullcontext() if console is None else console.status(text)

    return stage


def _summary(played: Played) -> dict[str, Any]:
    """Everything that goes into summary.json, but for the seconds of the whole command."""
    built = played.built
    summary = {"title": built.settings.title} | summarise(played.result)
    if built.samples is not None and built.problem.training is not None:
        loss, samples = built.problem.training.loss, built.samples
        summary |= scores(played.result, loss, samples.test_features, samples.test_targets)
    return summary | {
        "seconds": None,
        "timings": dict(played.timings),
        "seed": built.settings.seed,
        "precision": built.settings.precision,
        "nodes": built.network.nodes,
        "notes": played.notes,
        "versions": versions(),
    }


def _write(out: Path, played: Played, summary: dict[str, Any], start: float) -> None:
    built = played.built
    counts = None if built.samples is None else built.samples.shards.counts
    nodes = node_table(nx.compose_all(built.graphs), built.problem, played.result, built.demand, counts)
    begin = time.perf_counter()

    def finish() -> dict[str, Any]:
        now = time.perf_counter()
        summary["timings"]["report"], summary["seconds"] = now - begin, now - start
        return summary

    write_folder(out, played.result, nodes, built.settings.title, to_toml(built.settings), finish)


def _show(console: Console, played: Played, summary: dict[str, Any], out: Path | None) -> None:
    console.print(summary_table(summary, played.built.settings.title))
    for note in played.notes:
        console.print(Text("note: ", style="bold yellow") + Text(note))
    if out is None:
        console.print(
            Text("\nNothing was written; add --out DIR to keep the numbers, traces and pictures.", style="dim")
        )
    else:
        console.print(
            Text(f"\nWritten to {out}: {', '.join(sorted(path.name for path in out.iterdir()))}", style="dim")
        )
