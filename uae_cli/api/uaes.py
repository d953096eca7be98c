"""What an attack found, saved and used: files, a dataset with UAEs in it, new UAEs while a model trains."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import Dataset

from uae_cli.errors import ConfigError
from uae_cli.hashing import write_whole
from uae_cli.text import plural

TABLE, TENSORS, IMAGES = "uaes.csv", "uaes.safetensors", "images"
OURS = {TABLE, TENSORS, IMAGES, "figure.png", "attack"}  # what may lie in a folder that is written to


@dataclass(frozen=True)
class Uaes:
    """Unsupervised adversarial examples, one for each of N samples.

    Attributes:
        x: (N, *shape), in the samples' own range; the clean sample where none was found.
        clean: (N, *shape), the samples.
        success: (N,) bool: x differs from the sample, and f ≤ 0, judged anew.
        f: (N,) of x; where none was found, the smallest that the attack met.
        similarity: (N,) S of x, NaN where none was found.
        index: (N,) int64, each sample's position in what was attacked.
        settings: those that the attack was made with and that tell most, by name.
        names: of the samples' files, where they come from files.
    """

    x: Tensor
    clean: Tensor
    success: Tensor
    f: Tensor
    similarity: Tensor
    index: Tensor
    settings: Mapping[str, object] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    @property
    def delta_norm(self) -> Tensor:
        """‖δ‖₂, (N,)."""
        norm: Tensor = (self.x - self.clean).flatten(1).norm(dim=1)
        return norm

    @property
    def delta_max(self) -> Tensor:
        """‖δ‖∞, (N,)."""
        return (self.x - self.clean).flatten(1).abs().amax(1)

    def __repr__(self) -> str:
        return f"Uaes: {self.summary()}"

    def summary(self) -> str:
        """How many samples have a UAE, and why the others have none."""
        missed = self.f[~self.success]
        least = f"smallest f {_span(missed[missed > 0])}"
        text = f"{int(self.success.sum()):,} of {plural(len(self.x), 'sample')} have a UAE"
        if self.success.any():
            text += f", mean ‖δ‖₂ {float(self.delta_norm[self.success].mean()):.3g}"
        for count, why in (
            (
                int((missed > 0).sum()),
                f"never reached f ≤ 0: {least}",
            ),
            (
                int((missed <= 0).sum()),
                "reached f ≤ 0 only where the similarity isn't admitted, or without moving",
            ),
            (int(missed.isnan().sum()), "have an f that is no number"),
        ):
            text += f"; {count:,} {why}" if count else ""
        alpha, start = self.settings.get("alpha"), self.settings.get("delta_start")
        if len(missed) and isinstance(alpha, float) and isinstance(start, float):
            text += f"; try attack.alpha={3 * alpha:.2g}, attack.delta_start={start / 2:.2g}"
            text += " or attack.iterations=100"
        return text

    def save(
        self, folder: str | Path, *, png: bool = True, csv: bool = True, safetensors: bool = True
    ) -> None:
        """Write `images/*.png` (of grey and colour images in [0, 1]), `uaes.csv` and `uaes.safetensors`.

        PNGs hold 8 bits a value, by whose rounding a UAE may lose its f ≤ 0; `uaes.safetensors` is exact.

        Raises:
            ConfigError: the folder holds other files.
        """
        folder = Path(folder)
        check_folder(folder)
        files = self._files() if png and self._are_images() else [""] * len(self.x)
        for name, image in zip(files, self.x, strict=True):
            if name:
                _write_png(folder / IMAGES / name, image)
        if csv:
            columns = {"file": files or "", "index": self.index, "success": self.success, "f": self.f}
            columns |= {
                "similarity": self.similarity,
                "delta_l2": self.delta_norm,
                "delta_linf": self.delta_max,
            }
            table = pd.DataFrame({name: np.asarray(values) for name, values in columns.items()})
            write_whole(folder / TABLE, lambda part: table.to_csv(part, index=False))
        if safetensors:
            names = ("x", "clean", "success", "f", "similarity", "index")
            tensors = {name: getattr(self, name).contiguous().clone() for name in names}
            write_whole(folder / TENSORS, lambda part: save_file(tensors, part))

    def _are_images(self) -> bool:
        in_range = len(self.x) > 0 and float(self.x.min()) >= 0 and float(self.x.max()) <= 1
        return in_range and self.x.ndim == 4 and self.x.shape[1] in (1, 3)

    def _files(self) -> list[str]:
        """Of PNGs: the samples' own names, whole where two differ by their ending alone."""
        names = self.names or [f"{index:06d}" for index in self.index.tolist()]
        short = [str(Path(name).with_suffix(".png")) for name in names]
        return short if len(set(short)) == len(short) else [f"{name}.png" for name in names]


