"""The ascent of all statistics networks as one compiled loop for the CPU.

A sample's whole network (some 350 numbers, twice as many moments) stays in the first-level cache for
all its steps, where torch streams every intermediate of the batch through memory. The torch path in
`networks.py` is the reference; the two agree to rounding, which the tests hold them to.

Shapes for one sample: coefficients a, b (H, R); coordinates u, v (K, R) and transposed u_t, v_t (R, K);
bias and head (H,); parts p = a uᵀ + bias and q = b vᵀ, and their slopes, (H, K). Both layouts of the
coordinates are given, so that every inner loop runs along memory.
"""

import logging
from functools import cache

import numpy as np
from numba import njit

from uae_cli.text import one_line

log = logging.getLogger(__name__)

_FIRST, _SECOND, _EPSILON = 0.9, 0.999, 1e-8  # Adam's decay rates and ε: torch's defaults
_SERIES = tuple(1.0 / factorial for factorial in (1, 1, 2, 6, 24, 120, 720, 5040))
_OPTIONS = {"fastmath": {"contract", "reassoc", "nsz", "arcp"}, "error_model": "numpy"}
_INLINED = {"inline": "always", **_OPTIONS}


def _compiled(function):
    """Compiled at its first call, and kept on disk for the next process where a folder can be written."""
    try:
        return njit(nogil=True, cache=True, **_OPTIONS)(function)
    except RuntimeError as error:  # "no locator available": neither beside this file nor in the user's cache
        log.warning("compiled anew in every process, up to half a minute: %s", one_line(error))
        return njit(nogil=True, **_OPTIONS)(function)


def constants(dtype, learning_rate):
    """The kernels' numbers in their own type: a Python float would turn float32 arithmetic into float64."""
    adam = (learning_rate, 1 - _FIRST, _SECOND, 1 - _SECOND, _EPSILON)
    return np.array(_SERIES, dtype), np.array(adam, dtype), np.array([0, 1 / 64, -60], dtype)


@_compiled
def ascend(weights, moments, coordinates, found, orders, all_pairs, learn, steps_before, constants):
    """Adam ascent on every sample's bound, one step per row of `orders`, in place; or only its judgement.

    (One function for both, since a second one would double the time to compile.) It holds no lock while it
    runs, so that threads can share the batch. (Numba's own threads would more than double that time.)

    Args:
        weights: (B, P): a, b (H·R each), bias and head (H each) of every sample, in a row.
        moments: two of (B, P): Adam's first and second.
        coordinates: u and v (B, K, R), those of the clean and of the perturbed samples' vectors; then
            both transposed, (B, R, K).
        found: to write a judgement to: the bounds (B,) and their slopes in q, (B, H, K).
        orders: (steps, K) permutations; read for shuffled marginals only.
        all_pairs: which marginals.
        learn: whether to step.
        steps_before: Adam steps already taken.
        constants: see `constants`.
    """
    (bounds, slopes), (u, v, u_t, v_t) = found, coordinates
    scratch = _scratch(weights[0], slopes[0])
    for i in range(weights.shape[0]):
        row, first, second = weights[i].copy(), moments[0][i].copy(), moments[1][i].copy()
        own, judged = (u[i], v[i], u_t[i], v_t[i]), (bounds[i : i + 1], slopes[i])
        _follow(row, first, second, own, orders, scratch, judged, all_pairs, learn, steps_before, constants)
        weights[i], moments[0][i], moments[1][i] = row, first, second


@njit(**_INLINED)
def _scratch(row, parts):
    """One sample's slopes, p, q and theirs, like `row` and `parts`; its scores, (K, K) or three rows of K."""
    p, q, slope_p, slope_q = (
        np.empty_like(parts),
        np.empty_like(parts),
        np.empty_like(parts),
        np.empty_like(parts),
    )
    size = parts.shape[1]
    return np.empty_like(row), p, q, slope_p, slope_q, np.empty((max(size, 3), size), row.dtype)


@njit(**_INLINED)
def _follow(row, first, second, own, orders, scratch, judged, all_pairs, learn, steps_before, constants):
    """`ascend` for one sample. Views and tuples are made and taken apart before the loop: both take time."""
    (u, v, u_t, v_t), (slope, p, q, slope_p, slope_q, scores) = own, scratch
    series, adam, numbers = constants
    a, b, bias, head = _views(row, p.shape[0], u.shape[1])
    slope_a, slope_b, slope_bias, slope_head = _views(slope, p.shape[0], u.shape[1])
    for step in range(orders.shape[0]):
        _parts(a, u_t, bias, p)
        _parts(b, v_t, numbers[:1], q)
        if all_pairs:
            bound = _all_pairs(p, q, head, scores, slope_p, slope_q, slope_head, series, numbers)
        else:
            order = orders[step]
            bound = _shuffled(p, q, head, order, scores, slope_p, slope_q, slope_head, series, numbers)
        if learn:
            _product(slope_p, u, slope_a, numbers[0])
            _product(slope_q, v, slope_b, numbers[0])
            for h in range(bias.shape[0]):
                slope_bias[h] = slope_p[h].sum()
            _adam_step(row, slope, first, second, steps_before + step + 1, adam)
        else:
            judged[0][0] = bound  # only here, or its logarithm would be taken at every step
            judged[1][:] = slope_q


