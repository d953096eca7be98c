"""What solvers share: the problem, what is found, how δ starts and moves; a solver adds how c moves."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self, runtime_checkable

import pydantic.dataclasses
import torch
from torch import Tensor
from torch.profiler import record_function

from uae_cli.attacks.criteria import BoundCriterion
from uae_cli.attacks.rows import keep
from uae_cli.attacks.samples import Samples, per_sample
from uae_cli.attacks.similarities import BoundSimilarity, Goal, Resumable
from uae_cli.models.hooked import Response
from uae_cli.randomness import uniform
from uae_cli.settings import STRICT, Count, Positive
from uae_cli.training.checkpoint import Checkpoint


@dataclass(frozen=True)
class Problem:
    """One batch's attack: criterion × similarity on a frozen model.

    Attributes:
        model: the attacked model: what it says of what the solver moves.
        batch: B clean samples.
        criterion: success means f ≤ 0.
        bind_similarity: makes S as it is before any learning; a solver may do so more than once.
        goal: whether S is minimised or maximised.
        require_positive: whether an iterate with S ≤ 0 is refused.
        saved: what an interrupted attack left; and what this one leaves, if it is interrupted.
    """

    model: Callable[[Tensor], Response]
    batch: Samples
    criterion: BoundCriterion
    bind_similarity: Callable[[], BoundSimilarity]
    goal: Goal
    require_positive: bool
    saved: Checkpoint | None = None

    @property
    def left(self) -> dict[str, Any]:
        """The state that an interrupted attack left; empty if none did."""
        return {} if self.saved is None else self.saved.state

    def save(self, state: Callable[[], dict[str, Any]]) -> None:
        """Save this state now and then, where that is wanted."""
        if self.saved is not None:
            self.saved.save_now_and_then(state)

    @property
    def x(self) -> Tensor:
        """The clean samples, (B, *shape)."""
        return self.batch.x


@dataclass(frozen=True)
class Trace:
    """What happened at each iteration: f, S and c are (B, T), as the iterates came."""

    f: Tensor
    similarity: Tensor
    c: Tensor

    @classmethod
    def of(cls, rows: Sequence[tuple[Tensor, Tensor, Tensor]]) -> "Trace":
        """That of every iteration's f, S and c, (B,) each."""
        return cls(*(torch.stack(column, dim=1) for column in zip(*rows, strict=True)))

    @property
    def rows(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Every iteration's f, S and c, (B,) each."""
        return list(zip(self.f.unbind(1), self.similarity.unbind(1), self.c.unbind(1), strict=True))

    @classmethod
    def joined(cls, traces: Sequence["Trace"]) -> "Trace":
        """One trace after another."""
        columns = zip(*(vars(trace).values() for trace in traces), strict=True)
        return cls(*(torch.cat(column, dim=1) for column in columns))


@dataclass(frozen=True)
class Found:
    """The best iterate of every sample.

    Attributes:
        x: (B, *shape) in [0, 1]; the clean sample where none succeeded.
        success: (B,) bool.
        similarity: (B,) S of the iterate kept; NaN where none succeeded.
        trace: the iterations, for curves.
    """

    x: Tensor
    success: Tensor
    similarity: Tensor
    trace: Trace

    def restrict(self, holds: Tensor, clean: Tensor) -> "Found":
        """The same, with the clean sample wherever `holds` (B,) is false."""
        return replace(
            self,
            x=torch.where(per_sample(holds, clean), self.x, clean),
            success=holds,
            similarity=self.similarity.masked_fill(~holds, torch.nan),
        )


@runtime_checkable
class Solver(Protocol):
    """Settings of a solver: how δ and the weight c of the criterion move."""

    @property
    def total_iterations(self) -> int:
        """Gradient steps that one sample costs."""
        ...

    def run(self, problem: Problem, *, on_iteration: Callable[[int], None]) -> Found:
        """Attack one batch; `on_iteration` is called with t (from 1) after each of the iterations."""
        ...

    def probe(self) -> "Solver":
        """The same with a single iteration, by which memory is measured."""
        ...


@pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=STRICT)
class Projected:
    """Settings of gradient steps that are clipped to ±ε and to [0, 1].

    Attributes:
        iterations: T, all gradient steps that a sample costs; 100 in the paper's PGD.
        epsilon: ε > 0, largest |δ| of any value; 1 leaves only the box [0, 1].
    """

    iterations: Count
    epsilon: Positive

    @property
    def total_iterations(self) -> int:
        """See `Solver.total_iterations`."""
        return self.iterations

    def probe(self) -> Self:
        """See `Solver.probe`."""
        return replace(self, iterations=1)


@pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=STRICT)
class Descent(Projected):
    """Settings of projected gradient descent on δ.

    Attributes:
        alpha: α > 0, step size of δ.
        delta_start: zero as in the paper's text; glorot as in its program, which means uniform in
            ±√(6/(fan_in + fan_out)), ±0.086 on MNIST; or a number b for uniform in ±b. Then clipped to
            the feasible box.
        step: gradient (the paper's), or sign, which moves every value by α.
    """

    alpha: Positive
    delta_start: Literal["zero", "glorot"] | Positive
    step: Literal["gradient", "sign"]

    def start(self, batch: Samples) -> Tensor:
        """The first iterate, (B, *shape) in the feasible box."""
        if self.delta_start == "zero":
            return batch.x.clone()
        glorot = self.delta_start == "glorot"
        limit = glorot_limit(tuple(batch.x.shape[1:])) if glorot else float(self.delta_start)
        return uniform_start(batch, limit, self.epsilon)

    def move(self, x: Tensor, gradient: Tensor) -> Tensor:
        """The next x + δ, (B, *shape), not yet in the feasible box."""
        return torch.sub(x, gradient.sign() if self.step == "sign" else gradient, alpha=self.alpha)


def uniform_start(batch: Samples, limit: float, epsilon: float) -> Tensor:
    """X + δ with δ uniform in ±limit, clipped to ±ε and then to [0, 1]; drawn from (seed, index)."""
    x = batch.x
    delta = uniform(batch.seed, "delta", batch.index, x[0].numel(), x.dtype).mul_(2 * limit).sub_(limit)
    return (x + delta.view_as(x).clamp_(-epsilon, epsilon)).clamp_(0, 1)


def glorot_limit(shape: tuple[int, ...]) -> float:
    """Bound of TensorFlow's default start for a variable of shape (1, H, W, C), or (1, d) for a table.

    It takes the last two axes for fan-in and fan-out and the others for a receptive field.
    """
    if len(shape) == 3:
        colours, height, width = shape
        return math.sqrt(6 / (height * width + height * colours))
    return math.sqrt(6 / (1 + math.prod(shape)))


def into_box(x: Tensor, epsilon: float) -> Callable[[Tensor], Tensor]:
    """What clips x + δ, in place, to ±ε of the clean samples x (B, *shape) and to [0, 1]."""
    if epsilon >= 1:  # nothing but [0, 1], in a pass that reads no bounds
        return lambda moved: moved.clamp_(0, 1)
    low, high = (x - epsilon).clamp_min_(0), (x + epsilon).clamp_max_(1)
    return lambda moved: moved.clamp_(low, high)


