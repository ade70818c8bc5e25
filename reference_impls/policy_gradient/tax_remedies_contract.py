r"""Contract of averaging weights; the pre-training loss of the mix is in the contract of ``ppo_max.py``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ

contract = Contract(module="reference_impls.policy_gradient.tax_remedies", functions=("averaged",))

NAMES = ("model.embed_tokens.weight", "model.layers.0.mlp.weight", "model.layers.1.mlp.weight", "head.weight")


def weights(value: float) -> dict[str, Tensor]:
    """The same number for every weight."""
    return {name: torch.tensor([value]) for name in NAMES}


@contract.worked("A quarter of the way, and half of the way for the lower half")
def shares(tax: Any) -> None:
    r"""From 2 to 6: $\frac34 \cdot 2 + \frac14 \cdot 6 = 3$ above; $\frac12 \cdot 2 + \frac12 \cdot 6 = 4$ for
    embedding and first layer.
    """
    found = tax.averaged(weights(2.0), weights(6.0), 0.25, 0.5)
    close(torch.cat([found[name] for name in NAMES]), [4, 4, 3, 3])


@contract.limit("Both ends")
def ends(tax: Any) -> None:
    r"""0 is before, 1 is after; beyond 1 the line goes on."""
    before, after = weights(2.0), weights(6.0)
    for alpha, value in ((0.0, 2.0), (1.0, 6.0), (1.5, 8.0)):
        found = tax.averaged(before, after, alpha, alpha)
        close(torch.cat([found[name] for name in NAMES]), [value] * 4)


@contract.optimum("Linear log-probabilities: averaging is a stronger KL penalty")
def stronger_penalty(tax: Any) -> None:
    r"""A policy whose logits are its weights. Before: $(\frac12, \frac14, \frac14)$. After, at the optimum for
    $e^{r/\beta} = (16, 1, 81)$. Half of the way back the tilt is its square root, $(4, 1, 9)$: the optimum for
    $2\beta$, $(2, \frac14, \frac94) / \frac92 = (\frac49, \frac1{18}, \frac12)$.
    """
    reference = torch.tensor([1 / 2, 1 / 4, 1 / 4])
    tilt = torch.tensor([16.0, 1.0, 81.0])
    found = tax.averaged({"logits": reference.log()}, {"logits": (reference * tilt).log()}, 0.5, 0.5)
    close(found["logits"].softmax(0), [4 / 9, 1 / 18, 1 / 2])


@contract.broken("Two layers: the average is not what the average of their outputs would be")
def two_layers(tax: Any) -> None:
    r"""Layers that multiply, from $1 \cdot 1$ to $3 \cdot 3$: in the middle $2 \cdot 2 = 4$, not
    $\frac12(1 + 9) = 5$.
    """
    found = tax.averaged(weights(1.0), weights(3.0), 0.5, 0.5)
    product = found[NAMES[1]] * found[NAMES[2]]
    close(product, [4])
    differ(product, torch.tensor([5.0]), by=0.9)
