"""What one iteration of the compiled loop does on a GPU: kernels, copies, branches, loops and bytes."""

from dataclasses import asdict, dataclass

from benchmarks.gpu.hlo import FREE, Instruction, Program, array_bytes


@dataclass
class Counts:
    """Of one turn of a loop's body, with what its inner loops of known length repeat.

    kernels: launched, copies and library calls among them; megabytes: read and written where each kernel reads its
    operands once; gathered: the same where every gathered element is read by itself.
    """

    kernels: int = 0
    copies: int = 0
    conditionals: int = 0
    inner_loops: int = 0
    loops_of_unknown_length: int = 0
    products: int = 0
    scatters: int = 0
    callbacks: int = 0
    float64: int = 0
    megabytes: float = 0.0
    gathered: float = 0.0

    def json(self) -> dict[str, float]:
        """As a dict, bytes to three digits."""
        return {
            name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in asdict(self).items()
        }


def of_iteration(program: Program) -> Counts:
    """The counts of the loop over iterations."""
    return _counted(program, _iteration(program), 1, Counts())


def of_record(program: Program) -> Counts:
    """The counts of one interval between records apart from its iterations."""
    interval = max(program.loops(program.entry), key=lambda loop: array_bytes(loop.shape)).named("body")
    return _counted(program, interval, 1, Counts(), skip=_iteration(program))


def _iteration(program: Program) -> str:
    """The body of the innermost of the loops whose length is not known, the largest where there are several."""
    body, inner = program.entry, program.loops(program.entry)
    while inner:
        body = max(inner, key=lambda each: array_bytes(each.shape)).named("body")
        inner = [each for each in program.loops(body) if each.trips is None]
    return body


def _counted(program: Program, computation: str, times: int, counts: Counts, skip: str = "") -> Counts:
    known = {each.name: each for each in program.computations[computation]}
    for each in program.computations[computation]:
        if each.operation in FREE:
            continue
        if each.operation == "while":
            _loop(program, each, times, counts, skip)
        elif each.operation == "conditional":
            counts.conditionals += times
            counts.kernels += times
            longest = max(each.called, key=lambda name: _launches(program, name))
            _counted(program, longest, times, counts, skip)
        elif each.operation == "call":
            for name in each.called:
                _counted(program, name, times, counts, skip)
        else:
            _kernel(program, each, known, times, counts)
    return counts


def _loop(program: Program, loop: Instruction, times: int, counts: Counts, skip: str) -> None:
    body = loop.named("body")
    if body == skip:
        return
    counts.inner_loops += times
    counts.loops_of_unknown_length += loop.trips is None
    turns = 1 if loop.trips is None else loop.trips
    counts.kernels += times * turns * _launches(program, loop.named("condition"))
    _counted(program, body, times * turns, counts, skip)


def _launches(program: Program, computation: str) -> int:
    return sum(each.operation not in FREE for each in program.computations[computation])


def _kernel(program: Program, each: Instruction, known: dict[str, Instruction], times: int, counts: Counts) -> None:
    fused = [inner for name in each.called for inner in program.inside(name)]
    everything = [each, *fused]
    counts.kernels += times
    counts.copies += times * (each.operation == "copy")
    counts.products += times * any(inner.operation == "dot" or "gemm" in inner.line for inner in everything)
    counts.scatters += times * any(inner.operation == "scatter" for inner in everything)
    counts.callbacks += times * ("callback" in each.line)
    counts.float64 += times * any("f64[" in inner.line for inner in everything)
    moved = _moved(each, fused, known)
    gathered = sum(array_bytes(inner.shape) for inner in fused if inner.operation == "gather")
    counts.megabytes += times * moved / 1e6
    counts.gathered += times * (moved + gathered) / 1e6


def _moved(each: Instruction, fused: list[Instruction], known: dict[str, Instruction]) -> int:
    """Bytes read and written; of an update in place those of the update."""
    root = next((inner for inner in fused if inner.is_root), None)
    if root is not None and root.operation == "dynamic-update-slice":
        update = next((inner for inner in fused if inner.name == root.operands[1]), None)
        return 0 if update is None else 2 * array_bytes(update.shape)
    operands = dict.fromkeys(name for name in each.operands if name in known)
    return array_bytes(each.shape) + sum(array_bytes(known[name].shape) for name in operands)
