r"""Prompts that pre-training knew and preference training never mentions, on which to see what is forgotten.

Prompts are split by their first attribute. On the untouched ones nobody wants anything changed, so that the known
distribution, to which the reference was fitted, is still what is right there. The *tax* is what training elsewhere
adds to the cross-entropy on them, in nats per answer:

$$\mathrm{tax}(\pi) = \mathbb{E}_{y \sim p_{known}} \log \frac{\pi_{ref}(y|x)}{\pi(y|x)}.$$
"""

from __future__ import annotations

import torch
from torch import Tensor


def visited(first: Tensor, values: int, untouched: int) -> Tensor:
    """Which prompts training may visit, by their first attribute (0 to values - 1): all but the last ``untouched``.

    Raises ValueError unless at least one value is left on either side.
    """
    if not 0 < untouched < values:
        raise ValueError(
            f"between 1 and {values - 1} values of an attribute can stay untouched, not {untouched}"
        )
    return first < values - untouched


def untouched_yardsticks(
    logps: Tensor, reference: Tensor, known: Tensor, rows: Tensor
) -> dict[str, float | None]:
    """The tax, and the divergence from the reference, on prompts ``rows``; tables are (prompts, sequences)."""
    policy, before, right = logps[rows], reference[rows], known[rows].exp()
    moved = (policy.exp() * torch.where(policy.exp() > 0, policy - before, 0.0)).sum(-1)
    return {
        "tax": float((right * (before - policy)).sum(-1).mean()),
        "untouched_kl": float(moved.mean()),
    }
