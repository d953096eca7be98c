"""Chains, rounds and similarities from the command line, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from calling import TINY, Uae


def rows_of(uae: Uae, folder: Path, *settings: str) -> pd.DataFrame:
    chosen = [one for one in TINY if "similarity=l2" not in settings or "similarity" not in one]
    called = uae("run", *chosen, *settings)
    assert called.status == 0, called.err
    [table] = folder.rglob("results.csv")
    return pd.read_csv(table)


def test_a_chain(uae: Uae, tmp_path: Path) -> None:
    rows = rows_of(uae, tmp_path, "arm=[replicate]", "augmentation=[flip,rotation,gaussian,mine_uae]")
    arms = {"original", "replicate", "replicate_x3", "flip_rotation_gaussian"}
    assert set(rows["arm"]) == arms | {"flip_rotation_gaussian+mine_uae"}
    assert rows["value"].notna().all()


def test_similarities(uae: Uae, tmp_path: Path) -> None:
    similarities = ["l2_distance", "cosine_distance", "feature_scattering"]
    rows = rows_of(uae, tmp_path, f"arm=[replicate,{','.join(similarities)}]")
    assert set(rows["arm"]) == {"original", "replicate", *similarities}
    assert not (rows["metric"] == "in_attack_value").any(), "a distance is no information"


def test_a_similarity_of_the_whole_experiment(uae: Uae, tmp_path: Path) -> None:
    rows_of(uae, tmp_path, "arm=[replicate,mine_uae]", "similarity=l2", "sampling=none")


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("augmentation=[flip,turn]", ["turn", "rotation"]),
        ("augmentation=[rotation] augmentation.chain.rotation.degrees=0", ["degrees = 0", "greater than 0"]),
        ("augmentation=[rotation] augmentation.chain.rotation.degrees=200", ["degrees = 200", "at most 180"]),
        ("augmentation.rounds=0", ["augmentation.rounds = 0: must be at least 1"]),
        ("arm=[replicate,feature_scattering] chunk_size=7 data.train_size=16",
         ["chunk_size = 7", "couples 16 samples", "chunk_size=16"]),
        ("arm=[replicate,feature_scattering] arm.feature_scattering.similarity.layer=foo",
         ["foo", "encoder"]),
    ],
)  # fmt: skip
def test_bad_input(uae: Uae, tmp_path: Path, setting: str, parts: list[str]) -> None:
    given = setting.split()
    called = uae("run", *(one for one in TINY if one.split("=")[0] not in setting), *given)
    assert called.status == 2
    assert len(called.mistake.splitlines()) == 1
    for part in parts:
        assert part in called.err
    assert not list(tmp_path.rglob("results.csv"))


@pytest.mark.parametrize("arms", ["arm=[replicate,flip]", "augmentation=[gaussian,rotation]"])
def test_tables_of_features_are_refused_before_any_work(
    uae: Uae, npz: Callable[..., Path], tmp_path: Path, arms: str
) -> None:
    path = npz(np.random.default_rng(0).random((8, 12)).astype(np.float32))
    called = uae(
        "run", *TINY, "dataset=npz", f"dataset.path={path}", "model=dense_ae", "sampling=random", arms
    )
    assert called.status == 2
    assert "needs images (C, H, W)" in called.err
    assert not list(tmp_path.rglob("stages"))