def check_folder(folder: Path, ours: Collection[str] = OURS) -> None:
    """Make a folder for results, in which only these names may lie already.

    Raises:
        ConfigError: it holds files that aren't an attack's, or can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: can't be made ({error.strerror}); choose another folder") from error
    others = sorted(path.name for path in folder.iterdir() if path.name not in ours)
    if others:
        raise ConfigError(
            f"{folder}: holds other files ({', '.join(others[:3])}{' …' if others[3:] else ''}); choose an "
            f"empty or "
            "new folder"
        )


def _span(values: Tensor) -> str:
    if not len(values):
        return ""
    low, high = (float(value) for value in values.aminmax())
    return f"{low:.2g}" if len(values) == 1 else f"from {low:.2g} to {high:.2g}"


def _write_png(path: Path, image: Tensor) -> None:
    from torchvision.transforms.functional import to_pil_image

    path.parent.mkdir(parents=True, exist_ok=True)
    to_pil_image((255 * image).round().clamp(0, 255).to(torch.uint8)).save(path)


class Augmented(Dataset[Any]):
    """A dataset, then a UAE for each of its samples that has one; labels are the clean sample's.

    Attributes:
        found: the UAEs; None for the dataset alone. Workers of a loader see a change at its next epoch,
            unless they are persistent.
    """

    def __init__(self, dataset: "Dataset[Any] | Tensor", found: Uaes | None) -> None:
        self._dataset: Any = dataset
        self.found = found

    def __len__(self) -> int:
        return len(self._dataset) + (0 if self.found is None else len(self._rows))

    def __getitem__(self, position: int) -> Any:
        if not -len(self) <= position < len(self):
            raise IndexError(position)
        position %= len(self)
        if position < len(self._dataset):
            return self._dataset[position]
        assert self.found is not None  # or it would be no longer than the dataset
        row = self._rows[position - len(self._dataset)]
        clean = self._dataset[int(self.found.index[row])]
        uae = self.found.x[row]
        return type(clean)([uae, *clean[1:]]) if isinstance(clean, tuple | list) else uae

    @property
    def found(self) -> Uaes | None:
        """See the class."""
        return self._found

    @found.setter
    def found(self, found: Uaes | None) -> None:
        self._found = found
        self._rows: list[int] = [] if found is None else found.success.nonzero()[:, 0].tolist()


def augmented(dataset: "Dataset[Any] | Tensor", found: Uaes) -> Augmented:
    """The dataset that was attacked, followed by the UAEs found; for a `DataLoader`, shuffled or not.

    Args:
        dataset: samples, or tuples of which the first is the sample; or a tensor (N, *shape).
        found: of an attack on it. A sample without a UAE is there once only.

    Raises:
        ConfigError: the UAEs are of more samples than the dataset has.
    """
    if len(found.index) and int(found.index.max()) >= len(dataset):  # type: ignore[arg-type]
        raise ConfigError(f"augmented: UAEs of {len(found.x)} samples, but the dataset has {len(dataset)}")  # type: ignore[arg-type]
    return Augmented(dataset, found)


class Refresh:
    """UAEs of a model while it trains: call it at the beginning of every epoch.

    Args:
        dataset: as for `augmented`.
        attack: makes the UAEs of the model as it is, given a seed: `lambda seed: attack(model, dataset,
            seed=seed)`.
        every: epochs between one attack and the next; the first is at epoch `every`, until when `data` is the
            clean dataset alone.

    Attributes:
        data: the dataset to train on; its length changes with the number of UAEs, which a `DataLoader` heeds.
    """

    def __init__(
        self, dataset: "Dataset[Any] | Tensor", attack: Callable[[int], Uaes], *, every: int = 10
    ) -> None:
        if every < 1:
            raise ConfigError(f"every = {every}: must be at least 1")
        self.data = Augmented(dataset, None)
        self._attack, self._every = attack, every

    def __call__(self, epoch: int) -> bool:
        """Attack anew if it is time, `epoch` being counted from 0; returns whether it was."""
        due = epoch > 0 and epoch % self._every == 0
        if due:
            self.data.found = self._attack(epoch)
        return due
