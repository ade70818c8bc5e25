"""A second, smaller policy for the exact bed, pre-trained like the reference on samples of the known distribution."""

from __future__ import annotations

import torch
from torch import nn

from reference_impls.beds.exact import ExactBed
from reference_impls.core.policies import TransformerPolicy, frozen
from reference_impls.core.space import PAD, SequenceSpace
from reference_impls.core.training import cosine_adam, descend


class SizedPolicy(TransformerPolicy):
    """The bed's kind of policy in another width and depth; the reference has width 64 and two layers."""

    def __init__(self, space: SequenceSpace, attributes: int, width: int, layers: int) -> None:
        """About ``8 * layers * width**2`` weights."""
        super(TransformerPolicy, self).__init__(space, attributes, width, layers)
        self.head = nn.Linear(width, space.actions, bias=False)


def small_base(bed: ExactBed, width: int, layers: int, steps: int, draw: torch.Generator) -> SizedPolicy:
    """Fit a policy of this size to samples of the known distribution, 64 of the training prompts per update."""
    policy = SizedPolicy(bed.space, bed.config.attributes, width, layers).to(bed.device)
    optimiser, schedule = cosine_adam(policy.parameters(), 1e-2, steps)
    law = bed.known_logps().exp()
    for _ in range(steps):
        rows = bed.sample_prompts(64, draw)
        tokens = bed.tokens[torch.multinomial(law[rows], 1, generator=draw).squeeze(1)]
        logps = policy.token_logps(bed.prompts[rows], tokens)
        descend(-logps.sum() / (tokens != PAD).sum(), policy, optimiser)
        schedule.step()
    return frozen(policy)
