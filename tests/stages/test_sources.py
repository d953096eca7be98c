"""Which code throws away which stages: this package's by the kind of stage, a user's own always."""

import importlib
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from uae_cli.attacks import Samples
from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.experiment.schema import from_config
from uae_cli.stages.store import PACKAGE, code_version, described, own_code, sources_of

NET = """
from own_layers import scaled
from uae_cli.models import ConvAutoencoder


class Net(ConvAutoencoder):
    def forward(self, x):
        return scaled(super().forward(x))
"""
LAYERS = "def scaled(x):\n    return {} * x\n"
CRITERION = '''
from typing import ClassVar

from pydantic.dataclasses import dataclass

from uae_cli.attacks import Reconstruction


@dataclass(frozen=True, kw_only=True)
class Own(Reconstruction):
    def check(self, x, output):
        """{}"""
'''


@pytest.mark.parametrize(
    ("changed", "thrown_away"),
    [
        ("evaluation/base.py", {"probe"}),
        ("mi/bound.py", {"attack"}),
        ("attacks/solvers/minmax.py", {"attack"}),
        ("models/conv.py", {"fit", "attack", "probe"}),
        ("training/trainer.py", {"fit", "attack", "probe"}),
        ("randomness.py", {"fit", "attack", "probe"}),
        ("stages/stages.py", {"fit", "attack", "probe"}),
        ("figures/style.py", set()),
        ("arms/noise.py", set()),
    ],
)
def test_a_change_throws_away_the_stages_that_it_can_change(tmp_path, changed, thrown_away):
    copy = shutil.copytree(PACKAGE, tmp_path / "copy")
    kinds = {"fit", "attack", "probe"}
    before = {kind: code_version(kind, PACKAGE) for kind in kinds}
    assert {kind: code_version(kind, copy) for kind in kinds} == before
    other = shutil.copytree(PACKAGE, tmp_path / "other")
    with (other / changed).open("a") as file:
        file.write("# a comment\n")
    assert {kind for kind in kinds if code_version(kind, other) != before[kind]} == thrown_away


def test_every_source_is_there_and_a_kind_that_we_dont_know_counts_them_all():
    kinds = {kind: set(sources_of(kind)) for kind in ("fit", "attack", "probe", "mine")}
    assert all(file.is_file() for files in kinds.values() for file in files)
    assert kinds["fit"] < kinds["attack"] < kinds["mine"]
    assert kinds["fit"] < kinds["probe"] < kinds["mine"]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write modules of a user's own, as a new process would import them."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    written: set[str] = set()

    def write(**modules: str) -> None:
        for name, source in modules.items():
            (folder / f"{name}.py").write_text(source)
            written.add(name)
        for name in written:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()

    yield write
    for name in written:
        sys.modules.pop(name, None)


def reused(stages) -> list[bool]:
    """Of the fit and the attack of one run."""
    x = stages.data.x_train
    fitted = stages.fit("original", x, epochs=2)
    attack = stages.experiment.triple(stages.experiment.similarity)
    stages.attack("uae", fitted, Samples.first(x, seed=stages.seed), attack)
    return [cost["reused"] for cost in stages.store.costs]


def test_editing_a_users_network_makes_models_and_uaes_anew(own, make_stages):
    own(own_net=NET, own_layers=LAYERS.format(1.0))
    settings = ["model.network._target_=own_net.Net", "plugins=[own_net]"]
    assert reused(make_stages(*settings)) == [False, False]
    own()
    assert reused(make_stages(*settings)) == [True, True]
    own(own_net=NET.replace("scaled(super()", "scaled(0.9 * super()"))
    assert reused(make_stages(*settings)) == [False, False]
    own(own_layers=LAYERS.format(0.8))
    assert reused(make_stages(*settings)) == [False, False], "what its module imports counts too"


def test_editing_a_users_criterion_makes_uaes_anew_and_keeps_the_model(own, make_stages):
    own(own_criterion=CRITERION.format("one"))
    settings = ["criterion._target_=own_criterion.Own", "plugins=[own_criterion]"]
    assert reused(make_stages(*settings)) == [False, False]
    own(own_criterion=CRITERION.format("other"))
    assert reused(make_stages(*settings)) == [True, False]


def test_shipped_settings_name_no_code_of_a_users_own():
    register_resolvers()
    experiment = from_config(compose_jobs([], multirun=False, extra_dir=None)[0].config)
    assert own_code(experiment) == {}


def test_own_code_is_found_at_any_depth(own):
    own(own_a="def f(x):\n    return x\n", own_b="class C:\n    pass\n\n\nclass D(C):\n    pass\n")
    a, b = importlib.import_module("own_a"), importlib.import_module("own_b")
    holder = torch.nn.Sequential(torch.nn.Identity())
    holder.note = [{"deep": partial(a.f, b.D())}]
    assert list(own_code(holder)) == ["own_a", "own_b"]
    assert list(own_code(type("E", (b.D,), {"__module__": "elsewhere"}))) == ["own_b"]
    assert own_code(torch.optim.Adam, Path("x"), 3, None, holder.forward.__func__) == {}


def test_a_file_that_is_edited_while_its_older_version_runs_counts_as_it_was(own, tmp_path):
    own(own_a="def f(x):\n    return x\n")
    running = importlib.import_module("own_a")
    before = own_code(running.f)
    (tmp_path / "own" / "own_a.py").write_text("def f(x):\n    return -x\n")
    assert own_code(running.f) == before
    own()
    assert own_code(importlib.import_module("own_a").f) != before


def test_settings_are_described_without_addresses():
    assert described(partial(described, x=1)) == "functools.partial(<function described>, x=1)"


@pytest.mark.parametrize("changed", ["own_numbers.py", "own_ns/act.py", "profile.py"])
def test_what_own_code_imports_counts_too(tmp_path, monkeypatch, changed):
    """A number, a module of a folder without __init__.py, and a file named like one of Python's own."""
    (tmp_path / "own_ns").mkdir()
    files = {
        "own_numbers.py": "WIDTH = 3\n",
        "own_ns/act.py": "def act(x):\n    return x\n",
        "profile.py": "SLOPE = 1\n",
        "own_net.py": "import own_ns.act\nfrom own_numbers import WIDTH\nfrom profile import SLOPE\n"
        "def f(x):\n    return own_ns.act.act(x * WIDTH * SLOPE)\n",
    }
    names = ("own_net", "own_numbers", "own_ns", "own_ns.act", "profile")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    def digests() -> dict[str, str]:
        for name in names:
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        found = own_code(importlib.import_module("own_net").f)
        for name in names:
            sys.modules.pop(name, None)
        return found

    before = digests()
    assert set(before) == {"own_net", "own_numbers", "own_ns.act", "profile"}
    (tmp_path / changed).write_text(files[changed] + "# edited\n")
    after = digests()
    assert [name for name in before if before[name] != after[name]] == [
        changed.removesuffix(".py").replace("/", ".")
    ]


class Plain:
    """An object without a repr of its own."""


def test_objects_are_described_the_same_in_every_process():
    assert described(Plain()) == described(Plain())
