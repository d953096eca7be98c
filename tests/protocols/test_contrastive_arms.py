"""SimCLR through the augmentation protocol: CLAE beside the other arms, success on fresh views."""

import re

import pytest
import torch

from uae_cli.arms import ContrastiveAdversary
from uae_cli.attacks import Samples, judge
from uae_cli.errors import ConfigError
from uae_cli.experiment.check import Preparation
from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.experiment.schema import from_config
from uae_cli.models import HookedModel
from uae_cli.training import AdversarialViews

SIMCLR = ("experiment=digits_simclr", "model.trainer.batch_size=12", "evaluation.contrastive.watch_every=2")
LEARNED = {"test_contrastive_loss", "test_accuracy", "knn_accuracy"}


@pytest.fixture
def run(make_stages):
    stages = make_stages(*SIMCLR, "attack.alpha=0.2")
    return {result.arm: result for result in stages.experiment.protocol.run(stages).lines}, stages


def test_every_arm_has_its_metrics_and_clae_another_training_on_the_replicated_samples(run):
    results, stages = run
    assert list(results) == ["original", "replicate", "mine_uae", "clae"]
    for arm in ("original", "replicate", "clae"):
        assert results[arm].draws[0].keys() == LEARNED
    attacked = results["mine_uae"].draws[0]
    in_attack = {"in_attack_value", "in_attack_ln_k"}
    assert attacked.keys() - in_attack == LEARNED | {
        "asr",
        "asr_fresh",
        "perturbation_l2",
        "seconds_per_sample",
    }

    inputs = {arm: result.fitted.stage.read_json("inputs.json") for arm, result in results.items()}
    trainers = {arm: inputs[arm].pop("trainer") for arm in inputs}
    assert "AdversarialViews(epsilon=0.03" in trainers["clae"]
    assert trainers["mine_uae"] == trainers["replicate"] != trainers["clae"]
    assert " at 0x" not in trainers["clae"], "or no later process would find the fit again"
    assert inputs["clae"] == inputs["replicate"]
    assert results["clae"].fitted.stage.key != results["replicate"].fitted.stage.key
    losses = {arm: result.fitted.history.losses for arm, result in results.items()}
    assert len(losses["clae"]) == len(losses["replicate"]) == 3
    assert losses["clae"][0] > 1.5 * losses["replicate"][0], "two losses instead of one"

    model, uae, criterion = (
        results["original"].fitted.model,
        results["mine_uae"].extra.x,
        stages.experiment.criterion,
    )
    x, moved = stages.data.x_train, (uae != stages.data.x_train).flatten(1).any(1)
    for name, judged in (("asr", criterion), ("asr_fresh", criterion.fresh())):
        f = judge(judged, HookedModel(model, None), Samples.first(x, seed=0), uae, chunk_size=24)
        assert attacked[name] == pytest.approx(100 * float(((f <= 0) & moved).double().mean()))
    assert attacked["asr"] > 0


def test_nearest_neighbours_are_looked_for_while_training(run):
    results, _ = run
    looks = ["knn_accuracy" in scalars for scalars in results["replicate"].fitted.history.scalars]
    assert looks == [False, True, False]


def composed(*overrides: str) -> dict:
    register_resolvers()
    settings = ["experiment=digits_simclr", *overrides]
    return compose_jobs(settings, multirun=False, extra_dir=None)[0].config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["model.trainer.batch_size=2000"],
            "model.trainer.batch_size = 2000: there are only 1437 training samples",
        ),
        (["data.train_size=100"], "model.trainer.batch_size = 128: there are only 100 training samples"),
        (["criterion.copies=0"], "criterion.copies = 0: must be at least 2"),
        (
            ["criterion.copies=1"],
            "criterion.copies = 1: must be at least 2: the two views of one copy have no neg",
        ),
        (["criterion.temperature=0"], "criterion.temperature = 0: must be greater than 0"),
        (["model.trainer.objective.temperature=-1"], "temperature = -1"),
        (
            ["evaluation.contrastive.nearest_neighbours.k=2000"],
            "nearest_neighbours.k = 2000: there are only 1437",
        ),
        (["model.trainer.objective.micro_batch=1"], "micro_batch = 1: must be at least 2"),
        (["arm.clae.adversary.epsilon=0"], "arm.clae.adversary.epsilon = 0: must be greater than 0"),
        (["model.trainer.objective.views.scale=[0.5,0.2]"], "first number must not exceed the second"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_input_is_refused_in_one_line_before_any_work(overrides, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as refused:
        Preparation().whole(composed(*overrides))
    assert "\n" not in str(refused.value)


def test_images_smaller_than_the_stem_are_refused(tmp_path):
    import numpy as np

    x, y = np.zeros((40, 7, 7, 3), np.uint8), np.zeros(40, np.int64)
    path = tmp_path / "small.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y, note=np.array(""))
    settings = ["model=simclr", "dataset=npz", f"dataset.path={path}", "model.trainer.batch_size=20"]
    with pytest.raises(
        ConfigError, match="resnet18: needs images of at least 8×8, but the dataset's are 7×7"
    ):
        Preparation().whole(composed(*settings))


def test_clae_is_refused_for_other_models_and_within_chains():
    register_resolvers()
    plain = compose_jobs(["arm=[replicate,clae]"], multirun=False, extra_dir=None)[0].config
    with pytest.raises(ConfigError, match="arm = clae: adversarial views belong to a contrastive loss"):
        from_config(plain)
    chained = composed()
    chained["augmentation"]["chain"] = {"clae": chained["arm"]["clae"]}
    with pytest.raises(ConfigError, match=r"augmentation\.chain\.clae: changes the training"):
        from_config(chained)


def test_clae_adds_its_adversary_to_the_experiments_own_objective():
    experiment = from_config(composed())
    adversary = AdversarialViews(epsilon=0.1, weight=2.0)
    plain = experiment.model.trainer.objective
    changed = ContrastiveAdversary(adversary=adversary).objective(plain)
    assert changed.adversary == adversary
    assert (changed.views, changed.temperature, changed.optimizer) == (
        plain.views,
        plain.temperature,
        plain.optimizer,
    )


def test_smoke_scale_is_small_for_this_criterion_only():
    register_resolvers()
    sizes = [
        compose_jobs([*overrides, "scale=smoke"], multirun=False, extra_dir=None)[0].config["scale"]
        for overrides in (["experiment=cifar10_simclr"], ["experiment=digits_conv_ae"])
    ]
    assert [size["train_size"] for size in sizes] == [8, 64]


def test_the_experiments_views_are_the_criterions_and_the_evaluations():
    experiment = from_config(composed("model.trainer.objective.views.flip=0.25"))
    views = experiment.model.trainer.objective.views
    assert views == experiment.criterion.views == experiment.evaluation["contrastive"].views
    assert views.flip == 0.25
    assert torch.is_tensor(views.draw(0, "s", torch.arange(2), 2).hue)
