import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from pydantic.dataclasses import dataclass
from torch import nn

from uae_cli.attacks import RESULT, SECONDS, Attack, Samples, judge
from uae_cli.attacks.criteria import Misclassification, Reconstruction
from uae_cli.attacks.memory import measure
from uae_cli.attacks.model_checks import warnings_about
from uae_cli.attacks.similarities import L2Distance, ReconstructionError
from uae_cli.attacks.solvers import Penalty, Pgd
from uae_cli.errors import DataError
from uae_cli.models import HookedModel

N = 20


class KilledError(Exception):
    pass


@pytest.fixture
def attack(minmax) -> Attack:
    """The baseline attack: some samples succeed and some fail."""
    solver = minmax(iterations=6, alpha=0.05, c_start=1e-3, delta_start=0.086)
    return Attack(Reconstruction(kappa=0.0), ReconstructionError(goal="maximize"), solver)


def test_it_writes_one_row_a_sample_and_nothing_else(attack, trained_ae, digits, result_of, tmp_path):
    found = result_of(attack, trained_ae, digits[:N])
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    assert shapes == {
        "x": (N, 1, 8, 8),
        **dict.fromkeys(("success", "similarity", "index"), (N,)),
        **dict.fromkeys(("trace_f", "trace_similarity", "trace_c"), (N, 6)),
    }
    assert found["success"].dtype == torch.bool
    assert found["index"].tolist() == list(range(N))
    assert json.loads((tmp_path / "attack" / SECONDS).read_text()) > 0
    assert {path.name for path in (tmp_path / "attack").iterdir()} == {RESULT, SECONDS}


@pytest.mark.parametrize("kind", ["baseline", "mine"])
def test_success_is_what_a_judge_of_the_saved_tensors_says(
    kind, attack, mine_attack, trained_ae, digits, result_of
):
    x = digits[:N]
    found = result_of(attack if kind == "baseline" else mine_attack(), trained_ae, x)
    success, moved = found["success"], (found["x"] != x).flatten(1).any(dim=1)
    f = judge(
        Reconstruction(kappa=0.0),
        HookedModel(trained_ae, None),
        Samples.first(x, seed=0),
        found["x"],
        chunk_size=8,
    )
    assert 0 < int(success.sum()) < N or kind == "mine"
    assert torch.equal(success, moved & (f <= 0))
    assert torch.equal(found["similarity"].isnan(), ~success)
    assert torch.equal(found["x"][~success], x[~success])
    assert 0 <= float(found["x"].min()) <= float(found["x"].max()) <= 1


def test_the_similarity_kept_is_that_of_the_saved_sample(attack, trained_ae, digits, result_of):
    found = result_of(attack, trained_ae, digits[:N])
    error = (trained_ae(found["x"]) - digits[:N]).flatten(1).norm(dim=1)
    torch.testing.assert_close(
        found["similarity"], torch.where(found["success"], error, torch.nan), equal_nan=True
    )


def test_the_best_of_the_trace_is_kept(attack, trained_ae, digits, result_of):
    found = result_of(attack, trained_ae, digits[:N])
    legal = found["trace_similarity"].masked_fill(found["trace_f"] > 0, -torch.inf)
    assert torch.equal(legal.max(1).values[found["success"]], found["similarity"][found["success"]])
    assert torch.equal((found["trace_f"] <= 0).any(1), found["success"])


@pytest.mark.parametrize("finished", [0, 1, 2])
def test_a_killed_attack_goes_on_where_it_stopped(
    finished, mine_attack, trained_ae, digits, result_of, tmp_path
):
    attack = mine_attack()
    whole = result_of(attack, trained_ae, digits[:N], "whole")
    told: list[int] = []

    def die_in_the_next_chunk(samples: int) -> None:
        told.append(samples)
        if len(told) == 10 * finished + 3:
            raise KilledError

    with pytest.raises(KilledError):
        result_of(attack, trained_ae, digits[:N], "killed", on_iteration=die_in_the_next_chunk)
    chunks = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").iterdir()}
    assert len(chunks) == finished

    told.clear()
    resumed = result_of(attack, trained_ae, digits[:N], "killed", on_iteration=told.append)
    assert told[:finished] == [80] * finished, "a finished chunk was attacked again"
    assert len(told) == finished + 10 * (3 - finished)
    assert sum(told) == 10 * N
    assert resumed.keys() == whole.keys()
    one, other = ((tmp_path / name / RESULT).read_bytes() for name in ("killed", "whole"))
    assert one == other, "equal work has equal bytes"


