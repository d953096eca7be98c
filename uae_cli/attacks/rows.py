"""What an attack does to every sample's values beside the model's passes, in as few passes as can be.

A dense autoencoder's forward and backward pass take as long as a dozen or two passes over its samples, which
lie outside the second-level cache by then. So large batches on a CPU go by the kernels of `row_kernels`, one
pass each; all others by torch's operations, with which they agree to rounding.
"""

import torch
from torch import Tensor

from uae_cli.attacks.samples import per_sample

_LEAST = 2**16  # values of a batch; with fewer, what takes time is starting operations, and loading numba


def rest_squares(x: Tensor, y: Tensor, share: Tensor) -> Tensor:
    """‖y − share·x‖² of samples (B, *shape), with each one's share (B,); (B,)."""
    if not _compiled(x, y):
        return _rest(x, y, share).square().flatten(1).sum(1)
    sums = torch.empty_like(share)
    _run("rest_squares", x, y, share, sums)
    return sums


def projected(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Share, ‖share·x‖² and ‖y − share·x‖², (B,) each, of the projections share·x of y on x (B, *shape).

    The last is no difference of squares, which would cancel; the projection on a black x is 0.
    """
    tiny = torch.finfo(x.dtype).tiny
    if not _compiled(x, y):
        product, square = ((x * z).flatten(1).sum(1) for z in (y, x))
        share = product / square.clamp_min_(tiny)
        return share, product * share, rest_squares(x, y, share)
    share, along, across = x.new_empty(3, len(x))
    _run("projected", x, y, x.new_full((1,), tiny), share, along, across)
    return share, along, across


def combined(x: Tensor, y: Tensor, share: Tensor, of_x: Tensor, of_rest: Tensor) -> Tensor:
    """of_x·x + of_rest·(y − share·x) of samples (B, *shape), the weights (B,); laid out in memory as y."""
    if not _compiled(x, y):
        return torch.addcmul(_rest(x, y, share).mul_(per_sample(of_rest, x)), x, per_sample(of_x, x))
    out = torch.empty_like(y)
    _run("combined", x, y, share, of_x, of_rest, out)
    return out


def keep(x: Tensor, kept: Tensor, best: Tensor) -> None:
    """Write the samples x (B, *shape) that are `kept`, (B,) bool, to `best`."""
    if not _compiled(x, best):
        torch.where(per_sample(kept, x), x, best, out=best)
    else:
        _run("keep", x, kept, best)


def _rest(x: Tensor, y: Tensor, share: Tensor) -> Tensor:
    return torch.addcmul(y, x, per_sample(share, x), value=-1)


def _compiled(x: Tensor, y: Tensor) -> bool:
    """Whether the kernels take such batches: with more than one thread torch is about as fast."""
    plain = all(z.device.type == "cpu" and z.dtype == torch.float32 and z.is_contiguous() for z in (x, y))
    return plain and x.numel() >= _LEAST and torch.get_num_threads() == 1


def _run(name: str, *parts: Tensor) -> None:
    """Call the kernel of this name on samples, flattened, and on what belongs to each of them."""
    from uae_cli.attacks import row_kernels  # numba takes half a second to import

    getattr(row_kernels, name)(*(p.detach().flatten(1 if p.ndim > 1 else 0).numpy() for p in parts))
