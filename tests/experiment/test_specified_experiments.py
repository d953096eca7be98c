"""Every experiment is the command line that the paper's table or figure asks for, written out in full."""

from copy import deepcopy
from functools import cache
from typing import Any

import pytest

from uae_cli.experiment.compose import compose_jobs, conf_dir, register_resolvers

# What Table 4 retrains on (§4.4), with the two controls
TABLE_4 = "arm=[replicate,mine_uae,l2_uae,criterion_only,gaussian_1e-2,gaussian_1e-3,matched_noise]"
TABLE_4_RANDOM = TABLE_4.replace("l2_uae", "exact_uae,l2_uae")  # whose similarity has a closed form
AUTOENCODER = "criterion=reconstruction attack=minmax protocol=augmentation evaluation=[reconstruction]"
CONV = f"model=conv_ae sampling=conv similarity=mine {TABLE_4} {AUTOENCODER}"
DENSE = f"model=dense_ae sampling=random similarity=mine {TABLE_4_RANDOM} {AUTOENCODER}"
SPARSE = f"model=sparse_ae sampling=random similarity=mine {TABLE_4_RANDOM} {AUTOENCODER}"
ADVERSARIAL = f"model=adversarial_ae sampling=random similarity=mine {TABLE_4_RANDOM} {AUTOENCODER}"
CONCRETE = (
    "model=concrete_ae sampling=random evaluation=[reconstruction,selected_features] "
    "arm=[replicate,mine_uae,exact_uae,criterion_only,matched_noise]"
)
SIMILARITIES = "arm=[replicate,mine_uae,l2_distance,cosine_distance,feature_scattering]"
# T = 20, decay in t^(1/2): program
SIMCLR = (
    "model=simclr sampling=conv criterion=contrastive evaluation=[contrastive] arm=[replicate,mine_uae,clae] "
    "attack.iterations=20 attack.c_decay_exponent=0.5"
)
# SimCLR reconstructs nothing that L2-UAE could maximise the error of
FURTHEST = (
    "{_target_:uae_cli.arms.Adversarial,similarity:{_target_:uae_cli.attacks.L2Distance,goal:maximize}}"
)
# §6.12, and §6.10 for SVHN; patience and least gain: ours
STOPPING = "{_target_:uae_cli.training.EarlyStopping,patience:5,min_delta:0.001}"
SVHN_CONV = (
    f"dataset=svhn {CONV} model.trainer.epochs=100 model.trainer.refit_epochs=100 "
    f"model.trainer.early_stopping={STOPPING}"
)
SVHN_SPARSE = (
    f"dataset=svhn {SPARSE} model.network.latent_dim=256 model.trainer.objective.sparsity.weight=1.0"
)

SUPERVISED = "sampling=conv similarity=mine_maximized criterion=misclassification arm=[]"
MNIST = f"dataset=mnist model=mnist_cnn {SUPERVISED}"
CIFAR10 = f"dataset=cifar10 model=cifar10_cnn {SUPERVISED}"
ATTACK = "protocol=attack evaluation=[classification]"
ROBUSTNESS = "protocol=robustness evaluation=[]"
TABLE_2 = f"{CIFAR10} {ATTACK} attack.iterations=9000 protocol.quality.inception=true"
MNIST_EPSILONS = "protocol.epsilons=[0.05,0.1,0.15,0.2,0.25,0.3,0.35,0.4]"
CIFAR10_EPSILONS = "protocol.epsilons=[0.00784,0.01569,0.02353,0.03137,0.0392,0.04706,0.0549,0.06275]"
SIMCLR_EPSILONS = "protocol.epsilons=[0.00392,0.00784,0.01569,0.02353,0.03137,0.0392,0.04706,0.0549,0.06275]"

