"""What every table needs: a fixed split into train and test, and scaling to [0, 1]."""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uae_cli.errors import DataError

# On which rows minimum and maximum are taken: 'train' keeps the test rows unseen, 'all' does as the
# paper's authors did.
ScalerFit = Literal["train", "all"]


def stratified_split(what: str, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of the train (80 %) and test (20 %) split; every class is split alike, always the same.

    `labels` is (N,); `what` names the data in messages.

    Raises:
        DataError: a class has a single row, or the test split has fewer rows than there are classes.
    """
    # Here and not above: scikit-learn takes a second to import, which `uae --help` need not pay.
    from sklearn.model_selection import train_test_split

    try:
        train, test = train_test_split(np.arange(len(labels)), test_size=0.2, random_state=0, stratify=labels)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{what}: can't be split 80/20 class by class ({reason}); give more rows") from None
    return train, test


def min_max_scale(
    x_train: NDArray[Any], x_test: NDArray[Any], *, scaler_fit: ScalerFit
) -> tuple[Tensor, Tensor]:
    """Both splits, (N, d), as float32 in [0, 1], each feature scaled by the rows `scaler_fit` names.

    What the fit has not seen is clipped to [0, 1]. A constant feature becomes 0; NaN stays NaN.
    """
    from sklearn.preprocessing import MinMaxScaler

    seen = x_train if scaler_fit == "train" else np.concatenate([x_train, x_test])
    scaler = MinMaxScaler(clip=True).fit(seen)
    train, test = (torch.from_numpy(scaler.transform(x).astype(np.float32)) for x in (x_train, x_test))
    return train, test
