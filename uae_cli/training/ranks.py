"""One fit by several processes, each on a card of its own: torchrun's, or the tasks of a Slurm job.

The first (rank 0) does all that `uae run` does, and alone writes; the others wait until it trains, and lend
a hand. Every rank has all samples and draws the same random numbers. It sees its share of each batch, the
values of a loss that compares samples are gathered with their gradients, batch normalisation is
synchronised, and gradients are averaged. Batches, losses and weights are thus those of one process up to
rounding, so a stage's key knows nothing of the ranks.

torch's `DistributedDataParallel` wraps one forward call; the losses here call parts of a model, or call it
twice. So the same all-reduce follows the backward pass instead of overlapping with it.
"""

import atexit
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from uae_cli.errors import ConfigError

_PATIENCE = timedelta(days=7)  # the others wait while rank 0 attacks


_together: list[nn.Module] = []  # what is trained together just now: elsewhere, rank 0 is by itself


def there() -> int:
    """Processes of this job; 1 without torchrun."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def count() -> int:
    """Processes that take part in what is being computed; 1 but in `together`."""
    return there() if _together else 1


@contextmanager
def together(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Let the ranks share the batches of this block, in which all of them train `model`."""
    _together.append(model)
    _synchronise(model, device)
    try:
        yield
    finally:
        _together.pop()


def join(device: torch.device) -> int:
    """Meet the other ranks, if there are any; returns one's own, 0 without others.

    On a machine with several cards each rank takes its own.
    """
    if "SUBMITIT_EXECUTOR" in os.environ and "RANK" not in os.environ:
        from submitit.helpers import TorchDistributedEnvironment

        TorchDistributedEnvironment().export(set_cuda_visible_devices=False)
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return 0
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
        atexit.register(_leave)
    return distributed.get_rank()


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def call(work: Any) -> None:
    """Rank 0: give the others something to do, or None at the end of a job; they get a copy by pickle."""
    if there() > 1:
        distributed.broadcast_object_list([work])


@contextmanager
def leading() -> Iterator[None]:
    """Rank 0: work on a job, after which the others are let go.

    What goes wrong here may leave them within a batch: they are left, and end too.
    """
    try:
        yield
    except BaseException:
        _leave()
        raise
    call(None)


def following() -> Iterator[Any]:
    """The other ranks: what rank 0 calls for, until its job is done."""
    while True:
        called: list[Any] = [None]
        distributed.broadcast_object_list(called)
        if called[0] is None:
            return
        yield called[0]


def check_batch(size: int) -> None:
    """See whether every rank gets a share of a batch.

    Raises:
        ConfigError: the batch is too small.
    """
    if size < 2 * there():
        raise ConfigError(
            f"model.trainer.batch_size = {size}: {there()} processes divide a batch; "
            f"use model.trainer.batch_size={2 * there()} or more, or fewer processes"
        )


def share(batch: Tensor) -> Tensor:
    """This rank's rows of a (B, …) batch; all of them where there are too few to divide."""
    if count() == 1 or len(batch) < count():
        return batch
    return batch.tensor_split(count())[distributed.get_rank()]


def most(rows: int) -> int:
    """Rows of the largest share of so many."""
    return rows if rows < count() else -(-rows // count())


def mean(value: Tensor, own: Tensor) -> Tensor:
    """The mean over the batch of which `value` is the mean over one's own share."""
    if count() == 1:
        return value
    weight = torch.tensor(float(len(own)), dtype=value.dtype, device=value.device)
    return _sum(value * weight) / _sum(weight)


def gathered(z: Tensor, rows: int) -> Tensor:
    """All `rows` rows of the batch of which `z` has one's own, in order."""
    if len(z) == rows:
        return z
    sizes = torch.zeros(count(), dtype=torch.long, device=z.device)
    sizes[distributed.get_rank()] = len(z)
    before = int(_sum(sizes)[: distributed.get_rank()].sum())
    return _sum(F.pad(z, (0, 0, before, rows - before - len(z))))


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Make every rank's gradients their mean, which is that of the batch's loss."""
    if count() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    joint = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(joint)
    parts = (joint / count()).split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def _synchronise(model: nn.Module, device: torch.device) -> None:
    """Let batch normalisation see the whole batch: the layers are replaced, their tensors and names kept."""
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, _BatchNorm):
                setattr(parent, name, _SyncBatchNorm.like(layer))


class _SyncBatchNorm(_BatchNorm):
    """As torch's, which needs a GPU; this is for processes without one."""

    @classmethod
    def like(cls, layer: _BatchNorm) -> "_SyncBatchNorm":
        own = cls(layer.num_features)
        own.__dict__.update(layer.__dict__)
        return own

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(input)
        x = input.movedim(1, -1)
        rows = _sum(torch.tensor(float(x[..., 0].numel()), dtype=x.dtype))
        average = _sum(x.flatten(0, -2).sum(0)) / rows
        centred = x - average
        variance = _sum(centred.square().flatten(0, -2).sum(0)) / rows
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        pace = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        with torch.no_grad():
            self.running_mean.lerp_(average, pace)
            self.running_var.lerp_(variance * rows / (rows - 1), pace)
        out = centred * torch.rsqrt(variance + self.eps)
        return (out if self.weight is None else out * self.weight + self.bias).movedim(-1, 1)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_context: Any, value: Tensor) -> Tensor:
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(_context: Any, slope: Tensor) -> Tensor:
        total = slope.clone()
        distributed.all_reduce(total)
        return total


def _sum(value: Tensor) -> Tensor:
    """Over the ranks. Each has the whole loss: its gradients are too large by a factor of their number."""
    total: Tensor = _Sum.apply(value)
    return total
