"""Arithmetic and memory traffic, counted by hand."""

import torch
from torch.nn import functional as F

from uae_cli.bench.profile import count, peak


def test_operations_are_those_of_products_forward_and_backward():
    a, b = torch.ones(3, 5, requires_grad=True), torch.ones(5, 7)
    assert count(lambda: a @ b).flops == 2 * 3 * 5 * 7
    assert count(lambda: torch.autograd.grad((a @ b).sum(), a)).flops == 4 * 3 * 5 * 7


def test_operations_of_a_convolution():
    x, weight = torch.ones(2, 3, 8, 8), torch.ones(4, 3, 5, 5)
    assert count(lambda: F.conv2d(x, weight, padding=2)).flops == 2 * (2 * 4 * 8 * 8) * (3 * 5 * 5)


def test_bytes_are_those_of_operands_and_views_are_free():
    a, b = torch.ones(10, 4), torch.ones(4, dtype=torch.float64)
    assert count(lambda: a.mul(2)).bytes == 2 * 160
    assert count(lambda: a.mul_(2)).bytes == 2 * 160
    assert count(lambda: a + b).bytes == 160 + 32 + 320
    assert count(lambda: a.mT.reshape(40)[:5]).bytes == 2 * 160
    assert count(lambda: (a[:, :2].detach(), a.view(4, 10), torch.empty(9))).bytes == 0


def test_an_expanded_operand_is_read_once():
    row = torch.ones(1, 4)
    assert count(lambda: row.expand(10, 4).clone()).bytes == 16 + 160


def test_the_peak_is_above_what_small_products_reach():
    found = peak(torch.device("cpu"), torch.float32)
    assert found.flops > 1e9
    assert found.bytes > 1e8
