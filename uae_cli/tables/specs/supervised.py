"""Tables 2, 3 and 8 and the numbers of §6.6: methods of attack side by side."""

from uae_cli.tables import format as numbers
from uae_cli.tables.reported import full_name
from uae_cli.tables.specs.base import ASR, Measure, TableSpec, as_printed

_K = (50, 100, 200, 300, 400, 500, 600, 700, 800)


def _measure(metric: str, heading: str) -> Measure:
    return Measure(metric=metric, heading=heading, show=numbers.significant, show_paper=as_printed)


MI = _measure("mi", "MI in the attack")
MI_ANEW = _measure("mi_reestimated", "MI anew, held out")
QUALITY = (
    _measure("fid", "FID"),
    _measure("kid", "KID"),
    _measure("fid_own", "FID in the classifier's features"),
    _measure("kid_own", "KID in the classifier's features"),
)

TABLES = (
    TableSpec(
        number="2",
        title="distance of adversarial examples from the training set, by sampling",
        models=("classifier",),
        arms=("random_sampling_k96", "first_conv_k96"),
        measures=(*QUALITY, ASR),
        own=True,  # Figure 4's runs differ in ε alone
        example="table2_cifar10",
        experiment=lambda dataset, _model: f"table2_{full_name(dataset)}",
    ),
    TableSpec(
        number="3",
        title="success of supervised attacks and, over each solver's own successes, mutual information",
        models=("classifier",),
        arms=("penalty", "minmax"),
        measures=(ASR, MI, MI_ANEW),
        example="table3_mnist",
        experiment=lambda dataset, _model: f"table3_{full_name(dataset)}",
    ),
    TableSpec(
        number="8",
        title="mutual information and image quality over the number K of random projections",
        models=("classifier",),
        arms=tuple(f"random_sampling_k{k}" for k in _K),
        measures=(MI, MI_ANEW, *QUALITY, ASR),
        example="table8_cifar10",
        experiment=lambda dataset, _model: f"table8_{full_name(dataset)}",
    ),
    TableSpec(
        number="s6.6",
        title="success of unsupervised attacks with 40 iterations in all, by solver",
        models=("conv_ae",),
        arms=("penalty_2x20", "penalty_4x10", "minmax_40"),
        measures=(ASR, MI, MI_ANEW),
        example="penalty_budget",
        experiment=lambda _dataset, _model: "penalty_budget",
    ),
)
