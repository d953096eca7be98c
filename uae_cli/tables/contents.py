"""Every table and figure of the paper, one entry each.

A new one is an entry here, its file in `conf/experiment/` and, for a table, the paper's numbers in
`reported.csv`; `uae table`, `uae figure` and `uae paper` need nothing else.
"""

from uae_cli.errors import ConfigError
from uae_cli.results import ARMS
from uae_cli.tables.spec import Figure, Measure, Sweep, Table
from uae_cli.text import nearest

Entry = Table | Figure

_AUTOENCODERS = ("sparse_ae", "dense_ae", "conv_ae", "adversarial_ae")
_CONVENTIONAL = ("flip_rotation", "gaussian", "flip_rotation_gaussian")
_CHAINS = tuple(name for first in _CONVENTIONAL for name in (first, f"{first}+mine_uae"))
_SIMILARITIES = ("l2_distance", "cosine_distance", "feature_scattering")
_ROUNDS = range(2, 11)
_LATER_ROUNDS = tuple(f"mine_uae_round{last}" for last in _ROUNDS)
_PROJECTIONS = (50, 100, 200, 300, 400, 500, 600, 700, 800)

_BOTH = ("original", "replicate")
_TEST_MSE = Measure(metric="test_mse", heading="test MSE", gains=_BOTH)
_TRAIN_MSE = Measure(metric="train_mse", heading="train MSE", gains=_BOTH)
_LOSS = Measure(metric="test_contrastive_loss", heading="contrastive loss", gains=_BOTH)
_ACCURACY = Measure(metric="test_accuracy", heading="accuracy %", gains=_BOTH)
_ASR = Measure(metric="asr", heading="ASR %")
_FRESH_ASR = Measure(metric="asr_fresh", heading="ASR % on new views")
_SECONDS = Measure(metric="seconds_per_sample", heading="s per sample")
_INFORMATION = (
    Measure(metric="mi_held_out", heading="MI", ours_alone=True),
    Measure(metric="mi_ln_k", heading="its ln K", ours_alone=True),
    Measure(metric="in_attack_value", heading="in-attack value"),
    Measure(metric="in_attack_ln_k", heading="its ln K", ours_alone=True),
)
_QUALITY = (
    Measure(metric="fid", heading="FID"),
    Measure(metric="kid", heading="KID"),
    Measure(metric="fid_own", heading="FID in the classifier's features"),
    Measure(metric="kid_own", heading="KID in the classifier's features"),
)

