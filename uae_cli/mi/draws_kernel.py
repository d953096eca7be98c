"""What lies between the matrix products of vectors drawn by their law, as one compiled pass a sample."""

import numpy as np
from numba import njit

from uae_cli.mi.adam_kernel import OPTIONS, constants, shuffled


def series_of(dtype):
    """What `mixed_slopes` needs of `constants`."""
    series, _, numbers = constants(dtype, 0)
    return series, numbers


@njit(nogil=True, cache=True, **OPTIONS)
def mixed_slopes(
    p, from_g, from_h, head, bias, of_u, of_g, of_h, slope_bias, slope_head, order, series, numbers
):
    """Slopes of the bound with shuffled marginals, of vectors drawn by their law, in place of their parts.

    Args:
        p: (B, H, K), A g of the clean side; becomes the bound's slope in it.
        from_g: (B, H, K), B g of the perturbed side; likewise.
        from_h: (B, H, K), B h; likewise.
        head: (B, H).
        bias: (B, H).
        of_u: (B, K), by how much g enters the clean side's vectors.
        of_g: (B, K), by how much g enters the perturbed side's.
        of_h: (B, K), by how much h does.
        slope_bias: (B, H), to write to.
        slope_head: (B, H), to write to.
        order: (K,) permutation.
        series: see `series_of`.
        numbers: see `series_of`.
    """
    hidden, size = p.shape[1], p.shape[2]
    one, other = np.empty((hidden, size), p.dtype), np.empty((hidden, size), p.dtype)
    slope_p, slope_q = np.empty_like(one), np.empty_like(one)
    scores = np.empty((3, size), p.dtype)
    for i in range(p.shape[0]):
        for h in range(hidden):
            for k in range(size):
                one[h, k] = p[i, h, k] * of_u[i, k] + bias[i, h]
                other[h, k] = from_g[i, h, k] * of_g[i, k] + from_h[i, h, k] * of_h[i, k]
        shuffled(one, other, head[i], order, scores, slope_p, slope_q, slope_head[i], series, numbers)
        for h in range(hidden):
            slope_bias[i, h] = slope_p[h].sum()
            for k in range(size):
                p[i, h, k] = slope_p[h, k] * of_u[i, k]
                from_g[i, h, k] = slope_q[h, k] * of_g[i, k]
                from_h[i, h, k] = slope_q[h, k] * of_h[i, k]
