"""Views, loss, network and optimiser together: does a representation come out?"""

from dataclasses import replace

import torch

from uae_cli.contrastive import Views, nt_xent
from uae_cli.evaluation.representation import LinearProbe, Representation, represent
from uae_cli.models import SimCLR, glorot_
from uae_cli.training.lars import LARS


def standardised(features: Representation) -> Representation:
    mean, std = features.train.mean(0), features.train.std(0) + 1e-6
    return replace(features, train=(features.train - mean) / std, test=(features.test - mean) / std)


def test_contrastive_training_makes_features_that_tell_digits_apart(labelled):
    views = Views(scale=(0.3, 1.0), ratio=(0.75, 4 / 3), flip=0.0, strength=0.5, jitter=0.8, grey=0.0)
    model = SimCLR(shape=(1, 8, 8), encoder="small_conv", hidden_dim=64, projection_dim=32)
    generator = torch.Generator().manual_seed(0)
    glorot_(model, generator)
    random = represent(model.encoder, labelled, batch_size=500)
    optimizer = LARS(model.parameters(), lr=1.0, momentum=0.9, weight_decay=1e-4, trust_coefficient=1e-3)
    losses = []
    for _ in range(80):
        rows = torch.randint(len(labelled.x_train), (128,), generator=generator)
        seen = views.apply(labelled.x_train[rows], views.draw_from(generator, 128, 2))
        loss = nt_xent(model(seen), 0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    learned = represent(model.encoder, labelled, batch_size=500)

    assert sum(losses[-10:]) / 10 < losses[0] - 0.5
    probe = LinearProbe(lr=0.1, momentum=0.9, batch_size=128, epochs=20)
    assert probe.accuracy(learned, seed=0) > probe.accuracy(random, seed=0) + 20
    # Most of that is a scale of features that suits the learning rate; not all
    assert probe.accuracy(standardised(learned), seed=0) > probe.accuracy(standardised(random), seed=0) + 0.5
