"""What `rows.py` does to every sample's values, compiled: one pass over memory each.

Shapes: x, y, best and `out` are (B, D), all else is (B,), and all is of one type. The tests hold these to
torch's operations.
"""

from numba import njit

_OPTIONS = {"nogil": True, "cache": True, "fastmath": {"contract", "reassoc", "nsz"}, "error_model": "numpy"}


@njit(**_OPTIONS)
def rest_squares(x, y, share, sums):
    """‖y − share·x‖²."""
    for i in range(x.shape[0]):
        part, total = share[i], sums.dtype.type(0)
        for j in range(x.shape[1]):
            rest = y[i, j] - part * x[i, j]
            total += rest * rest
        sums[i] = total


@njit(**_OPTIONS)
def projected(x, y, least, share, along, across):
    """The share ⟨x, y⟩ / ‖x‖², with at least `least` below the line; ‖share·x‖² and ‖y − share·x‖²."""
    for i in range(x.shape[0]):
        zero = share.dtype.type(0)
        product, square, total = zero, zero, zero
        for j in range(x.shape[1]):
            product += x[i, j] * y[i, j]
            square += x[i, j] * x[i, j]
        part = product / max(square, least[0])
        for j in range(x.shape[1]):
            rest = y[i, j] - part * x[i, j]
            total += rest * rest
        share[i], along[i], across[i] = part, product * part, total


@njit(**_OPTIONS)
def combined(x, y, share, of_x, of_rest, out):
    """of_x·x + of_rest·(y − share·x)."""
    for i in range(x.shape[0]):
        part, first, second = share[i], of_x[i], of_rest[i]
        for j in range(x.shape[1]):
            out[i, j] = first * x[i, j] + second * (y[i, j] - part * x[i, j])


@njit(**_OPTIONS)
def keep(x, kept, best):
    """The rows of x that are `kept`, into `best`."""
    for i in range(x.shape[0]):
        if kept[i]:
            for j in range(x.shape[1]):
                best[i, j] = x[i, j]
