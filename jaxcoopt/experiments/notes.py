"""What is warned of while an experiment runs, told once at its end."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import jax
from rich.console import Console
from rich.text import Text

from jaxcoopt.escaping import terminal


@contextmanager
def noted(precision: str) -> Iterator[list[str]]:
    """In "float32" or "float64": RuntimeWarnings go to the list, each once, when the block is left."""
    notes: list[str] = []
    with jax.enable_x64(precision == "float64"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        yield notes
    notes += dict.fromkeys(str(each.message) for each in caught)


def print_notes(console: Console, notes: Sequence[str]) -> None:
    """A line for each."""
    for note in notes:
        console.print(Text("note: ", style="bold yellow") + terminal(note, lines=True))
