import math
from pathlib import Path

import pytest
import torch
from matplotlib.image import imread
from torch import Tensor

from uae_cli.figures import Course, attack_curves, loss_curves, similarity_curves
from uae_cli.figures.style import DPI, line_of
from uae_cli.results import ARMS

S = torch.tensor([[1.0, 3.0, 2.0, 4.0]])
OK = torch.tensor([[False, True, True, False]])


def samples(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def size(path: Path) -> tuple[int, int]:
    height, width = imread(path).shape[:2]
    return width, height


@pytest.mark.parametrize(
    "curves",
    [
        {"original": [0.5, 0.1, 0.01], "mine_uae": [0.4, 0.2], "my_own_arm": [3e-6, 2e-7, 1e-7]},
        {"original": [0.5]},
        {"original": [0.0, -1.0, 2.0], "replicate": [float("nan"), 1.0]},
        {"original": [0.2, 0.2, 0.2]},
    ],
)
def test_loss_curves(tmp_path: Path, curves: dict[str, list[float]]) -> None:
    path = tmp_path / "loss.png"
    assert loss_curves(path, curves, "loss", "title_of a $ figure")
    assert size(path) == (7.2 * DPI, 4.2 * DPI)


def test_no_loss_no_figure(tmp_path: Path) -> None:
    assert (
        loss_curves(tmp_path / "loss.png", {"original": [], "replicate": [float("nan")]}, "loss", "t")
        is False
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("steps", [1, 40])
def test_attack_curves(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "attack.png"
    assert attack_curves(
        path, samples(steps, 3).sort(1).values, samples(steps), torch.zeros(steps), "title", 16
    )
    assert size(path) == (7.2 * DPI, pytest.approx(6.1 * DPI, abs=1))


def test_attack_curves_want_shares_and_matching_shapes(tmp_path: Path) -> None:
    path = tmp_path / "attack.png"
    with pytest.raises(ValueError, match=r"share of samples in \[0, 1\]"):
        attack_curves(path, samples(4, 3), torch.full((4,), 99.0), samples(4), "title")
    with pytest.raises(ValueError, match="disagree"):
        attack_curves(path, samples(4), samples(4), samples(4), "title")
    with pytest.raises(ValueError, match="disagree"):
        attack_curves(path, samples(4, 3), samples(4), samples(3), "title")
    assert attack_curves(path, samples(0, 3), samples(0), samples(0), "title") is False
    assert not path.exists()


def test_every_arm_looks_different() -> None:
    lines = [line_of(arm) for arm in ARMS]
    assert len({line.colour for line in lines}) == len(ARMS)


@pytest.mark.parametrize(("goal", "expected"), [("maximize", [3.0, 3.0, 3.0]), ("minimize", [3.0, 2.0, 2.0])])
def test_the_best_success_so_far(goal, expected):
    kept = Course(S, OK, goal).kept()[0].tolist()
    assert math.isnan(kept[0])
    assert kept[1:] == expected


def test_it_draws_long_and_short_attacks_and_those_without_success(tmp_path):
    courses = {
        "long": Course(torch.rand(5, 1200), torch.ones(5, 1200, dtype=torch.bool), "maximize"),
        "short": Course(S, OK, "maximize"),
        "of vectors": Course(S, OK, "minimize", 16),
        "never": Course(S, torch.zeros_like(OK), "maximize"),
    }
    assert similarity_curves(tmp_path / "a" / "s.png", courses, "a title")
    assert (tmp_path / "a" / "s.png").stat().st_size > 10_000


def test_nothing_to_draw_leaves_no_file(tmp_path):
    assert not similarity_curves(tmp_path / "s.png", {}, "a title")
    assert not (tmp_path / "s.png").exists()
