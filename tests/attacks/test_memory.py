"""How many samples are attacked at once, and what happens when memory runs out."""

from dataclasses import replace

import pytest
import torch

from uae_cli.attacks import Samples, attack_batch, memory
from uae_cli.attacks.memory import Need, choose_chunk, live_bytes, measure
from uae_cli.errors import ConfigError
from uae_cli.machine import is_out_of_memory

GIB = 2**30


def choose(attack, model, x, *, most=128, exact=False, budget_gib=None) -> int:
    need, device = measure(attack, model, x), torch.device("cpu")
    return choose_chunk(need, device, most=most, exact=exact, budget_gib=budget_gib)


def test_the_need_is_the_highest_of_its_lines():
    need = Need([(100, 1), (0, 10), (5, 0)])
    assert [need.bytes_of(n) for n in (1, 11, 20)] == [101, 111, 200]
    assert [need.samples_in(budget) for budget in (99, 101, 109, 200)] == [0, 1, 9, 20]


@pytest.mark.parametrize("sampling", ["conv", "random"])
def test_what_two_samples_take_foretells_what_many_do(sampling, mine_attack, trained_ae, digits):
    attack = mine_attack(sampling)
    need, many = measure(attack, trained_ae, digits[:1]), digits[:12]
    short, batch = mine_attack(sampling, iterations=1), Samples.first(many.clone(), seed=0)
    with short.frozen(trained_ae) as attacked:
        taken = live_bytes(lambda: attack_batch(short, attacked, batch))
    assert need.bytes_of(12) == pytest.approx(max(taken), rel=0.1)


def test_a_budget_bounds_the_chunk_and_the_rest_is_the_users(mine_attack, trained_ae, digits, monkeypatch):
    attack, x = mine_attack(), digits[:1]
    need = measure(attack, trained_ae, x)
    assert choose(attack, trained_ae, x, budget_gib=need.bytes_of(5) / GIB) == 5
    assert choose(attack, trained_ae, x, budget_gib=8) == 128
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 2 * need.bytes_of(7))
    assert choose(attack, trained_ae, x) == 7
    assert choose(attack, trained_ae, x, most=9, exact=True) == 9


def test_too_small_a_budget_says_how_much_one_sample_needs(mine_attack, trained_ae, digits, monkeypatch):
    attack, x = mine_attack(), digits[:1]
    with pytest.raises(ConfigError, match=r"memory_budget = 1e-06: one sample needs [\d.e-]+ GiB"):
        choose(attack, trained_ae, x, budget_gib=1e-6)
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 10)
    with pytest.raises(ConfigError, match=r"chunk_size = 4: one sample needs [\d.e-]+ GiB"):
        choose(attack, trained_ae, x, most=4, exact=True)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("can't allocate memory: 9"),
    ],
)
def test_it_halves_the_chunk_and_goes_on(error, mine_attack, trained_ae, digits, result_of, short_of_memory):
    attack, x = mine_attack(iterations=3), digits[:11]
    whole = result_of(attack, trained_ae, x, "whole")
    told, short = [], short_of_memory(attack, 2, error)
    found = result_of(short, trained_ae, x, "halved", chunk_size=8, on_iteration=told.append)
    assert short.solver.sizes == [8, 4, 2, 2, 2, 2, 2, 1]
    assert sum(told) == 3 * 11, "progress doesn't count the failed attempts"
    torch.testing.assert_close(found["x"], whole["x"], rtol=0, atol=1e-5)
    assert found["index"].tolist() == list(range(11))


def test_without_memory_for_one_sample_it_says_so(
    mine_attack, trained_ae, digits, result_of, short_of_memory
):
    with pytest.raises(ConfigError, match=r"single sample, which needs 3 GiB"):
        result_of(short_of_memory(mine_attack(), 0), trained_ae, digits[:5], sample_bytes=3 * GIB)


def test_other_errors_are_not_mistaken_for_lack_of_memory(
    mine_attack, trained_ae, digits, result_of, short_of_memory
):
    attack = short_of_memory(mine_attack(), 0, RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        result_of(attack, trained_ae, digits[:5])
    assert attack.solver.sizes == [5]
    assert not is_out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize("marginals", ["all_pairs", "shuffle"])
def test_the_compiled_attack_is_the_plain_one(marginals, mine_attack, trained_ae, digits, result_of):
    """A whole attack in float64: f, MI and δ of every iteration, by the kernel and by torch operations."""
    attack, model, x = (
        mine_attack(marginals=marginals, iterations=20),
        trained_ae.double(),
        digits[:6].double(),
    )
    fast = result_of(attack, model, x, "fast")
    by_torch = replace(attack, similarity=replace(attack.similarity, compiled=False))
    plain = result_of(by_torch, model, x, "plain")
    assert bool(fast["success"].any())
    for name in ("x", "trace_f", "trace_similarity", "trace_c"):
        torch.testing.assert_close(fast[name], plain[name], rtol=0, atol=1e-8)
