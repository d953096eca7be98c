"""Arms made anew in every epoch, their control, and replicate at the cost of an attack, in whole runs."""

import math

import pytest
import torch

from uae_cli.errors import ConfigError
from uae_cli.protocols import augmentation

EPOCHS, N = 3, 24  # of the retrained models; training samples
NAMES = (
    *("replicate", "exact_uae_fresh", "matched_noise_fresh", "gaussian_1e-1_fresh", "rotation_fresh"),
    "replicate_extra",
)
ARMS = f"arm=[{','.join(NAMES)}]"


def settings(*overrides: str) -> tuple[str, ...]:
    """Two iterations; replicate_extra spends the cost of those."""
    own = {"arm.exact_uae_fresh.iterations": "2", "arm.replicate_extra.of": "exact_uae_fresh"}
    chosen = next((o for o in overrides if o.startswith("arm=")), "")
    needed = [f"{key}={value}" for key, value in own.items() if key.split(".")[1] in chosen]
    return ("sampling=random", *needed, *overrides)


@pytest.fixture
def run(make_stages):
    def make(*overrides: str):
        stages = make_stages(*settings(*(overrides or (ARMS,))))
        return {line.arm: line for line in stages.experiment.protocol.run(stages).lines}, stages

    return make


def test_every_arm_is_trained_on_samples_of_its_own_rounds(run):
    results, _ = run()
    assert list(results) == ["original", *NAMES]
    for name in list(results)[2:-1]:
        assert results[name].fitted.history.renewals == EPOCHS - 1, name
        assert results[name].training_passes == results["replicate"].training_passes
    again, second = run()
    assert all(cost["reused"] for cost in second.store.costs)
    assert {name: line.draws[0]["test_mse"] for name, line in again.items()} == {
        name: line.draws[0]["test_mse"] for name, line in results.items()
    }


def test_passes_are_those_of_all_rounds_and_replicate_spends_as_many(run):
    results, _ = run()
    attack = N * 2 * EPOCHS  # two iterations in each of three rounds
    assert results["exact_uae_fresh"].attack_passes == attack
    assert results["matched_noise_fresh"].attack_passes == 0
    extra = results["replicate_extra"]
    assert extra.epochs == EPOCHS + math.ceil(attack / (2 * N))
    assert extra.training_passes == pytest.approx(results["replicate"].training_passes + attack, abs=2 * N)
    assert extra.attack_passes == 0


def test_noise_has_the_size_of_the_uaes_at_every_epoch(run):
    results, stages = run()
    uaes, noise = results["exact_uae_fresh"], results["matched_noise_fresh"].extra.renewal
    sizes, x, model = stages.sizes(uaes.fitted), stages.data.x_train, uaes.fitted.model
    assert sizes.shape == (EPOCHS, N)
    assert not torch.equal(sizes[0], sizes[1])
    for epoch in range(1, EPOCHS):
        made = uaes.extra.renewal.samples(model, epoch)
        expected = (made - x).flatten(1).norm(dim=1)
        assert torch.allclose(sizes[epoch], expected, atol=1e-6)
        got = (noise.samples(model, epoch) - x).flatten(1).norm(dim=1)
        assert torch.allclose(got, expected, rtol=0.02, atol=1e-6)


def test_the_model_in_training_may_be_attacked_every_few_epochs(run):
    current = "arm.exact_uae_fresh.target=current"
    results, stages = run("arm=[replicate,exact_uae_fresh]", current, "arm.exact_uae_fresh.every=2")
    line = results["exact_uae_fresh"]
    assert line.fitted.history.renewals == 1
    assert stages.sizes(line.fitted).shape == (2, N)
    original, _ = run("arm=[replicate,exact_uae_fresh]", "arm.exact_uae_fresh.every=2")
    assert original["exact_uae_fresh"].fitted.stage.key != line.fitted.stage.key


def test_noise_beside_uaes_that_stay_may_be_drawn_anew(run):
    results, _ = run("arm=[replicate,exact_uae,matched_noise_fresh]", "arm.matched_noise_fresh.of=exact_uae")
    renewal = results["matched_noise_fresh"].extra.renewal
    x, uae = results["exact_uae"].samples.x, results["exact_uae"].extra.x
    assert torch.allclose(renewal.sizes, (uae - x).flatten(1).norm(dim=1)[None])


def test_arms_that_stay_are_known_as_before(run):
    """Whatever a fit on samples that stay is known by has nothing to do with samples made anew."""
    results, _ = run("arm=[replicate,gaussian_1e-2]", "augmentation.draws=1")
    plain = results["gaussian_1e-2"].fitted
    assert not {"renewal", "renewal_code"} & plain.stage.read_json("inputs.json").keys()
    fresh, _ = run("arm=[replicate,gaussian_1e-2]", "augmentation.draws=1", "+arm.gaussian_1e-2.fresh=true")
    assert {"renewal", "renewal_code"} <= fresh["gaussian_1e-2"].fitted.stage.read_json("inputs.json").keys()
    assert fresh["gaussian_1e-2"].draws[0]["test_mse"] != results["gaussian_1e-2"].draws[0]["test_mse"]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("arm=[replicate,exact_uae_fresh]", "augmentation.rounds=2"), "augmentation.rounds = 2: arm.exact"),
        (
            ("augmentation=[rotation]", "+augmentation.chain.rotation.fresh=true"),
            "augmentation.chain.rotation: belongs to the training of its own model",
        ),
        (
            ("arm=[replicate,replicate_extra]",),
            "arm.replicate_extra.of = exact_uae_fresh: that arm doesn't run",
        ),
        (
            ("arm=[replicate,gaussian_1e-2,replicate_extra]", "arm.replicate_extra.of=gaussian_1e-2"),
            "arm.replicate_extra.of = gaussian_1e-2: not an arm of adversarial examples",
        ),
        (
            (
                "arm=[replicate,exact_uae_fresh,replicate_extra]",
                "model.trainer.early_stopping={patience:3,min_delta:0}",
            ),
            "arm.replicate_extra: costs as much as another arm, which model.trainer.early_stopping leaves",
        ),
        (
            ("attack=penalty", "arm=[replicate,exact_uae_fresh]", "arm.exact_uae_fresh.iterations=0"),
            "arm.exact_uae_fresh.iterations = 0: must be",
        ),
    ],
)
def test_what_does_not_go_together_is_told(make_stages, overrides, told):
    with pytest.raises(ConfigError, match=told.replace(".", r"\.")):
        make_stages(*settings(*overrides))


def test_what_will_be_done_counts_every_round(make_stages):
    stages = make_stages(*settings(ARMS))
    plan = stages.experiment.protocol.plan(stages.experiment, stages.data)
    assert [planned.samples for planned in plan.attacks] == [N * EPOCHS]
    assert plan.attacks[0].attack.solver.total_iterations == 2
    assert [planned.epochs for planned in plan.fits[1:]] == [EPOCHS] * 5 + [2 * EPOCHS]
    assert augmentation._rounds(stages.experiment.arm["exact_uae_fresh"], 5) == 5
