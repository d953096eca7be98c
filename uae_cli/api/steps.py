"""Step size and start of δ from the size of data and gradients, for models that nobody has tuned."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from uae_cli.attacks import Attack, MinMax, Penalty, RandomCriterion, Samples, attack_batch
from uae_cli.attacks.similarities import group_of
from uae_cli.models import HookedModel

MOST = 32  # samples that are probed, spread evenly
FEWER = 8  # where a criterion looks at many views of each; one at once, for each takes the memory of so many
STARTS = (0.2, 0.1, 0.05, 0.02)  # of the data's root mean square: limits of δ₀ to try, the farthest first
ENOUGH = 0.9  # share of the probed samples at whose success nothing more is tried
_NEWTON = 0.5  # ρ, the criterion's first step as a share of f/‖∇f‖, at which f would be 0 were it linear
_LEARNT = 10  # iterations for which a similarity that learns does so, before its gradient is looked at
# Least ratios of the criterion's part of a step to the similarity's at the start; the second where the first
# doesn't succeed on enough from any start
_PULLS = (5.0, 25.0)


def tuned(attack: Attack, model: HookedModel, samples: Samples, auto: frozenset[str]) -> tuple[Attack, float]:
    """The attack with these of its solver's settings chosen, and the share of probed samples it succeeds on.

    δ₀'s limit b is a share of the data's root mean square, the first of `STARTS` at which the attack succeeds
    on enough of the probed samples, else the best. At such a start, let f, g and s be the medians of f⁺, ‖∇f‖
    and ‖∇S‖. The criterion's first step, of length α·c·g, shall be ρ·f/g, with c = β·f after MinMax's first
    iteration: α = ρ/(β·g²). Where the similarity would outweigh that, c starts at p·s/g, p of `_PULLS`, and α
    is smaller.

    Args:
        attack: a solver's with α and δ₀.
        model: as it is attacked.
        samples: all of those to be attacked, in [0, 1]; `MOST` of them are probed.
        auto: those to choose of alpha, delta_start and c_start.
    """
    costly = isinstance(attack.criterion, RandomCriterion) and group_of(attack.similarity) == 1
    rows = torch.linspace(0, len(samples) - 1, min(FEWER if costly else MOST, len(samples))).long()
    batch = samples.rows(rows).to(model.device)
    parts = [batch.rows(row[None]) for row in torch.arange(len(batch))] if costly else [batch]
    best, most = attack, -1.0
    for candidate in _candidates(attack, model, parts, auto):
        found = torch.cat([attack_batch(candidate, model, part).success for part in parts])
        share = float(found.double().mean())
        if share > most:
            best, most = candidate, share
        if share >= ENOUGH:
            break
    return best, most


def _candidates(
    attack: Attack, model: HookedModel, parts: Sequence[Samples], auto: frozenset[str]
) -> Iterator[Attack]:
    size = float(torch.cat([part.x for part in parts]).square().mean().sqrt())
    solver = attack.solver
    assert isinstance(solver, MinMax | Penalty)  # the caller's condition
    starts = STARTS if "delta_start" in auto and size > 0 else (None,)
    for pull in _PULLS if "alpha" in auto else _PULLS[:1]:
        for share in starts:
            started = solver if share is None else replace(solver, delta_start=share * size)
            stepped = _stepped(replace(attack, solver=started), model, parts, auto, pull)
            yield replace(attack, solver=stepped)


def _stepped(
    attack: Attack, model: HookedModel, parts: Sequence[Samples], auto: frozenset[str], least_pull: float
) -> MinMax | Penalty:
    solver = attack.solver
    assert isinstance(solver, MinMax | Penalty)
    if "alpha" not in auto:
        return solver
    if solver.step == "sign":
        moved = torch.cat([solver.start(part) - part.x for part in parts]).abs().mean()
        return replace(solver, alpha=float(moved) / 4 or solver.alpha)
    f, g, s = _sizes(attack, model, parts)
    if not (f > 0 and g > 0):  # nothing to go by: all succeed already, or nothing moves them
        return solver
    pull = least_pull * s / g
    if isinstance(solver, Penalty):
        return replace(solver, alpha=_NEWTON * f / g**2 / max(pull, 1.0))
    if "c_start" in auto and pull > solver.beta * f:
        solver = replace(solver, c_start=pull)
    return replace(solver, alpha=_NEWTON * f / g**2 / max(solver.beta * f, solver.c_start))


def _sizes(attack: Attack, model: HookedModel, parts: Sequence[Samples]) -> tuple[float, float, float]:
    """Medians over samples, where δ starts, of f⁺ (those above 0), ‖∇f‖ and ‖∇S‖."""
    f, g, s = (
        torch.cat(values) for values in zip(*(_sizes_of(attack, model, part) for part in parts), strict=True)
    )
    above = f[f > 0]
    return float(above.median()) if len(above) else 0.0, float(g.median()), float(s.median())


def _sizes_of(attack: Attack, model: HookedModel, batch: Samples) -> list[Tensor]:
    solver, similarity = attack.solver, attack.similarity
    assert isinstance(solver, MinMax | Penalty)
    with torch.no_grad():
        clean = model(batch.x)
    criterion, measure = attack.criterion.bind(model, clean, batch), similarity.bind(clean, batch)
    response = model(solver.start(batch).requires_grad_())
    f, value = criterion(response), measure(response, 0)
    for t in range(1, _LEARNT):
        value = measure(response, t)
    norms = []
    for loss in (f, value):
        norm = torch.zeros(len(batch))
        if loss.requires_grad:  # a similarity may have none
            (gradient,) = torch.autograd.grad(loss.sum(), response.x, retain_graph=True)
            norm = gradient.flatten(1).norm(dim=1)
        norms.append(norm)
    return [f.detach(), *norms]
