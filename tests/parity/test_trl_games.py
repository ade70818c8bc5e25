"""SPPO on pairs with hard labels and SPIN, and TRL's ``DPOTrainer`` with the matching options.

Nash-MD's trainer is one of those that TRL has dropped: see dropped/.
"""

from types import ModuleType

import pytest
import torch
from stand_ins import SEEDS, Answers, Loss, agree, disagree, random_answers
from test_trl_dpo import ROWS
from test_trl_pairwise import theirs
from torch import Tensor

from reference_impls.direct_alignment.dpo import dpo_loss
from reference_impls.games.self_play import sppo_loss


def sppo(pairs: Answers, eta: float, level: float = 0.0) -> Loss:
    """Sum of both answers' errors, mean over pairs; the first half of the rows is chosen and has win rate 1."""
    half = len(pairs.mask) // 2
    wins = torch.cat([torch.ones(half), torch.zeros(half)]).double() + level
    return lambda logps: sppo_loss(logps, pairs.reference, pairs.mask, wins, eta).sum() / half


def spin(pairs: Answers, lam: float) -> Loss:
    """SPIN's loss with the first half of the rows as demonstrations and the last policy as the reference."""
    (shown, played), (real, made) = pairs.reference.chunk(2), pairs.mask.chunk(2)

    def mean(logps: Tensor) -> Tensor:
        demonstration, own = logps.chunk(2)
        return dpo_loss(demonstration, own, shown, played, real, made, lam).mean()

    return mean


@pytest.mark.parametrize("eta", [0.5, 4.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_sppo_with_hard_labels_agrees(trl: ModuleType, seed: int, eta: float) -> None:
    pairs = random_answers(seed, ROWS)
    peer = theirs(trl, pairs, 1 / eta, loss_types=["sppo_hard"])
    agree(sppo(pairs, eta), peer, pairs.logps)
    disagree(sppo(pairs, 1 / eta), peer, pairs.logps)
    disagree(sppo(pairs, eta, level=0.25), peer, pairs.logps)


@pytest.mark.parametrize("seed", SEEDS)
def test_spin_agrees(trl: ModuleType, seed: int) -> None:
    pairs = random_answers(seed, ROWS)
    peer = theirs(trl, pairs, 0.7)
    agree(spin(pairs, 0.7), peer, pairs.logps)
    disagree(spin(pairs, 0.6), peer, pairs.logps)
