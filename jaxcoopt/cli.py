"""The command line `jaxcoopt`."""

import importlib
import io
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Annotated, Any

import jax
import tomli_w
import typer
from rich.console import Console
from rich.table import Table

import jaxcoopt
from jaxcoopt.compilation_cache import compilation_cache
from jaxcoopt.escaping import terminal
from jaxcoopt.experiments.catalogue import OUT_OF_MEMORY, asked_by
from jaxcoopt.experiments.compare_command import LIST, list_comparisons, run_comparison
from jaxcoopt.experiments.compare_tables import COMPARISONS
from jaxcoopt.experiments.limits import file_sizes, tuning_sizes
from jaxcoopt.experiments.notes import print_notes
from jaxcoopt.experiments.run_experiment import Played, needed, play
from jaxcoopt.experiments.run_tuning import play_tuning
from jaxcoopt.experiments.settings import EXPERIMENTS
from jaxcoopt.experiments.sweep_command import run_sweep
from jaxcoopt.experiments.sweep_tables import SWEEPS
from jaxcoopt.experiments.tune_tables import TUNINGS
from jaxcoopt.files import located
from jaxcoopt.report.folder import PICTURE, PICTURES, reserved_folder, write_folder
from jaxcoopt.report.nodes import node_table, together
from jaxcoopt.report.summary import scores, summarise
from jaxcoopt.report.sweep_report import report_store
from jaxcoopt.report.table import summary_table
from jaxcoopt.report.tuning_report import tuning_table, write_tuning
from jaxcoopt.run.shards import LEAST_RUNS, cores, devices_of_cores
from jaxcoopt.run.status import Status
from jaxcoopt.study.processes import joined
from jaxcoopt.theory.auto import why_diverged
from jaxcoopt.versions import versions

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130
STORE = "sweep.zarr"  # of a sweep, unless said otherwise
LONGEST = 4000  # characters of an error
COMPARED = 100  # runs at once in a comparison, or more

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Changes = list[str] | None
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Write into a folder that is not empty.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")]


def _file(rest: str) -> Any:
    return typer.Argument(metavar="FILE", help=f"A TOML file{rest}.")


def _changes(example: str) -> Any:
    return typer.Option("--set", metavar="KEY=VALUE", help=f"Change a setting, such as {example}.")


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a locale without a letter is no reason to stop
            stream.reconfigure(errors="backslashreplace")
    with suppress(OSError):  # without a folder all is compiled each time
        compilation_cache()
    # XLA calls tuning hints missing features of the processor whenever it loads a program (jax issue 38445).
    jax.config.update("jax_logging_level", "CRITICAL")


@app.command()
def examples(name: Annotated[str | None, typer.Argument(help="Print the TOML text of this one.")] = None) -> None:
    """List the experiments, sweeps and tunings that come with the package, or print one to start from."""
    with clean_errors():
        if name is not None:
            holder = next((each for each in (SWEEPS, TUNINGS) if name in each.names()), EXPERIMENTS)
            typer.echo(holder.text(name), nl=False)
            return
        table = Table(box=None, pad_edge=False, show_header=False)
        for catalogue in (EXPERIMENTS, SWEEPS, TUNINGS):
            for each in catalogue.names():
                table.add_row(catalogue.command, terminal(each, "cyan"), terminal(catalogue.title(each)))
        Console().print(table)