@pytest.mark.parametrize(
    "harm",
    [
        lambda path, flip: flip(path, 0.9),
        lambda path, flip: flip(path, 0),
        lambda path, flip: path.write_bytes(b""),
        lambda path, flip: path.write_bytes(path.read_bytes()[:200]),
        lambda path, flip: path.write_bytes(bytes(len(path.read_bytes()))),
        lambda path, flip: (path.unlink(), path.mkdir()),
    ],
    ids=["a bit of the data", "a bit of the header", "empty", "cut off", "zeros", "a folder"],
)
def test_a_damaged_chunk_alone_is_made_again(
    harm, flip, attack, trained_ae, digits, result_of, tmp_path, caplog
):
    whole = result_of(attack, trained_ae, digits[:N], "whole")

    def die_in_the_third_chunk(samples: int, told: list[int] = []) -> None:  # noqa: B006
        told.append(samples)
        if len(told) == 13:
            raise KilledError

    with pytest.raises(KilledError):
        result_of(attack, trained_ae, digits[:N], "killed", on_iteration=die_in_the_third_chunk)
    first, second = sorted((tmp_path / "killed").glob("chunk-*"))
    before = second.stat().st_mtime_ns
    harm(first, flip)
    told: list[int] = []
    resumed = result_of(
        attack, trained_ae, digits[:N], "killed",
        on_iteration=lambda n: told.append(second.stat().st_mtime_ns if second.exists() else 0) or n,
    )  # fmt: skip
    assert f"{first}: damaged" in caplog.text
    assert told[0] == before, "the second chunk was kept"
    assert torch.equal(resumed["x"], whole["x"])
    assert len(told) == 6 + 1 + 6, "two chunks attacked, one kept"


@pytest.fixture(params=["conv", "by torch", "matrices", "random", "random by torch", "l2", "penalty", "pgd"])
def long_attack(request, minmax, mine_attack, attack) -> Attack:
    """Ten iterations of every solver, and of MINE in every way that it trains."""
    if request.param == "pgd":
        pgd = Pgd(epsilon=0.1, iterations=10, step_size=None, random_start=True, loss="margin", keep="best")
        return replace(attack, solver=pgd)
    if request.param == "l2":
        return replace(attack, solver=replace(attack.solver, iterations=10))
    sampling = request.param.split()[0]
    mine = mine_attack("random" if sampling == "penalty" else "conv" if sampling == "by" else sampling)
    if request.param == "penalty":
        move = {"alpha": 0.05, "epsilon": 1.0, "delta_start": 0.086, "step": "gradient"}
        return replace(mine, solver=Penalty(iterations=10, searches=2, c_start=1e-3, **move))
    if "by torch" in request.param:
        return replace(mine, similarity=replace(mine.similarity, compiled=False))
    return mine


def killed_at(*iterations: int) -> Callable[[int], None]:
    """Told of iterations, it kills the attack when so many have been told of."""
    told: list[int] = []

    def tell(samples: int) -> None:
        told.append(samples)
        if len(told) in iterations:
            raise KilledError

    return tell


def test_a_killed_chunk_goes_on_after_its_last_saved_iteration(
    long_attack, trained_ae, digits, result_of, tmp_path
):
    whole = result_of(long_attack, trained_ae, digits[:N], "whole")
    passes: list[int] = []
    trained_ae.register_forward_hook(lambda *_: passes.append(1))
    result_of(long_attack, trained_ae, digits[:N], "counted")
    needed = len(passes)
    passes.clear()
    for last in (10 + 4, 1 + 8, 1 + 10 + 7):  # in the second chunk twice, then in the third
        with pytest.raises(KilledError):
            result_of(
                long_attack, trained_ae, digits[:N], "killed", on_iteration=killed_at(last), seconds_between=0
            )
    told: list[int] = []
    resumed = result_of(long_attack, trained_ae, digits[:N], "killed", on_iteration=told.append)
    assert sum(told) == 10 * N
    assert len(passes) < needed + 15, "a pass to begin with, and the last iteration, for each of three kills"
    one, other = ((tmp_path / name / RESULT).read_bytes() for name in ("killed", "whole"))
    assert one == other
    assert resumed.keys() == whole.keys()
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {RESULT, SECONDS}


