"""A reference model that is asked in every step: a frozen model beside the policy, or the policy's own base."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from tokenreward_trainer.data.pair import BatchLayout
from tokenreward_trainer.model.scorable import base_of, make_scorable
from tokenreward_trainer.model.scoring import attending
from tokenreward_trainer.training.pair_scoring import without_adapter


def frozen(model: nn.Module) -> nn.Module:
    """Makes a model scorable, puts it into evaluation mode and switches its gradients off."""
    make_scorable(model)
    return model.eval().requires_grad_(False)


def frozen_copy(model: nn.Module) -> nn.Module:
    """Returns a frozen copy of a scorable model as it is now."""
    # A copy would carry along the scoring forward, which is bound to the original.
    forward = model.__dict__.pop("forward")
    copied = copy.deepcopy(model)
    model.forward = forward
    return frozen(copied)


@contextmanager
def as_reference(model: nn.Module, layout: BatchLayout) -> Iterator[None]:
    """Makes a model answer as the reference within the context.

    Its adapter is off, and it is in evaluation mode, which also keeps gradient checkpointing out.
    """
    training = model.training
    with without_adapter(model), attending(base_of(model), layout):
        model.eval()
        try:
            yield
        finally:
            model.train(training)