@app.command()
def run(
    file: Annotated[str, _file(", or the name of a shipped experiment")] = EXPERIMENTS.default,
    set_: Annotated[Changes, _changes("channel.rho=0.1. A new kind drops the table's other keys")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep settings, numbers, traces and pictures in this folder.")
    ] = None,
    overwrite: Overwrite = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what memory the run needs.")] = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="No progress bar.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run one experiment: by default, MNIST and a CPU budget over germany50."""
    start = time.perf_counter()
    console = Console(quiet=quiet)
    with clean_errors(debug):
        settings = EXPERIMENTS.read(file, set_ or ())
        devices_of_cores(settings.runs if settings.shard == "runs" else LEAST_RUNS * cores())
        if dry_run:
            with asked_by(file):
                console.print(terminal(str(needed(settings))))
            return
        out = None if out is None else located("--out", out)
        sizes = file_sizes(settings) | dict.fromkeys(PICTURES, PICTURE)
        with nullcontext() if out is None else reserved_folder(out, overwrite, sizes):
            watched = not (quiet or no_progress)
            with asked_by(file):
                played = play(settings, progress=watched, stage=_stages(console if watched else None))
            summary = _summary(played)
            console.print()
            summary["seconds"] = time.perf_counter() - start
            try:
                if out is not None:
                    _write(out, played, summary, start)
            finally:  # what was computed is shown, even where it cannot be written
                _show(console, played, summary)
        _say_where(console, out)
    if all(int(code) == Status.DIVERGED for code in played.result.status):
        why = why_diverged(played.built.method, played.built.network)
        _complain(f"every run diverged, so the numbers mean nothing: {why}")
        raise typer.Exit(FAILED)


@app.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
def bench(arguments: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Time the engine beside NumPy/SciPy, jax.vmap and decent-bench: comes with the source, not with the package."""
    source = Path(jaxcoopt.__file__).parents[1]
    with clean_errors():
        if not (source / "benchmarks" / "engine").is_dir():
            raise ImportError(
                "the benchmark is no part of the installed package; get the source of this version, and in its folder "
                "run: pip install -e '.[bench]' && python -m benchmarks.engine"
            )
        sys.path.insert(0, str(source))
        importlib.import_module("benchmarks.engine.__main__").app(arguments or [], prog_name="jaxcoopt bench")


@app.command()
def compare(
    file: Annotated[str, _file(", the name of a shipped comparison, or list")] = COMPARISONS.default,
    set_: Annotated[Changes, _changes("instances=20")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for numbers, tables and pictures.")] = Path(
        "compare-results"
    ),
    overwrite: Overwrite = False,
    readme: Annotated[Path | None, typer.Option(metavar="FILE", help="Write tables and picture in here, too.")] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare methods, tuned alike, on random instances; by default the CPU schedulers, in about ten minutes."""
    with clean_errors(debug):
        if file == LIST:
            list_comparisons()
            return
        devices_of_cores(COMPARED)
        run_comparison(file, set_ or (), out, overwrite, readme, quiet)


@app.command()
def sweep(
    file: Annotated[str, _file(r" with a \[sweep] table, or the name of a shipped sweep")] = SWEEPS.default,
    set_: Annotated[Changes, _changes("sweep.seeds=100")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help=f"Zarr store that the numbers go to; by default {STORE}.", show_default=False),
    ] = None,
    store: Annotated[Path | None, typer.Option("--store", metavar="DIR", hidden=True)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a store that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how large it is and how long it takes.")] = False,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What the process may take, such as 4GiB; else half of the rest.")
    ] = None,
    coordinator: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Of process 0, for several.")] = None,
    processes: Annotated[int | None, typer.Option(help="How many there are.")] = None,
    process_id: Annotated[int | None, typer.Option(help="Which one this is, from 0.")] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run many settings and seeds as one job; killed, it goes on with --resume where it stood."""
    with clean_errors(debug):
        settings, place = SWEEPS.read(file, set_ or ()), located("--out", _one_of(out, store, quiet) or STORE)
        logging.getLogger("jaxcoopt").setLevel(logging.ERROR if quiet else logging.WARNING)
        devices_of_cores(LEAST_RUNS * cores())
        with joined(coordinator, processes, process_id), asked_by(file):
            run_sweep(settings, place, resume=resume, dry_run=dry_run, memory=memory, quiet=quiet)


@app.command()
def tune(
    file: Annotated[str, _file(r" with a \[tune] table, or the name of a shipped tuning")] = TUNINGS.default,
    set_: Annotated[Changes, _changes("tune.starts=8")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for what is found.")] = Path("tuned"),
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Tune settings of a method by gradient descent through its runs; DIR/tuned.toml is for `jaxcoopt run`."""
    with clean_errors(debug):
        settings, console, start = TUNINGS.read(file, set_ or ()), Console(quiet=quiet), time.perf_counter()
        out = located("--out", out)
        with reserved_folder(out, overwrite, tuning_sizes(settings) | {"picture": PICTURE}):
            with asked_by(file):
                played = play_tuning(settings, progress=not quiet, stage=_stages(None if quiet else console))
            try:
                write_tuning(out, played.tuned, played.settings)
            finally:  # what was found is shown, even where it cannot be written
                print_notes(console, played.notes)
                console.print(tuning_table(settings.title, played.tuned, played.before, settings.tune.objective))
        said = terminal(f"{time.perf_counter() - start:.1f} s, in {out}; run it: ")
        console.print(said + terminal(f"jaxcoopt run {out / 'tuned.toml'}", "cyan"))


@app.command()
def report(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="The Zarr store of a sweep, finished or not.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the report; by default STORE's name and -report.")
    ] = None,
    x: Annotated[
        str | None, typer.Option("--x", metavar="NAME", help="Horizontal axis; by default the longest.")
    ] = None,
    y: Annotated[str | None, typer.Option("--y", metavar="NAME", help="Vertical axis; by default the next.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME", help="What to draw; by default the gaps."),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Turn a sweep's store into tables, heat maps, curves and an HTML page that works offline."""
    with clean_errors(debug):
        report_store(store, out, x, y, metric or (), overwrite, quiet)


@contextmanager
def clean_errors(debug: bool = False) -> Iterator[None]:
    """What the user can mend is one message and exit code 2, not a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        _complain("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except (ValueError, TypeError, ImportError, OSError, OverflowError, MemoryError, RuntimeError) as error:
        if debug or isinstance(error, typer.Exit):
            raise
        _complain(str(error) or (OUT_OF_MEMORY if isinstance(error, MemoryError) else type(error).__name__))
        raise typer.Exit(BAD_INPUT) from error


def _one_of(out: Path | None, store: Path | None, quiet: bool) -> Path | None:
    """A sweep's store by its name of today, or the one before."""
    if store is None:
        return out
    if out is not None:
        raise ValueError("--store: an older name of --out, which is given too; leave --store out")
    Console(stderr=True, quiet=quiet).print(terminal("note: ", "bold yellow") + terminal("--store is called --out now"))
    return store


def _complain(message: str) -> None:
    """On standard error, without what a terminal would take for a command."""
    rest = f" ... ({len(message):,} characters)" if len(message) > LONGEST else ""
    console = Console(stderr=True, soft_wrap=True)
    console.print(terminal("error: ", "bold red") + terminal(message[:LONGEST] + rest, "red", lines=True))


def _stages(console: Console | None) -> Any:
    """Shows what is being done before the iterations start."""

    def stage(text: str) -> AbstractContextManager[Any]:
        if console is None:
            return nullcontext()
        if not console.is_terminal:
            typer.echo(text, err=True)
            return nullcontext()
        return console.status(text)

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
    nodes = node_table(together(built.graphs), built.problem, played.result, built.demand, counts)
    begin = time.perf_counter()

    def finish() -> dict[str, Any]:
        now = time.perf_counter()
        summary["timings"]["report"], summary["seconds"] = now - begin, now - start
        return summary

    text = tomli_w.dumps(built.settings.model_dump(exclude_none=True))
    write_folder(out, played.result, nodes, built.settings.title, text, finish)


def _show(console: Console, played: Played, summary: dict[str, Any]) -> None:
    console.print(summary_table(summary, played.built.settings.title))
    print_notes(console, played.notes)


def _say_where(console: Console, out: Path | None) -> None:
    if out is None:
        told = "Nothing was written; add --out DIR to keep the numbers, traces and pictures."
    else:
        told = f"Written to {out}: {', '.join(sorted(path.name for path in out.iterdir()))}"
    console.print()
    console.print(terminal(told, "dim"))
    with suppress(OSError):
        kept = compilation_cache()
        if programs := kept.found + kept.compiled:
            told = f"Compiled programs: {kept.found} of {programs} were in {kept.folder} already."
            console.print(terminal(told, "dim"))