# Ours: 8×8 images want other sizes
DIGITS = "dataset=digits attack.alpha=0.05 augmentation.draws=1 attack.delta_start="
DIGITS_DENSE = (
    f"{DIGITS}0.02 model.network.latent_dim=16 model.trainer.batch_size=50 model.trainer.epochs=60 "
    "model.trainer.refit_epochs=90 similarity.sampling.count=100 similarity.sampling.dimension=32"
)
DIGITS_CNN = (
    f"dataset=digits model=mnist_cnn {SUPERVISED} model.network.channels=[16,32] "
    "model.network.hidden=[64,64] model.network.padding=same model.trainer.batch_size=32 "
    "data.attack_size=200 attack.alpha=0.05 attack.delta_start=0.086"
)

EXPERIMENTS = {
    # Tables 4 and 10, Figure 5; Fashion-MNIST: ours
    "mnist_conv_ae": f"dataset=mnist {CONV}",
    "mnist_dense_ae": f"dataset=mnist {DENSE}",
    "mnist_sparse_ae": f"dataset=mnist {SPARSE}",
    "mnist_adversarial_ae": f"dataset=mnist {ADVERSARIAL}",
    "fashion_mnist_conv_ae": f"dataset=fashion_mnist {CONV}",
    "fashion_mnist_dense_ae": f"dataset=fashion_mnist {DENSE}",
    "fashion_mnist_sparse_ae": f"dataset=fashion_mnist {SPARSE}",
    "fashion_mnist_adversarial_ae": f"dataset=fashion_mnist {ADVERSARIAL}",
    "svhn_conv_ae": SVHN_CONV,
    "svhn_dense_ae": f"""
        dataset=svhn {DENSE} model.network.latent_dim=256 model.trainer.epochs=30
        model.trainer.refit_epochs=50""",
    "svhn_sparse_ae": SVHN_SPARSE,
    "svhn_adversarial_ae": f"""
        dataset=svhn {ADVERSARIAL} model.trainer.epochs=200 model.trainer.refit_epochs=200
        model.trainer.keep=best""",
    # Table 11, §6.15, Table 13
    "cifar10_conv_ae": f"{SVHN_CONV} dataset=cifar10",
    "tiny_imagenet_conv_ae": f"{SVHN_CONV} dataset=tiny_imagenet",
    "svhn_sparse_ae_rounds": f"{SVHN_SPARSE} arm=[replicate,mine_uae] augmentation.rounds=2",
    "table13_mnist": f"dataset=mnist {CONV} {SIMILARITIES}",
    "table13_svhn": f"{SVHN_CONV} {SIMILARITIES}",
    # Table 6: K = 50, of Mice Protein's 77 features 10; a batch is a 256th of the training set, 16 at least
    "mnist_concrete_ae": f"dataset=mnist {CONCRETE} model.trainer.batch_size=234",
    "fashion_mnist_concrete_ae": f"dataset=fashion_mnist {CONCRETE} model.trainer.batch_size=234",
    "isolet_concrete_ae": f"dataset=isolet {CONCRETE} model.trainer.batch_size=24",
    "isolet_subset_concrete_ae": f"dataset=isolet_subset {CONCRETE}",
    "coil20_concrete_ae": f"dataset=coil20 {CONCRETE}",
    "mice_protein_concrete_ae": f"dataset=mice_protein {CONCRETE} model.network.selected=10",
    "activity_concrete_ae": f"dataset=activity {CONCRETE}",
    # Tables 7 and 9; a tenth of the epochs and MNIST: ours
    "cifar10_simclr": f"dataset=cifar10 {SIMCLR}",
    "cifar10_simclr_100": f"""
        dataset=cifar10 {SIMCLR} model.trainer.epochs=100 model.trainer.refit_epochs=150
        model.trainer.objective.warmup=0.1 evaluation.contrastive.watch_every=10""",
    "table9_cifar10": f"""
        dataset=cifar10 {SIMCLR} arm=[replicate,mine_uae,gaussian_1e-2,flip,rotation]
        +arm.l2_uae={FURTHEST}
        model.trainer.refit_epochs=1 augmentation.draws=1""",
    "mnist_simclr": f"""
        dataset=mnist {SIMCLR} model=simclr_small criterion.copies=8 model.trainer.epochs=20
        model.trainer.refit_epochs=30 evaluation.contrastive.watch_every=5""",
    # Figures 1 and 4, Tables 2, 3 and 8: 9 searches of 1000 iterations; §6.6: 40 in all
    "table2_cifar10": f"{TABLE_2} method=[random_sampling_k96,first_conv_k96]",
    "figure4_cifar10": f"{TABLE_2} method=[random_sampling_k96,first_conv_k96] attack.epsilon=0.2",
    "table3_mnist": f"{MNIST} {ATTACK} attack.iterations=9000 method=[penalty,minmax]",
    "table3_cifar10": f"{CIFAR10} {ATTACK} attack.iterations=9000 method=[penalty,minmax]",
    "penalty_budget": f"""
        dataset=mnist {CONV} arm=[] protocol=attack method=[penalty_2x20,penalty_4x10,minmax_40]""",
    # Figures 3, 6 to 10; §6.16: 200, 300 iterations on MNIST, 100, 200 on CIFAR-10; §6.17: steps of 0.01
    "figure3_mnist": f"""
        {MNIST} {ROBUSTNESS} {MNIST_EPSILONS} victim=[std] method=[minmax,pgd] attack.iterations=200""",
    "figure6_mnist": f"""
        {MNIST} {ROBUSTNESS} {MNIST_EPSILONS} victim=[madry,trades] method=[minmax,pgd]
        attack.iterations=300 protocol.most_iterations={{madry:{{minmax:200}}}}""",
    "figure8_cifar10": f"""
        {CIFAR10} {ROBUSTNESS} {CIFAR10_EPSILONS} victim=[madry_cifar10,trades_cifar10]
        method=[minmax,pgd] attack.iterations=200 protocol.most_iterations={{madry:{{minmax:100}}}}""",
    "figure9_mnist": f"""
        {MNIST} {ROBUSTNESS} {MNIST_EPSILONS} victim=[madry,madry_uae] method=[pgd] source=conv_ae""",
    "figure9_cifar10": f"""
        {CIFAR10} {ROBUSTNESS} {CIFAR10_EPSILONS} victim=[madry_cifar10,madry_uae_cifar10]
        method=[pgd] source=conv_ae protocol.source.model.trainer.epochs=100
        protocol.source.model.trainer.early_stopping={STOPPING}""",
    "figure10a_mnist": f"""
        {MNIST} {ROBUSTNESS} {MNIST_EPSILONS} victim=[std,std_uae] method=[pgd] source=conv_ae
        method.pgd.solver.step_size=0.01""",
    "figure10b_cifar10": f"""
        {CIFAR10} model=simclr {ROBUSTNESS} {SIMCLR_EPSILONS} victim=[probed,probed_uae]
        method=[pgd] source=contrastive method.pgd.solver.step_size=0.01""",
    # Ours
    "digits_conv_ae": f"""
        {CONV} {DIGITS}0.086 model.trainer.batch_size=50 model.trainer.epochs=30
        model.trainer.refit_epochs=45""",
    "digits_dense_ae": f"{DENSE} {DIGITS_DENSE}",
    "digits_sparse_ae": f"{SPARSE} {DIGITS_DENSE}",
    "digits_adversarial_ae": f"""
        {ADVERSARIAL} {DIGITS_DENSE} model.network.latent_dim=2 model.network.hidden_dim=128""",
    "digits_simclr": f"""
        {DIGITS}0.086 augmentation.draws=3 {SIMCLR} model=simclr_small criterion.copies=8
        evaluation.contrastive.watch_every=10""",
    "digits_classifier_attack": f"""
        {DIGITS_CNN} {ATTACK} method=[penalty,minmax,pgd] attack.iterations=180 attack.epsilon=0.3
        model.trainer.epochs=30""",
    "digits_robustness": f"""
        {DIGITS_CNN} {ROBUSTNESS} method=[minmax,pgd] victim=[std,std_uae,madry_digits]
        source=conv_ae model.trainer.refit_epochs=30 attack.iterations=100
        protocol.epsilons=[0.05,0.1,0.2,0.3] protocol.source.model.trainer.batch_size=50
        protocol.source.model.trainer.epochs=30 protocol.source.solver.alpha=0.05
        protocol.source.solver.delta_start=0.086""",
}
CHAINED = ("table5_svhn", "table8_cifar10")  # whose arms or methods no group holds: below