def test_the_time_of_every_attempt_is_told(attack, trained_ae, digits, result_of, tmp_path):
    def slow(samples: int, told: list[int] = []) -> None:  # noqa: B006
        time.sleep(0.2)
        told.append(samples)
        if len(told) == 4:
            raise KilledError

    with pytest.raises(KilledError):
        result_of(attack, trained_ae, digits[:4], on_iteration=slow, seconds_between=0)
    result_of(attack, trained_ae, digits[:4])
    assert json.loads((tmp_path / "attack" / SECONDS).read_text()) > 0.6


def test_from_a_damaged_checkpoint_it_goes_on_from_the_one_before(
    mine_attack, trained_ae, digits, result_of, tmp_path, flip, caplog
):
    attack = mine_attack()
    whole = result_of(attack, trained_ae, digits[:8], "whole")
    with pytest.raises(KilledError):
        result_of(attack, trained_ae, digits[:8], on_iteration=killed_at(6), seconds_between=0)
    before, last = sorted((tmp_path / "attack").glob("iterations-0-7-*"))
    flip(last, 0.5)
    resumed = result_of(attack, trained_ae, digits[:8])
    assert f"{last}: damaged (it doesn't hold what was written); the one before is used" in caplog.text
    assert str(before) not in caplog.text
    assert all(torch.equal(resumed[name], whole[name]) for name in ("x", "success", "trace_similarity"))


@dataclass(frozen=True, kw_only=True)
class Learning(L2Distance):
    """A user's own, which learns and has no way to save what."""

    def bind(self, clean, batch):
        calls = []
        return lambda response, iteration: calls.append(1) or len(calls) * self.compare(clean.x, response)


def test_a_similarity_whose_state_cannot_be_saved_is_attacked_from_the_beginning(
    attack, trained_ae, digits, result_of
):
    attack = replace(attack, similarity=Learning(goal="minimize"))
    whole = result_of(attack, trained_ae, digits[:8], "whole")
    with pytest.raises(KilledError):
        result_of(attack, trained_ae, digits[:8], on_iteration=killed_at(4), seconds_between=0)
    resumed = result_of(attack, trained_ae, digits[:8])
    assert torch.equal(resumed["trace_similarity"], whole["trace_similarity"])


def test_chunks_of_another_size_are_not_left_behind(attack, trained_ae, digits, result_of, tmp_path):
    def die_in_the_second_chunk(samples: int, told: list[int] = []) -> None:  # noqa: B006
        told.append(samples)
        if len(told) == 7:
            raise KilledError

    with pytest.raises(KilledError):
        result_of(attack, trained_ae, digits[:N], on_iteration=die_in_the_second_chunk)
    found = result_of(attack, trained_ae, digits[:N], chunk_size=5)
    assert found["index"].tolist() == list(range(N))
    assert {path.name for path in (tmp_path / "attack").iterdir()} == {RESULT, SECONDS}


@pytest.mark.parametrize("other", [{"seed": 1}])
def test_another_seed_starts_elsewhere(attack, trained_ae, digits, result_of, other):
    first = result_of(attack, trained_ae, digits[:4], "first")
    second = result_of(attack, trained_ae, digits[:4], "second", **other)
    assert not torch.equal(first["trace_f"], second["trace_f"])


def test_the_model_is_not_changed(attack, trained_ae, digits, result_of):
    before = {name: value.clone() for name, value in trained_ae.state_dict().items()}
    result_of(attack, trained_ae, digits[:N])
    assert all(torch.equal(value, before[name]) for name, value in trained_ae.state_dict().items())
    assert all(parameter.grad is None for parameter in trained_ae.parameters())


