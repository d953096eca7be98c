"""The samples of one chunk, and what belongs to each of them."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Clean samples on the model's device.

    Attributes:
        x: (B, *shape) in [0, 1].
        index: (B,) int64, each sample's position in its dataset; its randomness comes from it.
        seed: the experiment's seed.
        labels: (B,) int64 classes; None wherever the attack is unsupervised.
        row: (B,) int64, each sample's position among those attacked, where that is another one: groups of
            coupled samples are of neighbours there.
    """

    x: Tensor
    index: Tensor
    seed: int
    labels: Tensor | None = None
    row: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)