@njit(**_INLINED)
def _views(row, hidden, rank):
    """The four parts of one sample's row of weights (or of their slopes)."""
    size = hidden * rank
    a, b = row[:size].reshape(hidden, rank), row[size : 2 * size].reshape(hidden, rank)
    return a, b, row[2 * size : 2 * size + hidden], row[2 * size + hidden :]


@njit(**_INLINED)
def _parts(coefficients, coordinates, bias, out):
    """`out` = coefficients · coordinates + bias, (H, R) and (R, K); a single bias serves all rows."""
    for h in range(out.shape[0]):
        start = bias[h if bias.shape[0] > 1 else 0]
        for k in range(out.shape[1]):
            out[h, k] = start
    _add_product(coefficients, coordinates, out)


@njit(**_INLINED)
def _product(left, right, out, zero):
    """`out` = left · right."""
    for h in range(out.shape[0]):
        for r in range(out.shape[1]):
            out[h, r] = zero
    _add_product(left, right, out)


@njit(**_INLINED)
def _add_product(left, right, out):
    """`out` += left · right; blocks of two rows and four terms, or loads and stores take most of the time."""
    inner, size = right.shape
    rows, fours = out.shape[0] - out.shape[0] % 2, inner - inner % 4
    for h in range(0, rows, 2):
        for i in range(0, fours, 4):
            a, b, c, d = left[h, i], left[h, i + 1], left[h, i + 2], left[h, i + 3]
            e, f, g, j = left[h + 1, i], left[h + 1, i + 1], left[h + 1, i + 2], left[h + 1, i + 3]
            for k in range(size):
                w, x, y, z = right[i, k], right[i + 1, k], right[i + 2, k], right[i + 3, k]
                out[h, k] += (a * w + b * x) + (c * y + d * z)
                out[h + 1, k] += (e * w + f * x) + (g * y + j * z)
        for i in range(fours, inner):
            a, e = left[h, i], left[h + 1, i]
            for k in range(size):
                out[h, k] += a * right[i, k]
                out[h + 1, k] += e * right[i, k]
    for h in range(rows, out.shape[0]):
        for i in range(inner):
            a = left[h, i]
            for k in range(size):
                out[h, k] += a * right[i, k]


@njit(**_INLINED)
def _larger(x, y):
    """max(x, y) without max's care for NaN, which costs the vector instruction."""
    return x if x > y else y


@njit(**_INLINED)
def _exp(x, series, numbers):
    """exp(x) for x ≤ 0 as (exp(x/64))⁶⁴ by a power series: unlike the C library's it vectorises."""
    y = _larger(x, numbers[2]) * numbers[1]
    e = series[6] + y * series[7]
    e = series[4] + y * (series[5] + y * e)
    e = series[2] + y * (series[3] + y * e)
    e = series[0] + y * (series[1] + y * e)
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    return e * e


@njit(**_INLINED)
def _all_pairs(p, q, head, scores, slope_p, slope_q, slope_head, series, numbers):
    """mean_k T_kk − log mean_{k≠m} exp T_km and its slopes; T_km = Σ_h head_h relu(p_hk + q_hm)."""
    hidden, size = p.shape
    zero = numbers[0]
    _pair_scores(p, q, head, scores, zero)
    top, total, paired = scores[0, 1], zero, zero
    for k in range(size):
        paired += scores[k, k]
        scores[k, k] = top  # neutral for the maximum; taken out of the sum again
    tops = slope_q[0]  # of every column; a single running maximum would wait for itself at every pair
    for m in range(size):
        tops[m] = top
    for k in range(size):
        for m in range(size):
            tops[m] = _larger(scores[k, m], tops[m])
    for m in range(size):
        top = _larger(tops[m], top)
    flat = scores[:size].reshape(size * size)  # long loops vectorise, those of K may be too short
    for n in range(flat.size):
        flat[n] = _exp(flat[n] - top, series, numbers)
        total += flat[n]
    for k in range(size):
        total -= scores[k, k]
    inverse = -series[0] / total
    joint = series[0] / p.dtype.type(size)
    for n in range(flat.size):
        flat[n] *= inverse
    for k in range(size):
        scores[k, k] = joint
    for h in range(hidden):
        slope_head[h] = _pair_slopes(p[h], q[h], head[h], scores, slope_p[h], slope_q[h], zero)
    return paired * joint - top + np.log(p.dtype.type(size * (size - 1)) / total)


