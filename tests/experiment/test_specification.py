"""Every scientific value of `conf/` is the paper's, or its authors' program's, or told here to be our own.

A section is written as the objects it makes: `Class(setting=value, …)`, settings in alphabetical order,
without those that are null. "Program" is the authors' published program, which settles
what the text leaves open.
"""

from functools import cache
from typing import Any

import pytest

from uae_cli.experiment.compose import compose_jobs, register_resolvers

# Per-sample MINE (§3.1, §6.2): the first convolution's maps, or K = 500 vectors of d' = 128 values; H = 10.
# Redrawn and standardised: program. Marginals and learning rate: ours (the program's is for a wide network)
CONV = "FeatureMaps(marginals=all_pairs)"
RANDOM = """RandomProjections(count=500, dimension=128, marginals=shuffle, matrices=False, redraw=True,
    standardize=True)"""
MINE = "Mine(goal=minimize, hidden=10, learning_rate=0.001, require_positive=True, sampling={}, steps=20)"
MINE_UP = "Mine(goal=maximize, hidden=10, learning_rate=0.001, require_positive=False, sampling={}, steps=1)"
UNSUPERVISED, SUPERVISED = MINE.format(CONV), MINE_UP.format(CONV)
BOUND_SAID = MINE_UP.replace("Mine(goal", "Mine(bound=donsker_varadhan, goal")  # as the methods say it
RANDOM_96 = BOUND_SAID.format(RANDOM.replace("500", "96"))

# Algorithm 1, §4.1: α = 0.01, β = 0.1, T = 40, ε = 1, c's decay in t^(1/4). Program: c₀ = 1e-3, δ₀ uniform
MINMAX = """MinMax(alpha=0.01, beta=0.1, c_decay_exponent=0.25, c_start=0.001, delta_start=glorot,
    epsilon=1.0, iterations=40, step=gradient)"""
MINMAX_SIMCLR = MINMAX.replace("0.25", "0.5").replace("40", "20")  # program
# §6.5, after Carlini and Wagner (2017): c₀ = 1e-3
PENALTY = """Penalty(alpha=0.01, c_start=0.001, delta_start=glorot, epsilon=1.0, iterations={}, searches={},
    step=gradient)"""
# §6.16: 100 iterations of 2.5·ε/100, random start
PGD = "Pgd(epsilon={}, iterations=100, keep=last, loss=cross_entropy, random_start=True)"

# §4.6, SimCLR's on CIFAR-10: temperature 0.5, crop, flip, colour 0.5, no blur. 50 copies of a sample: program
VIEWS = """Views(flip=0.5, grey=0.2, jitter=0.8, ratio=[0.75, 1.3333333333333333], scale=[0.08, 1.0],
    strength=0.5)"""
CONTRASTIVE = f"""
    Contrastive(copies=50, draw=0, kappa=0.0, same_views=True, temperature=0.5, views={VIEWS})"""
PROBE = "LinearProbe(batch_size=512, epochs=100, lr=0.1, momentum=0.9)"
LARS = "LARS(lr=1.0, momentum=0.9, trust_coefficient=0.001, weight_decay=0.0001)"
# §6.14; groups, regularisation and iterations of the transport plan: ours, after Zhang and Wang (2019)
SCATTERING = "FeatureScattering(goal=maximize, group=100, iterations=50, layer=encoder, regularization=0.01)"

# §4.1, Carlini and Wagner (2017)
SGD = "SGD(lr=0.01, momentum=0.9, nesterov=True)"
MNIST_NET = "CarliniWagnerNet(channels=[32, 64], dropout=0.5, hidden=[200, 200], padding=valid)"
CIFAR10_NET = "CarliniWagnerNet(channels=[64, 128], dropout=0.5, hidden=[256, 256], padding=valid)"
CLASSIFIER = """(name={}, network={}, trainer=Trainer(batch_size=128, epochs=50, keep=last, objective={},
    refit_epochs=50))"""

# Madry et al. (2018) and the program of TRADES (Zhang et al. 2019); ε = 8/255, steps of 2/255. Digits': ours
ON_MNIST = "Adversary(epsilon=0.3, iterations=40, step_size=0.01)"
ON_CIFAR10 = "Adversary(epsilon=0.03137254901960784, iterations=7, step_size=0.00784313725490196)"
ON_CIFAR10_TRADES = "Adversary(epsilon=0.03137254901960784, iterations=10, step_size=0.007)"
ON_DIGITS = "Adversary(epsilon=0.1, iterations=10, step_size=0.02)"
STANDARD = f"ClassificationObjective(optimizer={SGD})"
MADRY = f"MadryObjective(adversary={{}}, optimizer={SGD})"
TRADES = f"TradesObjective(adversary={{}}, beta={{}}, optimizer={SGD})"

