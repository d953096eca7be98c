"""Tables 5, 9, 11 and 13 and the numbers of §6.15: more ways to augment, and what they cost."""

from uae_cli.results.columns import ARMS
from uae_cli.tables import format as numbers
from uae_cli.tables.reported import full_name
from uae_cli.tables.specs.base import ASR, Measure, TableSpec, as_printed, error_measure
from uae_cli.tables.specs.reconstruction import AUTOENCODERS

_CONVENTIONAL = ("flip_rotation", "gaussian", "flip_rotation_gaussian")
_CHAINS = tuple(name for first in _CONVENTIONAL for name in (first, f"{first}+mine_uae"))
_SIMILARITIES = ("l2_distance", "cosine_distance", "feature_scattering")
_ROUNDS = range(2, 11)
_LATER_ROUNDS = tuple(f"mine_uae_round{last}" for last in _ROUNDS)

TEST_MSE = error_measure("test_mse", "test MSE")
SECONDS = Measure(
    metric="seconds_per_sample",
    heading="s per sample",
    show=numbers.significant,
    show_paper=as_printed,
)

TABLES = (
    TableSpec(
        number="5",
        title="conventional augmentation, and adversarial examples of the model retrained on it",
        models=("conv_ae",),
        arms=("original", "replicate", "replicate_x3", *_CHAINS),
        needs=_CHAINS,
        measures=(TEST_MSE, ASR),
        epochs=True,
        example="table5_svhn",
        experiment=lambda dataset, _model: f"table5_{full_name(dataset)}",
    ),
    TableSpec(
        number="9",
        title="seconds that making one sample took, on the device named",
        models=(*AUTOENCODERS, "concrete_ae", "simclr"),
        arms=(*ARMS[2:], "flip", "rotation", *_SIMILARITIES, *_LATER_ROUNDS, *_CHAINS),
        measures=(SECONDS,),
    ),
    TableSpec(
        number="11",
        title="reconstruction error on the test set, attack success on the training set",
        models=("conv_ae",),
        datasets=("cifar10", "tiny_imagenet", "tiny_imagenet_15k"),
        arms=ARMS,
        needs=("l2_uae",),
        measures=(TEST_MSE, ASR),
        epochs=True,
        example="cifar10_conv_ae",
    ),
    TableSpec(
        number="13",
        title="adversarial examples by what is optimised beside the criterion",
        models=("conv_ae",),
        arms=("original", "replicate", "mine_uae", *_SIMILARITIES),
        needs=_SIMILARITIES,
        measures=(TEST_MSE, ASR),
        epochs=True,
        example="table13_mnist",
        experiment=lambda dataset, _model: f"table13_{full_name(dataset)}",
    ),
    TableSpec(
        number="s6.15",
        title="several rounds of adversarial examples, each of the model retrained on those before",
        models=AUTOENCODERS,
        arms=(
            "original",
            "replicate",
            "mine_uae",
            *(name for last in _ROUNDS for name in (f"replicate_x{last + 1}", f"mine_uae_round{last}")),
        ),
        needs=_LATER_ROUNDS,
        measures=(TEST_MSE, ASR),
        epochs=True,
        example="svhn_sparse_ae_rounds",
        experiment=lambda _dataset, _model: "svhn_sparse_ae_rounds",
    ),
)