@njit(**_INLINED)
def _pair_scores(p, q, head, scores, zero):
    """T of every pair; blocks of two by two, or loads and stores take most of the time."""
    hidden, size = p.shape
    units, rows = hidden - hidden % 2, size - size % 2
    for k in range(size):
        for m in range(size):
            scores[k, m] = zero
    for k in range(0, rows, 2):
        for h in range(0, units, 2):
            weight, weight_next = head[h], head[h + 1]
            a, b, c, d = p[h, k], p[h + 1, k], p[h, k + 1], p[h + 1, k + 1]
            for m in range(size):
                x, y = q[h, m], q[h + 1, m]
                scores[k, m] += weight * _larger(a + x, zero) + weight_next * _larger(b + y, zero)
                scores[k + 1, m] += weight * _larger(c + x, zero) + weight_next * _larger(d + y, zero)
    for k in range(size):  # what the blocks left out: the last row, and the last unit
        for h in range(units if k < rows else 0, hidden):
            weight, part = head[h], p[h, k]
            for m in range(size):
                scores[k, m] += weight * _larger(part + q[h, m], zero)


@njit(**_INLINED)
def _pair_slopes(p, q, weight, scores, slope_p, slope_q, zero):
    """Slopes of one hidden unit's parts (K,), from those of all scores; returns that of its head."""
    size, slope = p.shape[0], zero
    for m in range(size):
        slope_q[m] = zero
    for k in range(size):
        part, row = p[k], zero
        for m in range(size):
            z = part + q[m]
            active = scores[k, m] if z > zero else zero
            row += active
            slope_q[m] += active
        slope_p[k] = row * weight
        slope += row * part
    for m in range(size):
        slope += slope_q[m] * q[m]
        slope_q[m] *= weight
    return slope


@njit(**_INLINED)
def _shuffled(p, q, head, order, scores, slope_p, slope_q, slope_head, series, numbers):
    """mean_k T_kk − log mean_k exp T_kπ(k) and its slopes; `scores` is scratch of three rows."""
    hidden, size = p.shape
    zero = numbers[0]
    product, reordered, back = scores[0], scores[1], scores[2]
    for k in range(size):
        product[k] = zero
    for h in range(hidden):
        for k in range(size):
            reordered[k] = q[h, order[k]]
        for k in range(size):
            product[k] += head[h] * _larger(p[h, k] + reordered[k], zero)
    top, total, paired = product[0], zero, zero
    for k in range(size):
        top = _larger(product[k], top)
    for k in range(size):
        product[k] = _exp(product[k] - top, series, numbers)
        total += product[k]
    inverse = -series[0] / total
    joint = series[0] / p.dtype.type(size)
    for h in range(hidden):
        weight, slope, slope_joint = head[h], zero, zero
        for k in range(size):
            reordered[k] = q[h, order[k]]
        for k in range(size):
            z, z_product = p[h, k] + q[h, k], p[h, k] + reordered[k]
            active = joint if z > zero else zero
            active_product = product[k] * inverse if z_product > zero else zero
            slope_joint += active * z
            slope += active_product * z_product
            slope_p[h, k] = (active + active_product) * weight
            slope_q[h, k] = active * weight
            back[k] = active_product * weight
        for k in range(size):
            slope_q[h, order[k]] += back[k]
        slope_head[h] = slope + slope_joint
        paired += weight * slope_joint
    return paired - top + np.log(p.dtype.type(size) / total)


@njit(**_INLINED)
def _adam_step(parameter, slope, first, second, done, adam):
    """The step number `done` of Adam, uphill, on a vector."""
    scale_first = parameter.dtype.type(1 / (1 - _FIRST**done))
    scale_second = parameter.dtype.type(1 / (1 - _SECOND**done))
    for n in range(parameter.shape[0]):
        g = slope[n]
        m = first[n] + adam[1] * (g - first[n])
        s = adam[2] * second[n] + adam[3] * g * g
        first[n], second[n] = m, s
        parameter[n] += adam[0] * (m * scale_first) / (np.sqrt(s * scale_second) + adam[4])


@cache
def series_of(dtype):
    """What `mixed_slopes` needs of `constants`; made once, for it is called at every step."""
    series, _, numbers = constants(dtype, 0)
    return series, numbers


@_compiled
def mixed_slopes(
    p, from_g, from_h, head, bias, of_u, of_g, of_h, slope_bias, slope_head, order, series, numbers
):
    """Slopes of the bound with shuffled marginals, of vectors drawn by their law, in place of their parts.

    Here, since numba finds a compiled function again by the file that it stands in, not by what it inlines.

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
        _shuffled(one, other, head[i], order, scores, slope_p, slope_q, slope_head[i], series, numbers)
        for h in range(hidden):
            slope_bias[i, h] = slope_p[h].sum()
            for k in range(size):
                p[i, h, k] = slope_p[h, k] * of_u[i, k]
                from_g[i, h, k] = slope_q[h, k] * of_g[i, k]
                from_h[i, h, k] = slope_q[h, k] * of_h[i, k]