class Failing(nn.Module):
    """A model that answers so many times."""

    def __init__(self, model: nn.Module, answers: int) -> None:
        super().__init__()
        self.model, self.left = model, answers

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("broken")
        return self.model(x)


@pytest.mark.parametrize("answers", [1000, 3], ids=["sound", "failing"])
def test_modes_and_gradients_of_the_model_are_again_as_they_were(
    answers, attack, trained_ae, digits, result_of
):
    model = Failing(trained_ae.train(), answers)
    model.model.encoder.eval()
    next(model.parameters()).requires_grad_(False)
    modes = [module.training for module in model.modules()]
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    assert len(set(modes)) == len(set(wanted)) == 2
    with pytest.raises(RuntimeError, match="broken") if answers == 3 else nullcontext():
        result_of(attack, model, digits[:4])
    if answers != 3:
        measure(attack, model, digits[:4])
        warnings_about(model, attack.criterion, Samples.first(digits[:4], seed=0))
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (-0.5, r"these go from -0\.5 to 1; scale them to \[0, 1\]"),
        (255, r"these go from 0 to 255; "),
        (float("inf"), r"these go from 0 to inf; "),
        (float("nan"), r"0 to 1, but there are some that are no number; "),
    ],
)
def test_values_outside_the_unit_interval_are_refused(value, told, attack, trained_ae, digits, result_of):
    x = digits[:N].clone()
    x[7, 0, 3, 3] = value
    with pytest.raises(DataError, match=told) as refused:
        result_of(attack, trained_ae, x)
    assert "\n" not in str(refused.value)


def test_a_chosen_sample_is_attacked_as_in_its_dataset(mine_attack, trained_ae, digits, result_of):
    attack, chosen = mine_attack(), torch.tensor([2, 3, 7, 11, 12, 17, 19])
    whole = result_of(attack, trained_ae, digits[:N], "whole")
    found = result_of(attack, trained_ae, digits[chosen], "chosen", index=chosen, chunk_size=3)
    assert torch.equal(found["index"], chosen)
    torch.testing.assert_close(found["trace_f"][:, 0], whole["trace_f"][chosen, 0])
    torch.testing.assert_close(found["x"], whole["x"][chosen], rtol=0, atol=1e-4)


def test_chosen_samples_go_on_where_they_stopped(attack, trained_ae, digits, result_of, tmp_path):
    chosen = torch.arange(100, 100 + 3 * N, 3)

    def die_in_the_second_chunk(samples: int, told: list[int] = []) -> None:  # noqa: B006
        told.append(samples)
        if len(told) == 9:
            raise KilledError

    whole = result_of(attack, trained_ae, digits[chosen], "whole", index=chosen)
    with pytest.raises(KilledError):
        result_of(attack, trained_ae, digits[chosen], index=chosen, on_iteration=die_in_the_second_chunk)
    assert [path.name.split(".")[0] for path in (tmp_path / "attack").iterdir()] == ["chunk-0-7"]
    found = result_of(attack, trained_ae, digits[chosen], index=chosen, chunk_size=5)
    assert torch.equal(found["index"], chosen)
    torch.testing.assert_close(found["x"], whole["x"], rtol=0, atol=1e-4)


def test_the_judge_aims_a_chosen_sample_at_the_target_it_was_attacked_for(
    minmax, trained_classifier, digits, digit_labels, result_of
):
    chosen = torch.arange(1, 2 * N, 2)
    x, labels = digits[chosen], digit_labels[chosen]
    criterion = Misclassification(kappa=0.0, target="random")
    solver = minmax(iterations=40, alpha=0.05, c_start=1.0, delta_start=0.086)
    found = result_of(
        Attack(criterion, L2Distance(goal="minimize"), solver),
        trained_classifier,
        x,
        labels=labels,
        index=chosen,
    )
    model = HookedModel(trained_classifier, None)
    attacked, elsewhere = Samples(x, chosen, 0, labels), Samples.first(x, seed=0, labels=labels)
    success = found["success"]
    assert int(success.sum()) > N // 2
    assert bool((judge(criterion, model, attacked, found["x"], chunk_size=8)[success] <= 0).all())
    assert not bool((judge(criterion, model, elsewhere, found["x"], chunk_size=8)[success] <= 0).all())
