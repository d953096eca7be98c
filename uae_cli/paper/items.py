"""Which runs every table and figure of the paper needs."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from uae_cli.errors import ConfigError
from uae_cli.text import nearest

Run = tuple[str, ...]  # the arguments of `uae run` that make it, apart from scale and seed

_AUTOENCODERS = ("sparse_ae", "dense_ae", "conv_ae", "adversarial_ae")
_SELECTION = ("mnist", "fashion_mnist", "isolet", "coil20", "mice_protein", "activity")


@dataclass(frozen=True, kw_only=True)
class Item:
    """One table or figure.

    Attributes:
        kind: which of the two.
        number: the paper's.
        title: in a few words.
        runs: what must have been run.
        files: of a figure: name patterns below a run's `figures/`.
    """

    kind: Literal["table", "figure"]
    number: str
    title: str
    runs: tuple[Run, ...]
    files: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """As `--only` takes it: '4', 's6.6', 'f5'."""
        return self.number if self.kind == "table" else f"f{self.number}"


def _experiments(*names: str) -> tuple[Run, ...]:
    return tuple((f"experiment={name}",) for name in names)


def _sensitivity() -> tuple[Run, ...]:
    return tuple(
        (f"experiment=mnist_{model}", f"attack.alpha={alpha}", f"attack.beta={beta}")
        for model in ("conv_ae", "concrete_ae")
        for alpha in ("0.01", "0.05")
        for beta in ("0.05", "0.1", "0.5")
    )


def _table(number: str, title: str, runs: tuple[Run, ...]) -> Item:
    return Item(kind="table", number=number, title=title, runs=runs)


def _figure(number: str, title: str, runs: tuple[Run, ...], *files: str) -> Item:
    return Item(kind="figure", number=number, title=title, runs=runs, files=files)


_RECONSTRUCTION = _experiments(*(f"{data}_{model}" for data in ("mnist", "svhn") for model in _AUTOENCODERS))

ITEMS = (
    _table("2", "random against convolutional sampling, supervised", _experiments("table2_cifar10")),
    _table("3", "penalty against MinMax, supervised", _experiments("table3_mnist", "table3_cifar10")),
    _table("4", "reconstruction error, test", _RECONSTRUCTION),
    _table("5", "with conventional augmentation", _experiments("table5_svhn")),
    _table("6", "concrete autoencoder", _experiments(*(f"{data}_concrete_ae" for data in _SELECTION))),
    _table("7", "contrastive learning", _experiments("cifar10_simclr")),
    _table("8", "number of compressions K", _experiments("table8_cifar10")),
    _table("9", "seconds per sample", _experiments("mnist_conv_ae", "table9_cifar10")),
    _table("10", "reconstruction error, training", _RECONSTRUCTION),
    _table("11", "larger images", _experiments("cifar10_conv_ae", "tiny_imagenet_conv_ae")),
    _table("12", "sensitivity to α and β", _sensitivity()),
    _table("13", "other similarities", _experiments("table13_mnist", "table13_svhn")),
    _table("s6.6", "penalty against MinMax, unsupervised", _experiments("penalty_budget")),
    _table("s6.15", "more rounds of augmentation", _experiments("svhn_sparse_ae_rounds")),
    _figure("1", "adversarial images, ε = 1", _experiments("table2_cifar10"), "samples.png"),
    _figure(
        "2", "MI while the attack goes on", _experiments("table3_mnist", "table3_cifar10"), "similarity.png"
    ),
    _figure("3", "MinMax and PGD at several ε", _experiments("figure3_mnist"), "*_grid.png"),
    _figure("4", "adversarial images, ε = 0.2", _experiments("figure4_cifar10"), "samples.png"),
    _figure("5", "UAEs of largest ‖δ‖₂", _experiments("svhn_conv_ae"), "mine_uae_largest.png"),
    _figure("6", "attacks on robust models, images", _experiments("figure6_mnist"), "*_grid.png"),
    _figure("7", "attacks on robust models, MNIST", _experiments("figure6_mnist"), "success.png"),
    _figure("8", "attacks on robust models, CIFAR-10", _experiments("figure8_cifar10"), "success.png"),
    _figure(
        "9", "adversarial training with UAEs", _experiments("figure9_mnist", "figure9_cifar10"), "success.png"
    ),
    _figure(
        "10",
        "robustness after augmentation",
        _experiments("figure10a_mnist", "figure10b_cifar10"),
        "success.png",
    ),
)


def chosen(only: str | None) -> list[Item]:
    """The items that `--only 4,6,f5` names; all of them without it.

    Raises:
        ConfigError: there is no such table or figure.
    """
    if only is None:
        return list(ITEMS)
    known = {item.key: item for item in ITEMS}
    wanted = [key.strip().lower().removeprefix("t") for key in only.split(",")]
    for key in wanted:
        if key not in known:
            raise ConfigError(f"--only = {key}: no such table or figure; {nearest(key, known)}")
    return [known[key] for key in dict.fromkeys(wanted)]


def runs_of(items: Iterable[Item]) -> list[Run]:
    """The runs that these need, each once, in the order in which they come."""
    return list(dict.fromkeys(run for item in items for run in item.runs))
