"""The file of one part of the benchmark: rows that are written as soon as they are known, and taken up again later."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class Sheet:
    """Rows of a part by their names, in OUT/<part>.json. A row that an earlier call has made is not made again.

    A row is "skipped" with the reason where time ran out or something does not fit, and has an "error" where it went
    wrong; both are tried again by the next call.
    """

    def __init__(self, folder: Path, part: str, seconds: float, small: bool) -> None:
        self.path, self.part, self.small = folder / f"{part}.json", part, small
        self.begin, self.seconds = time.monotonic(), seconds
        self.about: Row = {}
        self.rows: list[Row] = []
        if self.path.exists():
            kept = json.loads(self.path.read_text())
            if kept.get("small") == small:
                self.rows = [row for row in kept["rows"] if "skipped" not in row and "error" not in row]

    @property
    def left(self) -> float:
        """Seconds until the part has to end."""
        return self.seconds - (time.monotonic() - self.begin)

    def has(self, name: str) -> bool:
        """Whether the row was made by an earlier call."""
        return any(row["name"] == name for row in self.rows)

    def add(self, row: Row) -> None:
        """Writes it, and prints it in a line."""
        self.rows.append(row)
        self.save(complete=False)
        print(self.part, json.dumps(row, default=float)[:400], flush=True)

    def skip(self, name: str, reason: str) -> None:
        """A row that was left out, in words."""
        self.add({"name": name, "skipped": reason})

    def late(self, name: str, needs: float | None = None) -> None:
        """A row for which no time is left: the next call tries it."""
        reason = f"{max(self.left, 0):.0f} s were left of {self.seconds:.0f}"
        reason += "" if needs is None else f", it needs about {needs:.0f}"
        self.add({"name": name, "skipped": reason, "again": True})

    def make(self, name: str, needs: float, row: Callable[[], Row]) -> None:
        """The row, unless it is there, or fewer seconds are left than it needs; what goes wrong is written down."""
        if self.has(name):
            return
        if self.left < needs:
            self.late(name, needs)
            return
        begin = time.monotonic()
        try:
            self.add({"name": name, **row(), "wall_seconds": round(time.monotonic() - begin, 2)})
        except Exception as error:  # the other rows are worth having
            self.add({"name": name, "error": f"{type(error).__name__}: {error}"[:1000]})

    def save(self, complete: bool) -> None:
        """Whole or not at all: the process may be killed at any time."""
        told = {"part": self.part, "small": self.small, "complete": complete, **self.about, "rows": self.rows}
        before = self.path.with_suffix(".tmp")
        before.write_text(json.dumps(told, indent=1, default=float) + "\n")
        os.replace(before, self.path)
