"""Random numbers that depend on (seed, sample index) and nothing else.

A batched attack must give one sample the same result whatever its neighbours are, so a generator that
walks through a batch cannot be used. These numbers are a hash of their coordinates (the SplitMix64
finaliser of Steele, Lea and Flood, 2014): the same on every device, for every batch size and order.
"""

import hashlib

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 2^64 / golden ratio, as a signed 64-bit integer
_MIX_1 = -4658895280553007687
_MIX_2 = -7723592293110705685


def uniform(seed: int, stream: str, index: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """Numbers in [0, 1), one row per sample.

    Args:
        seed: the experiment's seed.
        stream: what the numbers are for; different streams are independent.
        index: (B,) int64, each sample's position in its dataset.
        count: numbers wanted per sample.
        dtype: floating type of the answer; every type gets the same 24-bit numbers.

    Returns:
        (B, count) on the device of `index`.
    """
    key = _mix_(index * _GOLDEN + derive_seed(seed, stream))
    counter = torch.arange(1, count + 1, device=index.device) * _GOLDEN
    bits = _mix_(key[:, None] + counter).bitwise_right_shift_(40)  # arithmetic: 24 signed bits
    return bits.to(dtype).add_(2.0**23).mul_(2.0**-24)


def generator(seed: int, stream: str, device: torch.device) -> torch.Generator:
    """A torch generator for numbers that no sample owns (shuffling, weights, shared projections)."""
    return torch.Generator(device).manual_seed(derive_seed(seed, stream))


def derive_seed(seed: int, stream: str) -> int:
    """A non-negative 63-bit seed that differs for every (seed, stream)."""
    digest = hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _mix_(z: Tensor) -> Tensor:
    """The finaliser, in place: memory traffic is most of its cost."""
    shifted = torch.empty_like(z)
    for bits, factor in ((30, _MIX_1), (27, _MIX_2), (31, 1)):
        # Logical shift; torch's own keeps the sign
        torch.bitwise_right_shift(z, bits, out=shifted).bitwise_and_((1 << (64 - bits)) - 1)
        z.bitwise_xor_(shifted).mul_(factor)
    return z
