"""An optimised HLO program as text, read into computations and their instructions."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "f16": 2, "bf16": 2, "s32": 4, "u32": 4, "f32": 4}
BYTES |= {"s64": 8, "u64": 8, "f64": 8}
ARRAY = re.compile(rf"\b({'|'.join(BYTES)})\[([0-9,]*)\]")
CALLED = re.compile(r"(?:calls|body|condition|to_apply|true_computation|false_computation)=%([\w.\-]+)")
LISTED = re.compile(r"(?:branch_computations|called_computations)=\{([^}]*)\}")
TRIPS = re.compile(r'known_trip_count\\?":\{\\?"n\\?":\\?"(\d+)')
# What makes no kernel.
FREE = {"parameter", "get-tuple-element", "tuple", "constant", "bitcast", "after-all", "partition-id", "replica-id"}
FREE |= {"opt-barrier"}


def array_bytes(shape: str) -> int:
    """Of all arrays in an HLO shape."""
    return sum(BYTES[kind] * math.prod(int(n) for n in dims.split(",") if n) for kind, dims in ARRAY.findall(shape))


@dataclass(frozen=True)
class Instruction:
    """One line: its name, shape, operation, the names of its operands, the computations that it calls, the line."""

    name: str
    shape: str
    operation: str
    operands: tuple[str, ...]
    called: tuple[str, ...]
    line: str
    is_root: bool

    def named(self, key: str) -> str:
        """The computation that an attribute such as "body" names."""
        found = re.search(rf"{key}=%([\w.\-]+)", self.line)
        assert found is not None, (key, self.line)
        return found.group(1)

    @property
    def trips(self) -> int | None:
        """How often a loop runs, where the compiler knows."""
        found = TRIPS.search(self.line)
        return int(found.group(1)) if found else None


@dataclass
class Program:
    """Computations by name, and the one that the program begins with."""

    computations: dict[str, list[Instruction]] = field(default_factory=dict)
    entry: str = ""

    def loops(self, computation: str) -> list[Instruction]:
        """The loops that stand in a computation."""
        return [each for each in self.computations[computation] if each.operation == "while"]

    def inside(self, computation: str) -> Iterator[Instruction]:
        """All instructions of a computation and of all that it calls, each once."""
        seen, left = set(), [computation]
        while left:
            name = left.pop()
            if name in seen or name not in self.computations:
                continue
            seen.add(name)
            for each in self.computations[name]:
                yield each
                left.extend(each.called)


def read(text: str) -> Program:
    """The program of an HLO module's text."""
    program, current = Program(), ""
    for line in text.splitlines():
        begins = re.match(r"^(ENTRY )?%([\w.\-]+) \(.*\) -> .*\{\s*$", line)
        if begins:
            current = begins.group(2)
            program.computations[current] = []
            program.entry = current if begins.group(1) else program.entry
        elif line.startswith("}"):
            current = ""
        elif current and (made := _instruction(line)) is not None:
            program.computations[current].append(made)
    return program


def _instruction(line: str) -> Instruction | None:
    found = re.match(r"^\s+(ROOT )?%([\w.\-]+) = (.*)$", line)
    if found is None:
        return None
    root, name, rest = found.groups()
    end = _closing(rest, 0) + 1 if rest.startswith("(") else rest.index(" ")
    shape, rest = rest[:end], rest[end:].strip()
    operation = rest[: rest.index("(")]
    end = _closing(rest, len(operation))
    attributes = rest[end + 1 :]
    called = CALLED.findall(attributes)
    for names in LISTED.findall(attributes):
        called += re.findall(r"%([\w.\-]+)", names)
    operands = re.findall(r"%([\w.\-]+)", rest[len(operation) : end])
    return Instruction(name, shape, operation, tuple(operands), tuple(called), line, bool(root))


def _closing(text: str, opening: int) -> int:
    """Where the bracket closes that opens there."""
    depth = 0
    for at in range(opening, len(text)):
        depth += (text[at] == "(") - (text[at] == ")")
        if depth == 0:
            return at
    return len(text) - 1
