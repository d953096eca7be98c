"""Signs that an attack on this model means nothing, in the manner of AutoAttack (Croce and Hein 2020)."""

import torch
from torch import nn

from uae_cli.attacks.attack import frozen
from uae_cli.attacks.criteria import Criterion
from uae_cli.attacks.samples import Samples
from uae_cli.models.hooked import HookedModel

_TOLERANCE = 1e-4
_MANY = 0.1  # share of samples without a gradient that is worth a word


def warnings_about(model: nn.Module, criterion: Criterion, samples: Samples) -> list[str]:
    """What is suspicious about attacking `model`, each as a line that begins with its name.

    Args:
        model: on its device; left as it was.
        criterion: of the attack.
        samples: some of those to be attacked.
    """
    with frozen(model) as attacked:
        batch = samples.to(attacked.device)
        found = [_different_answers(attacked, batch), _zero_gradients(attacked, criterion, batch)]
        if criterion.supervised:
            found.append(_softmax_outputs(attacked, batch))
    return [line for line in found if line]


@torch.no_grad()
def _different_answers(model: HookedModel, batch: Samples) -> str:
    difference = float((model(batch.x).output - model(batch.x).output).abs().max())
    if difference == 0 or (batch.x.is_cuda and difference < _TOLERANCE):  # sums on a card have no fixed order
        return ""
    return (
        f"random model: it answers the same samples differently (by up to {difference:.2g}) even in "
        "evaluation mode; success rates depend on chance, and attacks should average over several answers"
    )


def _zero_gradients(model: HookedModel, criterion: Criterion, batch: Samples) -> str:
    with torch.no_grad():
        bound = criterion.bind(model, model(batch.x), batch)
    response = model(batch.x.clone().requires_grad_())
    (gradient,) = torch.autograd.grad(bound(response).sum(), response.x)
    share = float((gradient.flatten(1).abs().amax(1) == 0).double().mean())
    if share < _MANY:
        return ""
    return (
        f"zero gradients: f has none at {100 * share:.0f} % of the samples tried, so that no gradient attack "
        "can move them; look for saturated outputs, quantisation or a detached layer"
    )


@torch.no_grad()
def _softmax_outputs(model: HookedModel, batch: Samples) -> str:
    output = model(batch.x).output
    for name, values in (("softmax", output), ("log-softmax", output.exp())):
        if bool((values >= 0).all()) and float((values.sum(1) - 1).abs().max()) < _TOLERANCE:
            return (
                f"softmax outputs: the model seems to give {name} probabilities instead of logits, whose "
                "gradients vanish where it is sure; leave out its last layer"
            )
    return ""
