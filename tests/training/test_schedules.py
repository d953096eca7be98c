from functools import partial

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from uae_cli.training.schedules import warmup_cosine


def test_the_rise_is_linear_and_the_fall_half_a_cosine():
    factors = [warmup_cosine(step, warmup=4, steps=10) for step in range(12)]
    assert factors[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert factors[7] == pytest.approx(0.5)
    assert factors[10:] == [0.0, 0.0]
    assert factors[4:11] == sorted(factors[4:11], reverse=True)
    assert [f + g for f, g in zip(factors[4:11], factors[10:3:-1], strict=True)] == pytest.approx([1.0] * 7)


def test_without_a_rise_it_starts_at_the_full_rate():
    assert warmup_cosine(0, warmup=0, steps=10) == 1.0


def test_a_rise_over_all_steps_never_falls():
    assert [warmup_cosine(step, warmup=2, steps=2) for step in range(3)] == [0.5, 1.0, 0.0]


def test_it_drives_torchs_scheduler():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    scheduler = LambdaLR(optimizer, partial(warmup_cosine, warmup=2, steps=4))
    rates = []
    for _ in range(4):
        rates += scheduler.get_last_lr()
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1.0, 2.0, 2.0, 1.0])
