"""Which settings the benchmark measures: sized for well under two minutes on two CPU cores."""

from collections.abc import Iterator
from typing import Any

Setting = tuple[str, dict[str, Any]]

_FEW, _SHORT = 24, 10  # samples and iterations of the rows beside the main one
_CHUNKED = 128  # samples of the rows of chunk sizes, or one chunk where that is more
_CHUNKS = (8, 32, 128, 1024, 4096, 8192)
LARGEST_CHUNK = _CHUNKS[-1]
STEPS, MARGINALS = (1, 5, 20), ("all_pairs", "shuffle")


def main_setting(samples: int, chunk: int) -> Setting:
    """The row that the goals are about."""
    return "main", {"samples": samples, "chunk_size": chunk, "rates": True}


def side_settings(samples: int, chunk: int, iterations: int, *, fitting: int) -> Iterator[Setting]:
    """Linearity in samples, iterations and MINE steps; chunk sizes; one sample at a time.

    Args:
        samples: of the main row.
        chunk: the one chosen.
        iterations: the experiment's.
        fitting: the largest chunk that the memory holds.
    """
    few, short = min(samples, _FEW), min(iterations, _SHORT)
    for size in (1, 2, 4):
        count = max(1, min(samples, size * _FEW))
        yield f"samples x{size}", {"samples": count, "chunk_size": min(chunk, _FEW), "iterations": short}
    for part in (4, 2, 1):
        yield (
            f"iterations /{part}",
            {
                "samples": few,
                "chunk_size": chunk,
                "iterations": max(1, iterations // part),
            },
        )
    for marginals in MARGINALS:
        for steps in STEPS:
            yield (
                f"steps {steps}",
                {
                    "samples": few,
                    "chunk_size": chunk,
                    "mine_steps": steps,
                    "marginals": marginals,
                },
            )
    for size in _CHUNKS:
        if size <= min(fitting, max(_CHUNKED, 2 * chunk)) and size <= max(_CHUNKED, samples):
            count = min(samples, max(_CHUNKED, size))
            yield f"chunk {size}", {"samples": count, "chunk_size": size, "iterations": max(1, short // 2)}
    yield "one at a time", {"samples": min(samples, 4), "chunk_size": 1}


def projection_setting(samples: int, chunk: int) -> Setting:
    """Random sampling beside the projections alone."""
    count = min(samples, 128)
    options = {"samples": count, "chunk_size": min(chunk, count), "iterations": 3}
    return "projections", options | {"projections": True}
