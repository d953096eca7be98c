"""`uae compare` on runs that take a second each."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from uae_cli.cli import main
from uae_cli.compare.command import asked, planned
from uae_cli.experiment.compose import register_resolvers

TINY = (
    *("experiment=digits_dense_ae", "scale=smoke", "threads=1", "data.test_size=8"),
    *("attack.iterations=2", "model.trainer.batch_size=8", "jobs=1"),
)
NEW = ("arm=[exact_uae,gaussian_1e-2]",)


@pytest.fixture
def compare(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UAE_DATA", raising=False)

    def call(*arguments):
        code = main(["compare", *TINY, *arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def runs(tmp_path: Path) -> list[Path]:
    return sorted(tmp_path.rglob("results.csv"))


def test_what_is_missing_is_run_and_the_rest_is_told(compare, tmp_path):
    code, out, err = compare(*NEW, "seeds=2", "train_sizes=16,24")
    assert code == 0, err
    assert (
        "digits · dense_ae: 2 cells of 2 seeds, 2 arms. Note: with so few seeds p can't fall below 1:" in err
    )
    assert "[4/4] digits_dense_ae, 24 samples, seed 1: " in out
    folder = tmp_path / "outputs" / "compare" / "digits_dense_ae"
    assert {file.name for file in folder.iterdir()} == {"compare.csv", "compare.md", "compare.png"}
    table = pd.read_csv(folder / "compare.csv")
    assert set(table["arm"]) == {"exact_uae", "gaussian_1e-2"}
    assert table["n_train"].dropna().unique().tolist() == [16, 24]
    rows = pd.concat(map(pd.read_csv, runs(tmp_path)))
    own = rows[(rows["arm"] == "exact_uae") & (rows["n_train"] == 16)]
    gains = own[own["metric"] == "test_mse_gain_vs_replicate"]["value"]
    line = table[(table["arm"] == "exact_uae") & (table["n_train"] == 16)].iloc[0]
    assert line["gain"] == pytest.approx(gains.mean())
    assert line["value"] == pytest.approx(own[own["metric"] == "test_mse"]["value"].mean())
    for sentence in table["sentence"]:
        assert sentence in (folder / "compare.md").read_text()

    code, out, _ = compare(*NEW, "seeds=3", "train_sizes=16,24")
    assert (code, "[2/2]" in out, len(runs(tmp_path))) == (0, True, 6)


def test_the_control_always_runs_and_brackets_may_be_left_out():
    register_resolvers()
    for given in ("arm=exact_uae,flip", "arm=[exact_uae,flip]", "arm=[replicate,exact_uae,flip]"):
        assert asked([given])[1] == ["arm=[replicate,exact_uae,flip]"]
    assert asked(["arm=[replicated]"])[1] == ["arm=[replicate,replicated]"]


def test_every_seed_is_the_job_that_uae_run_makes():
    from uae_cli.experiment.compose import compose_jobs
    from uae_cli.hashing import job_identity

    register_resolvers()
    question, overrides = asked([*TINY, *NEW, "seeds=0,3,7", "train_sizes=16"])
    [cell] = planned(question, overrides, None)
    assert [job.config["seed"] for job in cell.jobs] == [0, 3, 7]
    for job in cell.jobs:
        [composed] = compose_jobs(list(job.arguments), multirun=False, extra_dir=None)
        assert job.identity == job_identity(composed.config)


def test_values_separated_by_commas_are_cells_of_their_own():
    register_resolvers()
    question, overrides = asked(
        ["experiment=digits_dense_ae,digits_sparse_ae", "attack.alpha=0.01,0.05", "train_sizes=32,16"]
    )
    cells = planned(question, overrides, None)
    assert [(cell.group, cell.size) for cell in cells] == [
        (f"digits · {model}, attack.alpha={alpha}", size)
        for model in ("dense_ae", "sparse_ae")
        for alpha in ("0.01", "0.05")
        for size in (16, 32)
    ]
    assert all(len(cell.jobs) == 10 for cell in cells)


def test_samples_set_aside_are_what_is_compared_by_default(compare, tmp_path):
    code, _, err = compare(*NEW, "seeds=2", "data.validation_share=0.25", "--name", "tuned")
    assert code == 0, err
    [table] = [pd.read_csv(file) for file in tmp_path.rglob("compare.csv")]
    assert set(table["measure"]) == {"validation_mse"}
    assert set(table["n_train"]) == {48}
    assert (tmp_path / "outputs" / "compare" / "tuned").is_dir()


def test_gains_may_be_against_another_arm(compare, tmp_path):
    code, _, err = compare(
        "arm=[exact_uae,matched_noise]", "arm.matched_noise.of=exact_uae", "seeds=2", "against=matched_noise"
    )
    assert code == 0, err
    [table] = [pd.read_csv(file) for file in tmp_path.rglob("compare.csv")]
    rows = (
        pd.concat(map(pd.read_csv, runs(tmp_path))).query("metric == 'test_mse'").set_index(["seed", "arm"])
    )
    gains = [
        100 * (1 - rows["value"][seed, "exact_uae"] / rows["value"][seed, "matched_noise"]) for seed in (0, 1)
    ]
    assert table["arm"].tolist() == ["exact_uae"]
    assert table["gain"][0] == pytest.approx(np.mean(gains))


def test_a_run_that_fails_is_told_and_the_others_count(compare, tmp_path, monkeypatch):
    from uae_cli.compare import command
    from uae_cli.paper.jobs import Outcome, outcomes

    def some(jobs, begin, **more):
        for outcome in outcomes(jobs, begin, **more):
            if outcome.job.config["seed"] == 2:
                yield Outcome(outcome.job, 1.0, "lightning struck")
            else:
                yield outcome

    monkeypatch.setattr(command, "outcomes", some)
    code, out, err = compare(*NEW, "seeds=3")
    assert code == 1
    assert "seed 2: failed: lightning struck" in out
    assert "uae: failed: uae run experiment=digits_dense_ae" in err


def test_a_network_of_the_users_own_and_a_folder_of_images(compare, tmp_path, monkeypatch):
    from PIL import Image
    from sklearn.datasets import load_digits

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_net_of_test.py").write_text(
        "from torch import Tensor, nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, *, shape: tuple[int, ...]) -> None:\n"
        "        super().__init__()\n"
        "        self.net = nn.Sequential(nn.Conv2d(shape[0], 4, 3, padding=1), nn.ReLU(),\n"
        "                                 nn.Conv2d(4, shape[0], 3, padding=1), nn.Sigmoid())\n"
        "    def forward(self, x: Tensor) -> Tensor:\n"
        "        return self.net(x)\n"
    )
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "net.yaml").write_text(
        "name: net\nnetwork: {_target_: own_net_of_test.Net, _partial_: true}\ntrainer:\n"
        "  _target_: uae_cli.training.Trainer\n  objective:\n"
        "    _target_: uae_cli.training.ReconstructionObjective\n    loss: mse\n"
        "    optimizer: {_target_: torch.optim.Adam, _partial_: true, lr: 1.0e-3}\n"
        "  batch_size: 8\n  epochs: 1\n  refit_epochs: 1\n  keep: last\n  early_stopping: null\n"
    )
    (tmp_path / "imgs").mkdir()
    for number, image in enumerate(load_digits().images[:20]):
        Image.fromarray((255 * image / 16).astype("uint8")).save(tmp_path / "imgs" / f"{number}.png")
    code = main(
        [
            *("compare", "--config-dir", "conf", "plugins=[own_net_of_test]", "~experiment", "scale=smoke"),
            *("dataset=folder", "dataset.path=imgs", "model=net", "sampling=random", "threads=1", "jobs=1"),
            *("arm=[exact_uae]", "seeds=2", "train_sizes=8,12", "similarity.sampling.count=3"),
        ]
    )
    assert code == 0
    [table] = [pd.read_csv(file) for file in tmp_path.rglob("compare.csv")]
    assert table["group"].unique().tolist() == ["folder · net", "mean over all cells"]
    commands = [json.loads(file.read_text())["command"] for file in tmp_path.rglob("results.json")]
    assert all("--config-dir conf" in command for command in commands)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["seeds=1"], ["seeds = 1: of one seed nothing", "seeds=10", "6 are the fewest"]),
        (["seeds=many"], ["seeds = many: must be whole numbers", "seeds=10, or 0,1,2"]),
        (["seed=3"], ["seed=3: uae compare takes seeds=10"]),
        (["train_sizes=0"], ["train_sizes = 0: must be whole numbers from 1"]),
        (["train_sizes=16,9999"], ["train_sizes: 9,999 is more than digits", "1,437", "use 1437 or fewer"]),
        (["train_sizes=16", "data.train_size=8"], ["data.train_size=8: beside train_sizes=16"]),
        (["margin=-1"], ["margin = -1: must be"]),
        (["measure=test_mes"], ["measure = test_mes", "did you mean test_mse?"]),
        (["measure=validation_mse"], ["measure = validation_mse: needs data.validation_share"]),
        (["measure=test_accuracy"], ["measure = test_accuracy: these runs don't have it"]),
        (["against=mine_uae"], ["against = mine_uae: that arm doesn't run", "exact_uae"]),
        (["arm=[exact]"], ["arm = exact", "did you mean exact_uae or exact_uae_fresh?"]),
        (["arm=[replicate]"], ["arm = [replicate]: no arm to compare"]),
        (["attack.alpah=1"], ["attack.alpah: no such setting", "did you mean attack.alpha?"]),
        (["attack.alpha=x"], ["attack.alpha = x: must be a number"]),
        (["--name", "../x"], ["--name = ../x: must be letters"]),
        (["--nam", "x", "--out", "y"], ["uae compare --help"]),
        (["experiment=digits_classifier_attack"], ["digits_classifier_attack: uae compare retrains"]),
        (["outputs=/dev/null"], ["/dev/null", "cannot be written"]),
    ],
)
def test_bad_input_is_one_line(compare, tmp_path, arguments, parts):
    own = [*(NEW if not any(a.startswith("arm=") for a in arguments) else ()), "seeds=2"]
    if any(a.startswith("experiment=") for a in arguments):
        own = ["seeds=2"]
    code, _, err = compare(*own, *arguments)
    assert code == 2
    *_, line = err.splitlines()
    assert line.startswith("uae: ")
    for part in parts:
        assert part in line