class Best:
    """The successful iterate with the best S so far, per sample.

    Args:
        problem: what is attacked.

    Attributes:
        x: (B, *shape), the clean sample where none succeeded.
        success: (B,) bool.
    """

    def __init__(self, problem: Problem) -> None:
        self._sign = 1 if problem.goal == "minimize" else -1
        self._require_positive = problem.require_positive
        self.x = problem.x.clone()
        self._score = problem.x.new_full((len(problem.x),), torch.inf)  # S, negated where it is maximised
        self.success = torch.zeros(len(problem.x), dtype=torch.bool, device=problem.x.device)

    def admits(self, f: Tensor, similarity: Tensor) -> Tensor:
        """Whether iterates count as successful at all, of any shape."""
        admitted = (f <= 0) & ~similarity.isnan()
        return admitted & (similarity > 0) if self._require_positive else admitted

    def offer(self, x: Tensor, f: Tensor, similarity: Tensor) -> None:
        """Keep x (B, *shape) wherever it is admitted and better than what is kept."""
        score = self._sign * similarity
        kept = self.admits(f, similarity) & (score < self._score)
        keep(x, kept, self.x)
        self._score = torch.where(kept, score, self._score)
        self.success |= kept

    def state_dict(self) -> dict[str, Tensor]:
        """What is kept."""
        return {"x": self.x, "score": self._score, "success": self.success}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Keep what `state_dict` gave."""
        self.x, self._score, self.success = state["x"], state["score"], state["success"]

    def found(self, trace: Trace) -> Found:
        """What is kept, with how it went."""
        similarity = (self._sign * self._score).masked_fill(~self.success, torch.nan)
        return Found(self.x, self.success, similarity, trace)


def descend(
    problem: Problem,
    start: Tensor,
    *,
    iterations: int,
    step: Callable[[Tensor, Tensor], Tensor],
    epsilon: float,
    first_c: Tensor,
    next_c: Callable[[Tensor, Tensor, int], Tensor],
    on_iteration: Callable[[int], None],
    best: Best | None = None,
    outer: Callable[[], dict[str, Any]] = dict,
) -> Found:
    """Projected descent on c·f⁺ ± S, one forward and one backward pass an iteration.

    The pass that judges an iterate is the one the next step differentiates. Losses are summed over the
    batch, so that a step doesn't depend on its size.

    Args:
        problem: what is attacked.
        start: (B, *shape) first iterate, already feasible.
        iterations: T.
        step: (x + δ, gradient) → the next x + δ, which is then clipped.
        epsilon: largest |δ| of any value.
        first_c: (B,) weights of the criterion at the start.
        next_c: (c, f⁺, t) → c after iteration t (counted from 1).
        on_iteration: called with t after each iteration, for progress bars.
        best: what earlier descents have found, which this one goes on from; None for a new one.
        outer: what belongs into the saved state beside the descent's own: `problem.left` gives it back. The
            first descent of a problem goes on from there.
    """
    clip = into_box(problem.x, epsilon)
    sign = 1 if problem.goal == "minimize" else -1
    best, c, x, measure = best or Best(problem), first_c, start, problem.bind_similarity()
    history: list[tuple[Tensor, Tensor, Tensor]] = []
    t = first = 0
    learnt = measure if isinstance(measure, Resumable) else None
    if learnt and (left := problem.left.pop("descent", None)):
        first, x, c, history = left["next"], left["x"], left["c"], Trace(**left["trace"]).rows
        best.load_state_dict(left["best"])
        learnt.load_state_dict(left["similarity"])
        for past in range(1, first):
            on_iteration(past)

    def state() -> dict[str, Any]:
        """All that iteration t + 1 depends on."""
        own = {"next": t + 1, "x": x, "c": c, "trace": vars(Trace.of(history)), "best": best.state_dict()}
        return outer() | {"descent": own | {"similarity": learnt and learnt.state_dict()}}

    for t in range(first, iterations + 1):
        x = x.detach().requires_grad_()
        candidate = problem.model(x)
        f, similarity = problem.criterion(candidate), measure(candidate, t)
        if t > 0:
            c = next_c(c, f.detach().relu(), t)
            best.offer(x.detach(), f.detach(), similarity.detach())
            history.append((f.detach(), similarity.detach(), c))
            on_iteration(t)
        if t < iterations:
            weights = (f, c * (f > 0)), (similarity, torch.full_like(similarity, sign))
            with record_function("uae.backward"):
                losses, slopes = zip(*(pair for pair in weights if pair[0].requires_grad), strict=True)
                (gradient,) = torch.autograd.grad(losses, x, slopes)
            x = clip(step(x.detach(), gradient))
            # Or two iterations' feature maps would be alive at once
            del candidate, f, similarity, weights, losses, slopes, gradient
        if learnt and 0 < t < iterations:
            problem.save(state)
    return best.found(Trace.of(history))
