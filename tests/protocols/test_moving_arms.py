"""Arms that go some ways only, beside their controls, in whole runs."""

import re

import pytest
import torch

from uae_cli.errors import ConfigError
from uae_cli.experiment.check import check_fit

N = 24
PAIRS = {"pca_uae": "pca_noise", "warp_uae": "warp_noise", "adversarial_mixup": "random_mixup"}


@pytest.mark.parametrize("fresh", [False, True])
def test_controls_are_as_large_and_go_the_same_ways(make_stages, fresh):
    names = [name for pair in PAIRS.items() for name in pair]
    anew = [f"arm.{name}.fresh={fresh}" for name in names]
    stages = make_stages("sampling=random", f"arm=[replicate,{','.join(names)}]", *anew)
    check_fit(stages.experiment, stages.data, stages.device)
    lines = {line.arm: line for line in stages.experiment.protocol.run(stages).lines}
    x = stages.data.x_train
    for name, control in PAIRS.items():
        found, noise = (lines[arm].extra for arm in (name, control))
        sizes, made = ((extra.x - x).flatten(1).norm(dim=1) for extra in (found, noise))
        assert bool((made <= 1.001 * sizes + 1e-6).all())
        assert int(torch.isclose(made, sizes, rtol=1e-3, atol=1e-6).sum()) >= 0.75 * N, name
        assert not torch.equal(found.x, noise.x)
        assert (noise.renewal is not None) == fresh
        assert lines[control].attack_passes == 0
    rounds = stages.experiment.model.trainer.refit_epochs if fresh else 1
    assert lines["adversarial_mixup"].attack_passes == N * 4 * 5 * rounds
    plan = stages.experiment.protocol.plan(stages.experiment, stages.data)
    assert [planned.attack.solver.total_iterations for planned in plan.attacks][-1] == 4 * 5


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("arm=[replicate,pca_noise]",), "arm.pca_noise.of = pca_uae: that arm doesn't run"),
        (
            ("arm=[replicate,exact_uae,pca_noise]", "arm.pca_noise.of=exact_uae"),
            "arm.pca_noise.same_moves = true: arm.exact_uae moves every value by itself",
        ),
        (
            ("arm=[replicate,pca_uae]", "arm.pca_uae.moves.components=70"),
            f"arm.pca_uae.moves.components = 70: {N} samples of 64 values",
        ),
        (  # in a chain, too
            (
                "augmentation=[rotation,mine_uae]",
                "arm=[replicate]",
                "+augmentation.chain.mine_uae.moves={_target_:uae_cli.attacks.PrincipalComponents,components:70,span:1}",
            ),
            f"arm.rotation+mine_uae/mine_uae.moves.components = 70: {N} samples of 64 values",
        ),
    ],
)
def test_what_does_not_go_together_is_told(make_stages, overrides, told):
    def check():
        stages = make_stages("sampling=random", *overrides)
        stages.experiment.protocol.check_data(stages.experiment, stages.data)

    with pytest.raises(ConfigError, match=re.escape(told)):
        check()
