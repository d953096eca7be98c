"""Spoken letters: the part of Isolet that circulates as one MATLAB file."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Availability, Dataset
from uae_cli.datasets.own_arrays import ROOT_HINT
from uae_cli.datasets.tabular import ScalerFit, SplitSeed, Table, stratified_split
from uae_cli.errors import DataError
from uae_cli.settings import STRICT

FILE = "isolet_subset.mat"
SOURCE = "a subset of UCI Isolet, archive.ics.uci.edu/dataset/54"
ALL_ROWS = 7797
EXPECTED = "X (N×617, values in [-1, 1]) and Y (N labels, 1 to 26)"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class IsoletSubset:
    """1,560 of Isolet's 7,797 rows of 617 features, 26 letters, from `isolet_subset.mat` in the root.

    Split 80/20 letter by letter, drawn from `split_seed`, and min–max scaled to [0, 1] by the rows that
    `scaler_fit` names: 'train' (test is clipped), or 'all' as the paper's authors did.
    """

    name: str
    scaler_fit: ScalerFit
    split_seed: SplitSeed

    def check(self, root: Path, *, verify: bool) -> Availability:
        """Look for the file; with `verify`, read it whole (its data carry a checksum)."""
        path = root / FILE
        if not path.is_file():
            return Availability(present=False, path=path, size_bytes=0, source=SOURCE, remedy=_remedy(path))
        note = problem = ""
        if verify:
            try:
                note = _note(len(_read(path)[0]))
            except DataError as error:
                problem = str(error)
        return Availability(
            present=True,
            path=path,
            size_bytes=path.stat().st_size,
            source=SOURCE,
            note=note or _note(1560),
            problem=problem,
            remedy="replace the file with an intact copy" if problem else "",
        )

    def load(self, root: Path, *, download: bool) -> Dataset:  # noqa: ARG002 - no official place has this file
        """Read, split and scale: float32 (N, 617) in [0, 1], labels 0 to 25.

        Raises:
            DataError: the file is missing, corrupt, or holds something else.
        """
        path = root / FILE
        if not path.is_file():
            raise DataError(f"dataset {self.name}: no file {path}; {_remedy(path)}, or {ROOT_HINT}")
        x, y = _read(path)
        train, test = stratified_split(str(path), y, seed=self.split_seed)
        table = Table(x, y, train, test, note=_note(len(x)))
        return table.dataset(name=self.name, scaler_fit=self.scaler_fit, source=SOURCE)


def _remedy(path: Path) -> str:
    return f"put {FILE}, {EXPECTED}, in {path.parent}"


def _note(rows: int) -> str:
    return f"PARTIAL: {rows:,} of Isolet's {ALL_ROWS:,} rows."


def _read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """X (N, 617) in [-1, 1] and Y (N,) from 0 to 25.

    Raises:
        DataError: the file is damaged or holds something else.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content: dict[str, Any] = loadmat(path, variable_names=["X", "Y"])
    # scipy has no error of its own for a damaged file: these are what its parser stumbles with.
    except (MatReadError, zlib.error, ValueError, TypeError, KeyError, EOFError, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: corrupt or no MATLAB file ({reason}); replace it with an intact copy"
        ) from None
    except NotImplementedError as error:
        raise DataError(f"{path}: MATLAB 7.3 files can't be read ({error}); save it with -v7") from None
    if missing := [key for key in ("X", "Y") if key not in content]:
        raise DataError(f"{path}: lacks {' and '.join(missing)}; expected {EXPECTED}")
    x, y = content["X"], content["Y"]
    if x.dtype.kind != "f" or x.ndim != 2 or x.shape[1] != 617:
        raise DataError(f"{path}: X is {x.dtype} of shape {x.shape}; expected {EXPECTED}")
    if y.dtype.kind not in "iuf" or y.size != len(x):
        raise DataError(f"{path}: Y is {y.dtype} of shape {y.shape} for {len(x)} rows; expected {EXPECTED}")
    # Written so that NaN fails too.
    if not (np.abs(x) <= 1).all():
        raise DataError(f"{path}: X has values outside [-1, 1] or NaN; expected {EXPECTED}")
    if not np.isin(y, np.arange(1, 27)).all():
        raise DataError(f"{path}: Y has other values than 1 to 26; expected {EXPECTED}")
    return x, y.ravel().astype(np.int64) - 1
