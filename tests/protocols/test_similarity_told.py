"""What a run says of its similarity's part in the outcome."""

import torch

from uae_cli.arms import ExtraSamples
from uae_cli.protocols.base import what_similarity_did


def extra(x: torch.Tensor, kept: list[float], success: list[bool]) -> ExtraSamples:
    """Two iterations: the first succeeds for the first sample, the second for the others too."""
    f = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0]])
    similarity = torch.tensor([[3.0, 2.0], [3.0, 2.5], [3.0, 2.0]])
    trace = {"f": f, "similarity": similarity, "c": f}
    return ExtraSamples(x, success=torch.tensor(success), similarity=torch.tensor(kept), trace=trace)


CLEAN = torch.zeros(3, 4)
SUCCESS = [True, True, False]


def test_iterates_kept_later_than_the_first_success_are_counted():
    nan = float("nan")
    moved = CLEAN + torch.tensor([[1.0], [1.0], [0.0]])
    assert what_similarity_did(extra(moved, [2.0, 2.5, nan], SUCCESS), CLEAN, None).startswith("for 50 % of")
    assert what_similarity_did(extra(moved, [3.0, 2.5, nan], SUCCESS), CLEAN, None).startswith("for 0 % of")


def test_the_distance_to_samples_made_without_is_told_in_parts_of_delta():
    nan = float("nan")
    moved = CLEAN + torch.tensor([[1.0], [1.0], [0.0]])
    without = extra(0.9 * moved, [0.0, 0.0, nan], SUCCESS)
    told = what_similarity_did(extra(moved, [3.0, 2.5, nan], SUCCESS), CLEAN, without)
    assert told.endswith("made without a similarity, they are 10 % of ‖δ‖ away")


def test_nothing_is_told_where_nothing_succeeded():
    nan = float("nan")
    assert what_similarity_did(extra(CLEAN, [nan] * 3, [False] * 3), CLEAN, None) == ""
