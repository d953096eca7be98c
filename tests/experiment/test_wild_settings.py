"""Whatever a config holds, and whatever a command line says: an experiment, or one line that says why not.

500 examples here; `UAE_NIGHTLY=1 pytest tests/experiment/test_wild_settings.py` tries 10,000 of each.
"""

import copy
import os
import re
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from uae_cli.errors import UaeError
from uae_cli.experiment.check import Preparation
from uae_cli.experiment.compose import compose_jobs, register_resolvers

NIGHTLY = bool(os.environ.get("UAE_NIGHTLY"))
LINES = (
    ["experiment=digits_conv_ae"],
    ["experiment=digits_simclr"],
    ["experiment=digits_classifier_attack"],
    ["experiment=digits_robustness"],
    ["experiment=mice_protein_concrete_ae"],
    ["experiment=digits_sparse_ae", "augmentation=[flip,rotation,mine_uae]"],
)
LONGEST = 5.0  # seconds; a hang, not a timing
PREPARATION = Preparation()

names = st.sampled_from(
    ["_target_", "_partial_", "_convert_", "_recursive_", "_args_", "new", "alpha", "name"]
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(["???", "", " ", "auto", "${seed}", "a", "..", "uae_cli.attacks.MinMax", "os.system"]),
    st.integers(),
    st.integers(min_value=2**31, max_value=10**40),
    st.floats(),
    st.text(max_size=20),
)
wild = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(names, st.text(max_size=5), st.integers(), st.none()), inner, max_size=3),
    ),
    max_leaves=6,
)


def paths(node: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path for key, value in inner for path in ((*above, key), *paths(value, (*above, key)))]


@pytest.fixture(scope="module")
def configs() -> list[tuple[dict[str, Any], list[tuple[Any, ...]]]]:
    register_resolvers()
    made = [compose_jobs(line, multirun=False, extra_dir=None)[0].config for line in LINES]
    return [(config, paths(config)) for config in made]


def check_told(error: UaeError, started: float) -> None:
    line = str(error)
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert len(line) < 2000
    assert not re.search(r" at 0x[0-9a-f]{6}", line)
    assert time.monotonic() - started < LONGEST


def examples(count: int) -> settings:
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    return settings(
        max_examples=10_000 if NIGHTLY else count,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],  # a failure shows its config, which need not be the smallest
        suppress_health_check=slow,
    )


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of a failure's config
@seed(0)
@examples(500)
@given(which=st.integers(0, len(LINES) - 1), at=st.integers(0, 999), name=st.none() | names, value=wild)
def test_any_value_at_any_place(
    configs: list[tuple[dict[str, Any], list[tuple[Any, ...]]]],
    which: int,
    at: int,
    name: str | None,
    value: Any,
) -> None:
    config, places = configs[which]
    *above, key = places[at % len(places)]
    config = copy.deepcopy(config)
    node: Any = config
    for part in above:
        node = node[part]
    node[name if name and isinstance(node, dict) else key] = copy.deepcopy(value)
    started = time.monotonic()
    try:
        PREPARATION.settings(config)
    except UaeError as error:
        check_told(error, started)


SETTINGS = (
    "attack.alpha arm +evaluation.x augmentation model.network.kernel seed +new evaluation data name ~arm "
    "hydra.job.name scale +arm.mine_uae"
)
VALUES = (
    "??? null [] {} {a:1} {1:2} [null] ${x} ${oc.env:X} nan {_target_:5} {_partial_:maybe} ' \" \\ $(x) é\x00"
)


@seed(0)
@examples(40)
@given(
    setting=st.sampled_from(SETTINGS.split()),
    value=st.one_of(
        st.text(max_size=12), st.integers().map(str), st.sampled_from([*VALUES.split(), "[" * 400, "a b"])
    ),
)
def test_any_words_on_the_command_line(setting: str, value: str) -> None:
    register_resolvers()
    started = time.monotonic()
    try:
        for job in compose_jobs([f"{setting}={value}", "scale=smoke"], multirun=False, extra_dir=None):
            PREPARATION.settings(job.config)
    except UaeError as error:
        check_told(error, started)