CONTENTS: tuple[Entry, ...] = (
    Table(
        number="2",
        title="distance of adversarial examples from the training set, by sampling",
        short="random against convolutional sampling, supervised",
        models=("classifier",),
        arms=("random_sampling_k96", "first_conv_k96"),
        measures=(*_QUALITY, _ASR),
        experiment="table2_{whole}",
        own=True,  # Figure 4's runs differ in ε alone
        example="table2_cifar10",
    ),
    Table(
        number="3",
        title="success of supervised attacks and, over each solver's own successes, mutual information",
        short="penalty against MinMax, supervised",
        models=("classifier",),
        arms=("penalty", "minmax"),
        measures=(_ASR, *_INFORMATION),
        experiment="table3_{whole}",
        example="table3_mnist",
    ),
    Table(
        number="4",
        title="reconstruction error on the test set, attack success on the training set",
        short="reconstruction error, test",
        models=_AUTOENCODERS,
        arms=ARMS,
        needs=ARMS[2:],
        measures=(_TEST_MSE, _ASR),
        epochs=True,
    ),
    Table(
        number="5",
        title="conventional augmentation, and adversarial examples of the model retrained on it",
        short="with conventional augmentation",
        models=("conv_ae",),
        arms=("original", "replicate", "replicate_x3", *_CHAINS),
        needs=_CHAINS,
        measures=(_TEST_MSE, _ASR),
        epochs=True,
        experiment="table5_{whole}",
        example="table5_svhn",
    ),
    Table(
        number="6",
        title="features chosen by a concrete autoencoder: reconstruction, and a classifier on them",
        short="concrete autoencoder",
        models=("concrete_ae",),
        arms=("original", "replicate", "mine_uae", "exact_uae", "criterion_only", "matched_noise"),
        measures=(_TEST_MSE, _ACCURACY, _ASR, Measure(metric="train_mse", heading="train MSE")),
        epochs=True,
        example="mice_protein_concrete_ae",
    ),
    Table(
        number="7",
        title="contrastive learning: a linear probe on the features (the paper's CLAE: +0.05), contrastive "
        "loss on the test set, attack success",
        short="contrastive learning",
        models=("simclr",),
        arms=("original", "replicate", "mine_uae", "clae"),
        measures=(_ACCURACY, _LOSS, _ASR, _FRESH_ASR),
        excluded=("table9_cifar10",),  # retrained for one epoch: only its seconds count
        example="digits_simclr",
    ),
    Table(
        number="8",
        title="mutual information and image quality over the number K of random projections",
        short="number of compressions K",
        models=("classifier",),
        arms=tuple(f"random_sampling_k{k}" for k in _PROJECTIONS),
        measures=(*_INFORMATION, *_QUALITY, _ASR),
        experiment="table8_{whole}",
        example="table8_cifar10",
    ),
    Table(
        number="9",
        title="seconds that making one sample took, on the device named",
        short="seconds per sample",
        models=(*_AUTOENCODERS, "concrete_ae", "simclr"),
        arms=(*ARMS[2:], "flip", "rotation", *_SIMILARITIES, *_LATER_ROUNDS, *_CHAINS),
        measures=(_SECONDS,),
        exceptions={("cifar10", "simclr"): "table9_cifar10"},
    ),
    Table(
        number="10",
        title="reconstruction error on the training set, epochs of training",
        short="reconstruction error, training",
        models=_AUTOENCODERS,
        arms=ARMS,
        needs=ARMS[2:],
        measures=(_TRAIN_MSE,),
        epochs=True,
    ),
    Table(
        number="11",
        title="reconstruction error on the test set, attack success on the training set",
        short="larger images",
        models=("conv_ae",),
        datasets=("cifar10", "tiny_imagenet", "tiny_imagenet_15k"),
        arms=ARMS,
        needs=("l2_uae",),
        measures=(_TEST_MSE, _ASR),
        epochs=True,
        example="cifar10_conv_ae",
    ),
    Table(
        number="12",
        title="reconstruction error on the test set over step sizes of the attack, MINE-UAE",
        short="sensitivity to α and β",
        models=("conv_ae", "concrete_ae"),
        arms=("mine_uae",),
        measures=(_TEST_MSE,),
        sweep=Sweep(values={"alpha": (0.01, 0.05), "beta": (0.05, 0.1, 0.5)}),
    ),
    Table(
        number="13",
        title="adversarial examples by what is optimised beside the criterion",
        short="other similarities",
        models=("conv_ae",),
        arms=("original", "replicate", "mine_uae", *_SIMILARITIES),
        needs=_SIMILARITIES,
        measures=(_TEST_MSE, _ASR),
        epochs=True,
        experiment="table13_{whole}",
        example="table13_mnist",
    ),
    Table(
        number="s6.6",
        title="success of unsupervised attacks with 40 iterations in all, by solver",
        short="penalty against MinMax, unsupervised",
        models=("conv_ae",),
        arms=("penalty_2x20", "penalty_4x10", "minmax_40"),
        measures=(_ASR, *_INFORMATION),
        experiment="penalty_budget",
        example="penalty_budget",
    ),
    Table(
        number="s6.15",
        title="several rounds of adversarial examples, each of the model retrained on those before",
        short="more rounds of augmentation",
        models=_AUTOENCODERS,
        arms=(
            "original",
            "replicate",
            "mine_uae",
            *(name for last in _ROUNDS for name in (f"replicate_x{last + 1}", f"mine_uae_round{last}")),
        ),
        needs=_LATER_ROUNDS,
        measures=(_TEST_MSE, _ASR),
        epochs=True,
        experiment="svhn_sparse_ae_rounds",
        example="svhn_sparse_ae_rounds",
    ),
    Figure("1", "adversarial images, ε = 1", "samples.png", ("table2_cifar10",)),
    Figure("2", "MI while the attack goes on", "similarity.png", ("table3_mnist", "table3_cifar10")),
    Figure("3", "MinMax and PGD at several ε", "*_grid.png", ("figure3_mnist",)),
    Figure("4", "adversarial images, ε = 0.2", "samples.png", ("figure4_cifar10",)),
    Figure("5", "UAEs of largest ‖δ‖₂", "mine_uae_largest.png", ("svhn_conv_ae",)),
    Figure("6", "attacks on robust models, images", "*_grid.png", ("figure6_mnist",)),
    Figure("7", "attacks on robust models, MNIST", "success.png", ("figure6_mnist",)),
    Figure("8", "attacks on robust models, CIFAR-10", "success.png", ("figure8_cifar10",)),
    Figure("9", "adversarial training with UAEs", "success.png", ("figure9_mnist", "figure9_cifar10")),
    Figure("10", "robustness after augmentation", "success.png", ("figure10a_mnist", "figure10b_cifar10")),
)

TABLES = {entry.number: entry for entry in CONTENTS if isinstance(entry, Table)}


def find_table(number: str) -> Table:
    """The table of this number.

    Raises:
        ConfigError: there is none; the message lists those there are.
    """
    if number not in TABLES:
        raise ConfigError(f"table {number!r} is unknown; the tables known here are {', '.join(TABLES)}")
    return TABLES[number]


def find_figure(number: str) -> Figure:
    """The figure of this number.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    figures = {entry.number: entry for entry in CONTENTS if isinstance(entry, Figure)}
    if number not in figures:
        raise ConfigError(f"figure {number}: the paper has no such figure; {nearest(number, figures)}")
    return figures[number]


def chosen(only: str | None) -> list[Entry]:
    """The entries that `--only 4,6,f5` names; all of them without it.

    Raises:
        ConfigError: there is no such table or figure.
    """
    if only is None:
        return list(CONTENTS)
    known = {entry.key: entry for entry in CONTENTS}
    wanted = [key.strip().lower().removeprefix("t") for key in only.split(",")]
    for key in wanted:
        if key not in known:
            raise ConfigError(f"--only = {key}: no such table or figure; {nearest(key, known)}")
    return [known[key] for key in dict.fromkeys(wanted)]
