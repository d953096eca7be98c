"""The augmentation protocol: fit, attack, refit on every arm, evaluate (paper §4.4, Tables 4 and 10)."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import ClassVar, cast

from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli import figures
from uae_cli.arms import (
    Adversarial,
    Arm,
    ArmInputs,
    Chain,
    ChangesTraining,
    ExtraSamples,
    MatchedNoise,
    Replicate,
    ReplicateExtra,
    Transform,
    attacks_of,
    parts_of,
)
from uae_cli.attacks import Attack, FittedMoves, Nothing, RandomCriterion, Samples, Similarity
from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.evaluation.outputs import reconstruct
from uae_cli.experiment.schema import Experiment, ModelSettings, Plan, PlannedAttack, PlannedFit
from uae_cli.protocols.base import (
    ORIGINAL,
    REPLICATE,
    SHOWN,
    Line,
    Result,
    SampleLine,
    information,
    plain_metrics,
    succeeded,
    what_similarity_did,
)
from uae_cli.settings import STRICT
from uae_cli.stages import Fitted, Metrics, Stages, TensorBoard, side_by_side
from uae_cli.stages.tensorboard import similarity_quartiles
from uae_cli.training import Renewal, Trainer

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Augment:
    """Retrain on samples made of the training samples, by arm; what is set stands in `arm`."""

    reads: ClassVar[frozenset[str]] = frozenset({"arm", "augmentation", "evaluation"})

    def attacks(self, experiment: Experiment) -> dict[str, Attack]:
        """See `ProtocolSettings.attacks`."""
        return _attacks(experiment, None)

    def check_settings(self, experiment: Experiment) -> None:
        """See `ProtocolSettings.check_settings`."""
        if experiment.model.supervised or experiment.criterion.supervised:
            raise ConfigError(
                f"model = {experiment.model.name}: protocol=augmentation is for unsupervised models and "
                "criteria; use protocol=attack or protocol=robustness for classifiers"
            )
        steps = experiment.augmentation.chain
        for name, arm in (*experiment.arm.items(), *steps.items()):
            if isinstance(arm, MatchedNoise | ReplicateExtra):
                _check_of(name, arm, experiment.arm)
            if isinstance(arm, ReplicateExtra):
                _check_epochs(name, experiment.model.trainer)
        for arm in experiment.arm.values():
            if isinstance(arm, ChangesTraining):
                arm.objective(experiment.model.trainer.objective)
        rounds = experiment.augmentation.rounds
        for name, arm in experiment.arm.items():
            if rounds > 1 and isinstance(arm, Adversarial) and arm.fresh:
                raise ConfigError(
                    f"augmentation.rounds = {rounds}: arm.{name} is made anew during the training anyway; "
                    "use augmentation.rounds=1"
                )
        for name, arm in steps.items():
            if getattr(arm, "fresh", False) or isinstance(arm, ReplicateExtra):
                raise ConfigError(
                    f"augmentation.chain.{name}: belongs to the training of its own model, and can't be a "
                    f"step of a chain; use it as an arm, arm=[replicate,{name}]"
                )
            if isinstance(arm, ChangesTraining):
                raise ConfigError(
                    f"augmentation.chain.{name}: changes the training, and makes no samples that another "
                    f"step could build on; use it as an arm, arm=[replicate,{name}]"
                )
        _check_control(experiment.arm)
        arms = experiment.arm.values()
        if not experiment.evaluation and all(
            isinstance(arm, Replicate | ReplicateExtra | ChangesTraining) for arm in arms
        ):
            raise ConfigError(
                "evaluation = []: without evaluation, and without an arm that makes samples, nothing is "
                "measured; use evaluation=[reconstruction], or arm=[replicate,mine_uae]"
            )

    def check_data(self, experiment: Experiment, data: Dataset) -> None:
        """See `ProtocolSettings.check_data`; flips and rotations want images."""
        experiment.model.trainer.check_samples(len(data.x_train))
        arms = arms_of(experiment)
        for arm in arms.values():
            _check_transforms(arm, data.x_train[:1])
        for name, attack in attacks_of(arms).items():
            if attack.moves is not None:
                attack.moves.check(name, data.x_train)

    def plan(self, experiment: Experiment, data: Dataset) -> Plan:
        """See `ProtocolSettings.plan`; chains are counted with one part for each of their steps."""
        model, samples = experiment.model, len(data.x_train)
        fits = [PlannedFit(model, samples, model.trainer.epochs)] if model.weights is None else []
        found = attacks_of(arms_of(experiment))
        attacks = _attacks(experiment, data.x_train)
        for arm in arms_of(experiment).values():
            parts = len(arm.steps) if isinstance(arm, Chain) else 1
            epochs = model.trainer.refit_epochs
            if isinstance(arm, ReplicateExtra):
                cost = attacks[arm.of].solver.total_iterations * _rounds(found[arm.of], epochs)
                epochs += math.ceil(cost / (2 * model.trainer.objective.passes))
            fits += [PlannedFit(model, (1 + parts) * samples, epochs)] * arm.draws
        planned = [
            PlannedAttack(model, attack, samples * _rounds(found[name], model.trainer.refit_epochs))
            for name, attack in attacks.items()
        ]
        return Plan(fits, planned)

    def run(self, stages: Stages) -> Result:
        """See `Runnable.run`: a line for every arm, `original` first and controls before whom they judge."""
        arms, lines = arms_of(stages.experiment), list[SampleLine]()
        if (weights := stages.experiment.model.weights) is not None:
            log.info("%s is %s; what is retrained starts from scratch", ORIGINAL, weights)
        attack_first = sorted(arms, key=lambda name: not attacks_of({name: arms[name]}))
        units = [partial(_ahead, name, draw) for name in attack_first for draw in range(arms[name].draws)]
        with side_by_side(stages, units):
            original, inputs = _begun(stages, arms)
            evaluated = stages.evaluated(original)
            for name, arm in list(arms.items()):
                copies = 1 if isinstance(arm, Replicate) else len(inputs.extra(name).x) // len(inputs.x)
                control = REPLICATE if copies == 1 else f"{REPLICATE}_x{copies + 1}"
                if control not in arms:
                    arms[control] = Replicate(copies=copies)
                    lines.append(_line(control, arms[control], REPLICATE, inputs, stages, original))
                lines.append(_line(name, arm, control, inputs, stages, original))
        _tell_similarities(arms, lines)
        own = Line(arm=ORIGINAL, fitted=original, draws=[evaluated])
        return Result([own, *lines], partial(_draw, stages, own, lines))


def _tell_similarities(arms: Mapping[str, Arm], lines: Sequence[SampleLine]) -> None:
    """For every attack, what its similarity changed beside the criterion."""
    made = {line.arm: line.extra for line in lines if isinstance(arms[line.arm], Adversarial)}
    plain = [name for name in made if isinstance(cast(Adversarial, arms[name]).similarity, Nothing)]
    for name in (name for name in made if name not in plain):
        told = what_similarity_did(made[name], lines[0].samples.x, made[plain[0]] if plain else None)
        if told:
            log.info("%s, what its similarity did: %s", name, told)


def arms_of(experiment: Experiment) -> dict[str, Arm]:
    """Every arm that runs, by name: the chosen ones, their further rounds, and the chain part by part."""
    arms: dict[str, Arm] = {}
    for name, arm in experiment.arm.items():
        arms[name] = arm
        if isinstance(arm, Adversarial):
            for last in range(2, experiment.augmentation.rounds + 1):
                rounds: dict[str, Arm] = {f"round{number}": arm for number in range(1, last + 1)}
                arms[f"{name}_round{last}"] = Chain(steps=rounds)
    chain, labels, taken = experiment.augmentation.chain, list[str](), 0
    for label, members in parts_of(chain):
        labels.append(label)
        taken += len(members)
        arms["+".join(labels)] = Chain(steps=dict(islice(chain.items(), taken)))
    return arms


def _begun(stages: Stages, arms: Mapping[str, Arm]) -> tuple[Fitted, ArmInputs]:
    """The original model, and what arms make samples of, those of each arm's first draw once."""
    original = stages.original(ORIGINAL, stages.data.x_train)

    @cache
    def first_draw(name: str) -> ExtraSamples:
        return _made(name, arms[name], inputs, 0)

    inputs = _inputs(stages, original, first_draw)
    return original, inputs


