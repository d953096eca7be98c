"""What a chain makes, in which order, and which model it attacks: told by inputs that write it down."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from uae_cli.arms import (
    Adversarial,
    Chain,
    ExtraSamples,
    Flip,
    Gaussian,
    Replicate,
    Rotation,
    attacks_of,
    parts_of,
)
from uae_cli.attacks import L2Distance, Similarity

FLIP, ROTATION = Flip(draws=1), Rotation(degrees=10, draws=1)
NOISE, UAE = Gaussian(sigma=0.1, draws=1), Adversarial(similarity=L2Distance(goal="maximize"))


@dataclass
class Spy:
    """Inputs; `level` tells its adversarial examples apart from those of other models."""

    x: Tensor
    seed: int = 0
    level: float = 0.1
    log: list[tuple[str, int]] = field(default_factory=list)
    trained_on: list[Tensor] = field(default_factory=list)
    model: nn.Module = field(default_factory=nn.Identity)

    def attacked(self, label: str, similarity: Similarity, *_: object) -> ExtraSamples:
        self.log.append((f"attack {label}", round(10 * self.level)))
        return ExtraSamples(
            torch.full_like(self.x, self.level),
            success=torch.ones(len(self.x), dtype=torch.bool),
            seconds=2.0,
            target=self.model,
        )

    def extra(self, arm: str) -> ExtraSamples:
        raise AssertionError("a chain needs no other arm")

    def retrained(self, label: str, extra: Tensor) -> "Spy":
        self.log.append((f"retrain {label}", len(extra) // len(self.x)))
        self.trained_on.append(extra)
        level = 0.1 * (1 + len(extra) // len(self.x))
        return Spy(self.x, self.seed, level, self.log, self.trained_on)


@pytest.fixture
def spy(digits) -> Spy:
    return Spy(digits[:20])


def test_transforms_in_a_row_are_done_to_one_sample(spy):
    made = Chain(steps={"flip": FLIP, "rotation": ROTATION, "noise": NOISE}).make("all", spy, 0)
    stream = "flip_rotation_noise"
    by_hand = FLIP.apply(spy.x, 0, f"{stream}/0/0")
    by_hand = NOISE.apply(ROTATION.apply(by_hand, 0, f"{stream}/1/0"), 0, f"{stream}/2/0")
    assert torch.equal(made.x, by_hand)
    assert spy.log == []
    assert made.parts == ()
    assert made.seconds > 0


def test_an_attack_is_of_the_model_retrained_on_all_before_it(spy):
    steps = {"flip": FLIP, "rotation": ROTATION, "uae": UAE}
    made = Chain(steps=steps).make("both", spy, 0)
    conventional = Chain(steps={"flip": FLIP, "rotation": ROTATION}).make("conventional", spy, 0).x
    assert spy.log == [("retrain flip_rotation", 1), ("attack both/uae", 2)]
    assert torch.equal(spy.trained_on[0], conventional), "chains that begin alike make the same samples"
    assert torch.equal(made.x, torch.cat([conventional, torch.full_like(spy.x, 0.2)]))
    assert [len(part.x) for part in made.parts] == [20, 20]
    assert made.success is not None
    assert made.seconds == pytest.approx(2.0, abs=0.5)
    assert made.seconds > 2.0, "the transforms took time too"


def test_the_order_is_the_users(spy):
    Chain(steps={"uae": UAE, "flip": FLIP}).make("other", spy, 0)
    assert spy.log == [("attack other/uae", 1), ("retrain uae", 1)]


def test_what_is_told_is_of_the_last_attack(spy):
    made = Chain(steps={"one": UAE, "two": UAE, "noise": NOISE}).make("c", spy, 0)
    assert made.target is made.parts[1].target
    assert made.parts[0].target is not made.parts[1].target


def test_rounds_pile_up(spy):
    made = Chain(steps={f"round{i}": UAE for i in (1, 2, 3)}).make("m", spy, 0)
    assert spy.log == [
        ("attack m/round1", 1), ("retrain round1", 1), ("attack m/round2", 2),
        ("retrain round1+round2", 2), ("attack m/round3", 3),
    ]  # fmt: skip
    assert made.x[::20, 0, 0, 0].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert len(made.x) == 3 * len(spy.x)


def test_draws_differ(spy):
    chain = Chain(steps={"flip": FLIP, "noise": NOISE}, draws=2)
    assert not torch.equal(chain.make("c", spy, 0).x, chain.make("c", spy, 1).x)


def test_chains_hold_chains(spy):
    inner = Chain(steps={"flip": FLIP, "uae": UAE})
    made = Chain(steps={"inner": inner, "noise": NOISE}).make("c", spy, 0)
    assert len(made.x) == 3 * len(spy.x)
    assert [label for label, _ in spy.log] == ["retrain flip", "attack c/inner/uae", "retrain inner"]


def test_parts_and_attacks_by_name():
    steps = {"flip": FLIP, "noise": NOISE, "uae": UAE, "again": Replicate(), "rotation": ROTATION}
    assert [label for label, _ in parts_of(steps)] == ["flip_noise", "uae", "again", "rotation"]
    found = attacks_of({"plain": UAE, "chain": Chain(steps={"in": Chain(steps=steps)}), "flip": FLIP})
    assert list(found) == ["plain", "chain/in/uae"]


def test_an_empty_chain_is_refused():
    with pytest.raises(ValueError, match="steps"):
        Chain(steps={})