# Table 5, §6.12
FLIP, ROTATION = {"_target_": "Flip", "draws": 1}, {"_target_": "Rotation", "draws": 1, "degrees": 10}
GAUSSIAN = {"_target_": "Gaussian", "draws": 1, "sigma": 0.01}
CHAINS = {
    "flip_rotation": {"flip": FLIP, "rotation": ROTATION},
    "gaussian": {"gaussian": GAUSSIAN},
    "flip_rotation_gaussian": {"flip": FLIP, "rotation": ROTATION, "gaussian": GAUSSIAN},
}
OWN: dict[str, Any] = {"arm": {}, "method": {}, "name": ""}  # what is looked at by itself


def test_no_experiment_is_forgotten() -> None:
    files = {file.stem for file in (conf_dir() / "experiment").glob("*.yaml")}
    assert files == {*EXPERIMENTS, *CHAINED}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_is_as_specified(name: str) -> None:
    written = composed("~experiment", *last_of_each(EXPERIMENTS[name]))
    assert composed(f"experiment={name}") | {"name": ""} == written | {"name": ""}  # told below


def test_an_experiment_is_called_as_its_file() -> None:
    for name in (*EXPERIMENTS, *CHAINED):
        assert composed(f"experiment={name}")["name"] == name


def test_table_5_chains_conventional_augmentation_and_uaes() -> None:
    config, plain = composed("experiment=table5_svhn"), composed("experiment=svhn_conv_ae", "arm=[replicate]")
    attack = {"mine_uae": {"_target_": "Adversarial", "similarity": plain["similarity"]}}
    wanted = plain["arm"]
    for name, steps in CHAINS.items():
        wanted = wanted | {name: chain(steps), f"{name}+mine_uae": chain(steps | attack)}
    assert config["arm"] == wanted
    for name, arm in list(wanted.items())[1:]:  # steps are made in their order
        assert list(config["arm"][name]["steps"]) == list(arm["steps"])
    assert config | OWN == plain | OWN


def test_table_8_sweeps_the_number_of_vectors() -> None:
    config = composed("experiment=table8_cifar10")
    plain = composed("~experiment", *TABLE_2.split(), "method=random_sampling")
    wanted = {}
    for k in (50, 100, 200, 300, 400, 500, 600, 700, 800):
        wanted[f"random_sampling_k{k}"] = method = deepcopy(plain["method"]["random_sampling"])
        method["similarity"]["sampling"]["count"] = k
    assert config["method"] == wanted
    assert config | OWN == plain | OWN


def chain(steps: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """An arm of these steps."""
    named = {name: step | {"_target_": f"uae_cli.arms.{step['_target_']}"} for name, step in steps.items()}
    return {"_target_": "uae_cli.arms.Chain", "steps": named}


def last_of_each(overrides: str) -> list[str]:
    """The overrides, of those for one setting the last."""
    return list({override.partition("=")[0]: override for override in overrides.split()}.values())


@cache
def composed(*overrides: str) -> dict[str, Any]:
    """The config of one job."""
    register_resolvers()
    [job] = compose_jobs(list(overrides), multirun=False, extra_dir=None)
    return job.config