def _inputs(stages: Stages, target: Fitted, extra: Callable[[str], ExtraSamples]) -> ArmInputs:
    """What arms make samples of, while `target` is the current model."""
    x = stages.data.x_train

    def attacked(
        label: str, similarity: Similarity, iterations: int | None, moves: FittedMoves | None
    ) -> ExtraSamples:
        attack = stages.experiment.triple(similarity, iterations, moves)
        return stages.attack(label, target, Samples.first(x, seed=stages.seed), attack)

    def renewed(
        similarity: Similarity, iterations: int | None, moves: FittedMoves | None, every: int, current: bool
    ) -> Renewal:
        attack = stages.experiment.triple(similarity, iterations, moves)
        return stages.renewed(attack, target, every, current=current)

    def retrained(label: str, other: Tensor) -> ArmInputs:
        return _inputs(stages, stages.refit(label, other), extra)

    def sizes(name: str) -> tuple[Tensor, int]:
        made = extra(name)
        if made.renewal is None or not made.renewal.passes:
            return (made.x - x).flatten(1).norm(dim=1)[None], 1
        return stages.sizes(_refitted(name, made, stages)), made.renewal.every

    def epochs_for(name: str) -> int:
        trainer, made = stages.experiment.model.trainer, extra(name)
        passes = made.passes
        if made.renewal is not None:
            passes += made.renewal.passes * ((trainer.refit_epochs - 1) // made.renewal.every)
        return math.ceil(passes / (2 * len(x) * trainer.objective.passes))

    return ArmInputs(x, stages.seed, attacked, renewed, extra, sizes, epochs_for, retrained)


def _made(name: str, arm: Arm, inputs: ArmInputs, draw: int) -> ExtraSamples:
    if isinstance(arm, MatchedNoise):  # now, so that its time is not counted as the noise's
        inputs.sizes(arm.of) if arm.fresh else inputs.extra(arm.of)
    start = time.perf_counter()
    extra = arm.make(name, inputs, draw)
    if extra.seconds:  # a cached attack remembers its own time, or that it has none to tell: NaN
        return extra
    return replace(extra, seconds=time.perf_counter() - start)


def _line(
    name: str, arm: Arm, control: str, inputs: ArmInputs, stages: Stages, original: Fitted
) -> SampleLine:
    """Every draw of an arm, each with a model retrained on it."""
    line: SampleLine | None = None
    samples = Samples.first(inputs.x, seed=inputs.seed)
    for draw in range(arm.draws):
        extra, fitted = _retrained(name, arm, draw, inputs, stages)
        line = line or SampleLine(arm=name, fitted=fitted, control=control, samples=samples, extra=extra)
        line.draws.append(stages.evaluated(fitted) | _sample_metrics(extra, stages, original))
    assert line is not None  # draws ≥ 1
    return line


def _retrained(
    name: str, arm: Arm, draw: int, inputs: ArmInputs, stages: Stages
) -> tuple[ExtraSamples, Fitted]:
    extra = inputs.extra(name) if draw == 0 else _made(name, arm, inputs, draw)
    label = name if arm.draws == 1 else f"{name} draw {draw + 1}"
    return extra, _refitted(label, extra, stages, _settings(arm, stages.experiment.model))


def _refitted(
    label: str, extra: ExtraSamples, stages: Stages, settings: ModelSettings | None = None
) -> Fitted:
    """A model retrained on an arm's samples, as its samples want it."""
    model = settings or stages.experiment.model
    if extra.further_epochs:
        epochs = model.trainer.refit_epochs + extra.further_epochs
        model = replace(model, trainer=replace(model.trainer, refit_epochs=epochs))
    return stages.refit(label, extra.x, model, renewal=extra.renewal)


def _ahead(name: str, draw: int, stages: Stages) -> None:
    """Make the stages of one draw of an arm."""
    arms = arms_of(stages.experiment)
    _, inputs = _begun(stages, arms)
    _retrained(name, arms[name], draw, inputs, stages)


def _settings(arm: Arm, model: ModelSettings) -> ModelSettings:
    """Of the model, trained for what the arm changes the objective to, if it does."""
    if not isinstance(arm, ChangesTraining):
        return model
    return replace(model, trainer=replace(model.trainer, objective=arm.objective(model.trainer.objective)))


def _sample_metrics(extra: ExtraSamples, stages: Stages, original: Fitted) -> Metrics:
    """Of the last part of an arm's samples; replicates have none."""
    x, last, criterion = stages.data.x_train, extra.last, stages.experiment.criterion
    if last.x is x or len(last.x) != len(x):
        return {}
    samples = Samples.first(x, seed=stages.seed)
    judged = partial(succeeded, last.target or original.model, samples, last, chunk_size=stages.chunk_size)
    success = judged(criterion)
    metrics = plain_metrics(samples, replace(last, seconds=extra.seconds), success)
    if isinstance(criterion, RandomCriterion):
        metrics["asr_fresh"] = 100 * float(judged(criterion.fresh()).double().mean())
    return metrics | information(last, success)


def _attacks(experiment: Experiment, x: Tensor | None) -> dict[str, Attack]:
    """Of every arm that attacks, by its place; without training samples as if values moved by themselves."""
    return {
        name: experiment.triple(arm.similarity, arm.iterations, None if x is None else arm.fitted_moves(x))
        for name, arm in attacks_of(arms_of(experiment)).items()
    }


def _check_control(arms: Mapping[str, Arm]) -> None:
    control = arms.get(REPLICATE)
    if control is None:
        raise ConfigError(
            "arm: replicate is missing; it is the compute-matched control without which no gain means "
            f"anything. Use arm=[{','.join([REPLICATE, *arms])}]"
        )
    if control != Replicate():
        raise ConfigError(
            "arm.replicate: is the control, which lists the samples once more; leave it as it is"
        )


def _check_transforms(arm: Arm, x: Tensor) -> None:
    if isinstance(arm, Chain):
        for step in arm.steps.values():
            _check_transforms(step, x)
    elif isinstance(arm, Transform):
        arm.apply(x, 0, "check")


def _rounds(arm: Adversarial, epochs: int) -> int:
    """How often its samples are made in so many epochs."""
    return math.ceil(epochs / arm.every) if arm.fresh else 1


def _check_of(name: str, arm: MatchedNoise | ReplicateExtra, arms: Mapping[str, Arm]) -> None:
    if arm.of not in arms:
        raise ConfigError(
            f"arm.{name}.of = {arm.of}: that arm doesn't run; use arm=[replicate,{arm.of},{name}]"
        )
    matched = arms[arm.of]
    if not isinstance(matched, Adversarial):
        raise ConfigError(f"arm.{name}.of = {arm.of}: not an arm of adversarial examples; use mine_uae")
    if isinstance(arm, MatchedNoise) and arm.same_moves and matched.moves is None:
        raise ConfigError(
            f"arm.{name}.same_moves = true: arm.{arm.of} moves every value by itself, as noise does without "
            f"it; use false, or another arm.{name}.of, as pca_uae"
        )


def _check_epochs(name: str, trainer: Trainer) -> None:
    """Equal compute needs epochs that are known beforehand."""
    for setting, plain, open_ in (
        ("early_stopping", "null", trainer.early_stopping is not None),
        ("tries", "1", trainer.tries > 1),
    ):
        if open_:
            way = f"use model.trainer.{setting}={plain}, or leave the arm out"
            raise ConfigError(
                f"arm.{name}: costs as much as another arm, which model.trainer.{setting} leaves open; {way}"
            )


def _draw(
    stages: Stages,
    original: Line,
    lines: Sequence[SampleLine],
    folder: Path,
    title: str,
    tensorboard: TensorBoard,
) -> None:
    figures.loss_curves(folder / "training_loss.png", tensorboard.losses, "training loss", title)
    tensorboard.images("original", stages.data.x_train[:SHOWN])
    models = {line.arm: line.fitted.model for line in (original, *lines)}
    for line in lines:
        if line.extra.last.success is not None:
            _draw_attack(folder, f"{title}: {line.arm}", line, original.fitted.model)
            tensorboard.attack(line.arm, line.extra.last)
            tensorboard.images(f"uae/{line.arm}", line.extra.last.x[:SHOWN])
    for evaluation in stages.experiment.evaluation.values():
        evaluation.draw(models, stages.evaluation_data, folder, title)


def _draw_attack(folder: Path, title: str, line: SampleLine, original: nn.Module) -> None:
    x, extra, path = line.samples.x, line.extra.last, folder / line.arm
    assert extra.success is not None  # the caller's condition
    rows = _image_rows(x[:SHOWN], extra.x[:SHOWN], original, line.fitted.model)
    figures.image_rows(Path(f"{path}_samples.png"), rows, title, extra.success)
    figures.largest_perturbations(Path(f"{path}_largest.png"), x, extra.x, extra.success, title)
    if extra.unit == "nats":
        found, c = (extra.trace["f"] <= 0).double().mean(0), extra.trace["c"].mean(0)
        figures.attack_curves(
            Path(f"{path}_iterations.png"), similarity_quartiles(extra), found, c, title, extra.vectors
        )


def _image_rows(x: Tensor, uae: Tensor, original: nn.Module, retrained: nn.Module) -> dict[str, Tensor]:
    delta, factor = figures.amplified(uae - x)
    rows = {"original": x, "UAE": uae, f"δ × {factor:g}": delta}
    if reconstruct(original, x[:1]).shape != x[:1].shape:  # no autoencoder
        return rows
    return rows | {
        "Φ(x)": reconstruct(original, x),
        "Φ(UAE)": reconstruct(original, uae),
        "retrained\nΦ(x)": reconstruct(retrained, x),
    }
