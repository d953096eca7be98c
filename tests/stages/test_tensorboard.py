import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from uae_cli.arms import ExtraSamples
from uae_cli.stages.tensorboard import similarity_quartiles

X = torch.rand(4, 1, 2, 2)
SIMILARITY = torch.tensor([[0.0, 10.0], [1.0, 11.0], [2.0, 12.0], [3.0, 13.0], [4.0, 14.0]])
EXTRA = ExtraSamples(X, trace={"f": -SIMILARITY, "similarity": SIMILARITY, "c": SIMILARITY / 2})


@pytest.fixture
def written(tensorboard, tmp_path):
    """Close the file and read its events back."""

    def read() -> EventAccumulator:
        tensorboard.close()
        return EventAccumulator(str(tmp_path / "tensorboard")).Reload()

    return read


def scalars(events: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_quartiles_over_samples():
    assert similarity_quartiles(EXTRA).tolist() == [[1, 2, 3], [11, 12, 13]]


def test_losses_are_written_and_kept(tensorboard, written):
    for epoch, loss in ((1, 0.5), (2, 0.25)):
        tensorboard.epoch("replicate", epoch, loss, {"temperature": 10 / epoch})
    assert tensorboard.losses == {"replicate": [0.5, 0.25]}
    assert scalars(written(), "training_loss/replicate") == [(1, 0.5), (2, 0.25)]
    assert scalars(written(), "training_temperature/replicate") == [(1, 10), (2, 5)]


def test_another_try_begins_its_curve_anew(tensorboard):
    for epoch, loss in ((1, 0.5), (2, 0.25), (1, 0.4)):
        tensorboard.epoch("original", epoch, loss, {})
    assert tensorboard.losses == {"original": [0.4]}


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("attack_f", [-2, -12]),
        ("attack_similarity", [2, 12]),
        ("attack_c", [1, 6]),
        ("attack_similarity_q25", [1, 11]),
        ("attack_similarity_median", [2, 12]),
        ("attack_similarity_q75", [3, 13]),
    ],
)
def test_an_attacks_iterations_are_written(tensorboard, written, tag, expected):
    tensorboard.attack("mine_uae", EXTRA)
    assert scalars(written(), f"{tag}/mine_uae") == [(1, expected[0]), (2, expected[1])]


@pytest.mark.parametrize(
    ("shape", "shown"), [((4, 1, 8, 8), 4), ((4, 3, 8, 8), 4), ((4, 2, 8, 8), 0), ((4, 7), 0)]
)
def test_images_are_written_and_other_samples_passed_over(tensorboard, written, shape, shown):
    tensorboard.images("uae", torch.rand(shape))
    assert len(written().Tags()["images"]) == (shown > 0)
