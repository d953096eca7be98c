import math

import pytest
import torch

from uae_cli.figures import Course, similarity_curves

S = torch.tensor([[1.0, 3.0, 2.0, 4.0]])
OK = torch.tensor([[False, True, True, False]])


@pytest.mark.parametrize(("goal", "expected"), [("maximize", [3.0, 3.0, 3.0]), ("minimize", [3.0, 2.0, 2.0])])
def test_the_best_success_so_far(goal, expected):
    kept = Course(S, OK, goal).kept()[0].tolist()
    assert math.isnan(kept[0])
    assert kept[1:] == expected


def test_it_draws_long_and_short_attacks_and_those_without_success(tmp_path):
    courses = {
        "long": Course(torch.rand(5, 1200), torch.ones(5, 1200, dtype=torch.bool), "maximize"),
        "short": Course(S, OK, "maximize"),
        "never": Course(S, torch.zeros_like(OK), "maximize"),
    }
    assert similarity_curves(tmp_path / "a" / "s.png", courses, "a title")
    assert (tmp_path / "a" / "s.png").stat().st_size > 10_000


def test_nothing_to_draw_leaves_no_file(tmp_path):
    assert not similarity_curves(tmp_path / "s.png", {}, "a title")
    assert not (tmp_path / "s.png").exists()