# §4.4, Table 10 (epochs before and after, here and below); optimisers, batches and losses: program, ε = 1e-7
# for Adadelta, Adam and RMSprop, whose rho (here alpha) is 0.9: Keras
CONV_AE = """(name=conv_ae, network=ConvAutoencoder(channels=[16, 8], kernel=5),
    trainer=Trainer(batch_size=100, epochs=20, keep=last, objective=ReconstructionObjective(loss=bce,
    optimizer=Adadelta(eps=1e-07, lr=1.0, rho=0.95)), refit_epochs=30))"""

# What is chosen, its group first, and what it must be
SECTIONS = {
    "attack=minmax": MINMAX,
    "attack=penalty": PENALTY.format(9000, 9),  # §4.2: 9 searches of 1000 iterations
    "attack=pgd": PGD.format(0.3),
    # §3.2: unsupervised examples are least similar, supervised ones most; I > 0 and steps: program
    "similarity=mine": UNSUPERVISED,
    "similarity=mine_maximized": SUPERVISED,
    "similarity=mine sampling=random": MINE.format(RANDOM),
    "similarity=mine_maximized sampling=random": MINE_UP.format(RANDOM),
    # §6.14, Table 13
    "similarity=l2 sampling=none": "L2Distance(goal=maximize)",
    "similarity=cosine sampling=none": "CosineDistance(goal=maximize)",
    "similarity=feature_scattering sampling=none": SCATTERING,
    "similarity=nothing sampling=none": "Nothing()",
    # §3.2, κ = 0; §4.6 with 50 copies of a sample (program)
    "criterion=reconstruction": "Reconstruction(kappa=0.0)",
    "criterion=misclassification": "Misclassification(kappa=0.0)",
    "criterion=contrastive model=simclr": CONTRASTIVE,
    "model=conv_ae": CONV_AE,
    "model=dense_ae": """
        (name=dense_ae, network=DenseAutoencoder(latent_dim=128), trainer=Trainer(batch_size=100,
        epochs=20, keep=last, objective=ReconstructionObjective(loss=mse,
        optimizer=RMSprop(alpha=0.9, eps=1e-07, lr=0.0025)), refit_epochs=30))""",
    "model=sparse_ae": """
        (name=sparse_ae, network=DenseAutoencoder(latent_dim=128), trainer=Trainer(batch_size=100,
        epochs=50, keep=last, objective=ReconstructionObjective(loss=mse, optimizer=Adam(eps=1e-07, lr=0.001),
        sparsity=Sparsity(target=0.1, weight=3.0)), refit_epochs=80))""",
    "model=adversarial_ae": """
        (name=adversarial_ae, network=AdversarialAutoencoder(hidden_dim=1000, latent_dim=2),
        trainer=Trainer(batch_size=100, epochs=50, keep=last,
        objective=AdversarialObjective(optimizer=Adam(eps=1e-07, lr=0.0001)), refit_epochs=80))""",
    # §4.5, K = 50; Balın et al. (2019): temperature 10 to 0.1, 800 epochs. Convergence at 0.99, 3 tries: ours
    "model=concrete_ae": """
        (name=concrete_ae, network=ConcreteAutoencoder(dropout=0.1, hidden=[320, 320],
        output=linear, selected=50), trainer=Trainer(batch_size=16, epochs=800, keep=last,
        objective=ConcreteObjective(end_temperature=0.1, optimizer=Adam(eps=1e-07, fused=True,
        lr=0.001), start_temperature=10.0, target=0.99), refit_epochs=800, tries=3))""",
    "model=mnist_cnn": CLASSIFIER.format("classifier", MNIST_NET, STANDARD),
    "model=cifar10_cnn": CLASSIFIER.format("classifier", CIFAR10_NET, STANDARD),
    "model=mnist_cnn_madry": CLASSIFIER.format("classifier_madry", MNIST_NET, MADRY.format(ON_MNIST)),
    "model=cifar10_cnn_madry": CLASSIFIER.format("classifier_madry", CIFAR10_NET, MADRY.format(ON_CIFAR10)),
    "model=mnist_cnn_trades": CLASSIFIER.format("classifier_trades", MNIST_NET, TRADES.format(ON_MNIST, 1.0)),
    "model=cifar10_cnn_trades": CLASSIFIER.format(
        "classifier_trades", CIFAR10_NET, TRADES.format(ON_CIFAR10_TRADES, 6.0)
    ),
    # §4.6; batch, epochs (1000, then 1500), rate, decay: program. Warm-up of 10 epochs: SimCLR's
    "model=simclr": f"""
        (name=simclr, network=SimCLR(encoder=resnet18, hidden_dim=512, projection_dim=128),
        trainer=Trainer(batch_size=512, epochs=1000, keep=last,
        objective=ContrastiveObjective(optimizer={LARS}, precision=float32, temperature=0.5,
        views={VIEWS}, warmup=0.01), refit_epochs=1500))""",
    # Ours
    "model=simclr_small": f"""
        (name=simclr, network=SimCLR(encoder=small_conv, hidden_dim=128, projection_dim=64),
        trainer=Trainer(batch_size=128, epochs=40, keep=last,
        objective=ContrastiveObjective(optimizer={LARS}, precision=float32, temperature=0.5,
        views=Views(flip=0.0, grey=0.0, jitter=0.8, ratio=[0.75, 1.3333333333333333], scale=[0.3,
        1.0], strength=0.5), warmup=0.1), refit_epochs=60))""",
    # Trees on the chosen features: Balın et al. (2019). A linear head for 100 epochs: program
    "evaluation=[reconstruction,classification,selected_features]": """
        (classification=ClassificationEvaluation(), reconstruction=ReconstructionEvaluation(),
        selected_features=SelectedFeatures(trees=50))""",
    "evaluation=contrastive model=simclr": f"""
        (contrastive=ContrastiveEvaluation(batch_size=512, nearest_neighbours=NearestNeighbours(k=20),
        probe={PROBE}, temperature=0.5, views={VIEWS}, watch_every=50))""",
    # §4.4: L2-UAE maximises the reconstruction error. Three draws of every noise: ours
    "arm=[mine_uae,l2_uae,replicate,matched_noise]": f"""
        (l2_uae=Adversarial(similarity=ReconstructionError(goal=maximize)),
        matched_noise=MatchedNoise(draws=1, of=mine_uae),
        mine_uae=Adversarial(similarity={UNSUPERVISED}), replicate=Replicate())""",
    # Ours: the closed form (of one coordinate), and no similarity at all
    "arm=[exact_uae,criterion_only]": """
        (criterion_only=Adversarial(similarity=Nothing()),
        exact_uae=Adversarial(similarity=GaussianInformation(dimension=1.0, floor=1e-06, goal=minimize)))""",
    "arm=[gaussian_1e-2,gaussian_1e-3,flip,rotation,clae]": """
        (clae=ContrastiveAdversary(adversary=AdversarialViews(epsilon=0.03, weight=1.0)),
        flip=Flip(draws=3), gaussian_1e-2=Gaussian(draws=3, sigma=0.01),
        gaussian_1e-3=Gaussian(draws=3, sigma=0.001), rotation=Rotation(degrees=10, draws=3))""",
    "arm=[l2_distance,cosine_distance,feature_scattering]": f"""
        (cosine_distance=Adversarial(similarity=CosineDistance(goal=maximize)),
        feature_scattering=Adversarial(similarity={SCATTERING}),
        l2_distance=Adversarial(similarity=L2Distance(goal=maximize)))""",
    # §6.12: 10°, both flips, σ = 0.01
    "augmentation=[flip,gaussian,rotation,mine_uae]": f"""
        (chain=(flip=Flip(draws=1), gaussian=Gaussian(draws=1, sigma=0.01),
        mine_uae=Adversarial(similarity={UNSUPERVISED}), rotation=Rotation(degrees=10, draws=1)),
        draws=3, rounds=1)""",
    # Solver and similarity of every method are the experiment's; K = 96, 10 runs: Table 2; 2×20, 4×10: §6.6
    "method=[minmax,minmax_40,pgd] similarity=mine_maximized": f"""
        (minmax=Method(similarity={SUPERVISED}, solver={MINMAX}),
        minmax_40=Method(similarity={SUPERVISED}, solver={MINMAX}), pgd=Method(similarity=Nothing(),
        solver={PGD.format(1.0)}))""",
    "method=[penalty,penalty_2x20,penalty_4x10]": f"""
        (penalty=Method(similarity={UNSUPERVISED}, solver={PENALTY.format(40, 9)}),
        penalty_2x20=Method(similarity={UNSUPERVISED}, solver={PENALTY.format(40, 2)}),
        penalty_4x10=Method(similarity={UNSUPERVISED}, solver={PENALTY.format(40, 4)}))""",
    "method=[random_sampling,random_sampling_k96,first_conv_k96] similarity=mine_maximized": f"""
        (first_conv_k96=Method(similarity={BOUND_SAID.format(CONV)}, solver={MINMAX}),
        random_sampling=Method(draws=1, similarity={BOUND_SAID.format(RANDOM)}, solver={MINMAX}),
        random_sampling_k96=Method(draws=10, similarity={RANDOM_96}, solver={MINMAX}))""",
    # §6.16, §6.17
    "victim=[std,std_uae,madry,madry_uae,trades] model=mnist_cnn protocol=robustness": f"""
        (madry=Trained(augmented=False, objective={MADRY.format(ON_MNIST)}),
        madry_uae=Trained(augmented=True, objective={MADRY.format(ON_MNIST)}),
        std=Trained(augmented=False), std_uae=Trained(augmented=True),
        trades=Trained(augmented=False, objective={TRADES.format(ON_MNIST, 1.0)}))""",
    "victim=[madry_cifar10,madry_uae_cifar10,trades_cifar10] model=cifar10_cnn protocol=robustness": f"""
        (madry=Trained(augmented=False, objective={MADRY.format(ON_CIFAR10)}),
        madry_uae=Trained(augmented=True, objective={MADRY.format(ON_CIFAR10)}),
        trades=Trained(augmented=False, objective={TRADES.format(ON_CIFAR10_TRADES, 6.0)}))""",
    "victim=[madry_digits,probed,probed_uae] model=mnist_cnn protocol=robustness": f"""
        (madry=Trained(augmented=False, objective={MADRY.format(ON_DIGITS)}),
        probed=Probed(augmented=False, probe={PROBE}), probed_uae=Probed(augmented=True,
        probe={PROBE}))""",
    "source=conv_ae protocol=robustness": f"""
        Source(criterion=Reconstruction(kappa=0.0), model={CONV_AE}, similarity={UNSUPERVISED},
        solver={MINMAX})""",
    "source=contrastive model=simclr protocol=robustness": f"""
        Source(criterion={CONTRASTIVE}, similarity={UNSUPERVISED}, solver={MINMAX_SIMCLR})""",
    # Ours; KID as in Bińkowski et al. (2018)
    "protocol=attack": f"""
        AttackProtocol(information=HeldOutInformation(checkpoints=20, hidden=10,
        learning_rate=0.001, sampling={CONV}, steps=1000), quality=ImageQuality(inception=False,
        subset_size=1000, subsets=100))""",
    "protocol=augmentation": "Augment()",
    "protocol=robustness": "RobustnessProtocol(epsilons=[0.05, 0.1, 0.15, 0.2, 0.25, 0.3], victims=())",
    # Scalers see training rows alone, where the authors' saw all; Mice Protein's class means are theirs
    "dataset=activity": "Activity(name=activity, scaler_fit=train)",
    "dataset=isolet": "Isolet(name=isolet, scaler_fit=train)",
    "dataset=isolet_subset": "IsoletSubset(name=isolet_subset, scaler_fit=train, split_seed=0)",
    "dataset=coil20": "Coil20(name=coil20, split_seed=0)",
    "dataset=mice_protein": """
        MiceProtein(missing=class_mean, name=mice_protein, scaler_fit=train, split_seed=0)""",
    "scale=full": "(name=full)",
    "scale=subset": "(name=subset, test_size=1000, train_size=2000)",
}


@pytest.mark.parametrize("chosen", SECTIONS)
def test_section_is_as_specified(chosen: str) -> None:
    group = chosen.partition("=")[0]
    config = composed("~experiment", *chosen.split())
    section = {"victim": "victims"}.get(group, group)
    node = config["protocol"][section] if group in ("victim", "source") else config[section]
    assert said(node) == "".join(SECTIONS[chosen].split())


def test_supervised_attacks_are_made_on_1000_images() -> None:  # §4.1
    assert composed("~experiment")["data"]["attack_size"] == 1000


@cache
def composed(*overrides: str) -> dict[str, Any]:
    """The config of one job."""
    register_resolvers()
    [job] = compose_jobs(list(overrides), multirun=False, extra_dir=None)
    return job.config


def said(node: object) -> str:
    """A config as the objects it makes, whatever package they are in, without a space."""
    if isinstance(node, list):
        return f"[{','.join(map(said, node))}]"
    if not isinstance(node, dict):
        return "".join(str(node).split())
    shown = {key: value for key, value in sorted(node.items()) if value is not None and key[0] != "_"}
    inner = ",".join(f"{key}={said(value)}" for key, value in shown.items())
    return f"{node.get('_target_', '').rpartition('.')[2]}({inner})"
