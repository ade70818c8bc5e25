r"""Contract of the loss on verdicts, of the two orders, and of the votes.

The worked logits of three words are logarithms of weights $5, 3, 2$ and $1, 1, 2$.
"""

from __future__ import annotations

from math import log
from typing import Any

import torch

from reference_impls.contracts import Contract, close, differ, gradients, leaf, raises

contract = Contract(
    module="reference_impls.reward_models.generative",
    functions=("verdict_loss", "generative_loss", "both_orders", "place_bias", "tally"),
)


@contract.worked("Verdicts among three words, and their gradients")
def verdicts(module: Any) -> None:
    r"""The second word of weights $5, 3, 2$: $-\log\frac3{10}$; the third of $1, 1, 2$: $-\log\frac12$. Gradients: the
    probabilities, minus one at the word said.
    """
    logits = leaf([[log(5), log(3), log(2)], [0.0, 0.0, log(2)]])
    loss = module.verdict_loss(logits, torch.tensor([1, 2]))
    close(loss, [log(10 / 3), log(2)])
    close(gradients(loss, logits)[0], [[0.5, -0.7, 0.2], [0.25, 0.25, -0.5]])


@contract.worked("Verdicts and writing together")
def together(module: Any) -> None:
    r"""Means $\frac{1 + 3}2 = 2$ and $\frac{6 + 9 + 3}3 = 6$ with weight $\frac14$: $3.5$. Each verdict counts
    $\frac12$, each token $\frac14\cdot\frac13$.
    """
    verdict, writing = leaf([1.0, 3.0]), leaf([6.0, 9.0, 3.0])
    loss = module.generative_loss(verdict, writing, 0.25)
    close(loss, 3.5)
    by_verdict, by_token = gradients(loss, verdict, writing)
    close(by_verdict, [1 / 2, 1 / 2])
    close(by_token, [1 / 12] * 3)
    close(module.generative_loss(verdict, writing, 0.0), 2)


@contract.worked("What is left without the place, and what the place is worth")
def orders(module: Any) -> None:
    r"""Odds of $\log 8$ when shown first and, for the rival shown first, $\log\frac12$: $\frac12(\log8 + \log2) =
    \log 4$ for the answer, and $\frac12(\log 8 - \log 2) = \log 2$ for the place.
    """
    first, second = torch.tensor([log(8), 0.0]), torch.tensor([-log(2), 0.0])
    close(module.both_orders(first, second), [log(4), 0])
    close(module.place_bias(first, second), [log(2), 0])


@contract.invariant("A bias of the place leaves the verdict asked in both orders")
def bias(module: Any) -> None:
    r"""If the first place is worth $b$ in log-odds whoever stands there, both orders together do not see it, and they
    turn round with the answers; the bias does not.
    """
    true, b = torch.randn(6), torch.randn(6)
    first, second = true + b, -true + b
    close(module.both_orders(first, second), true)
    close(module.both_orders(second, first), -true)
    close(module.place_bias(first, second), b)
    close(module.place_bias(second, first), b)


@contract.worked("Four verdicts in one score")
def votes(module: Any) -> None:
    r"""Odds $\log 3, -\log 3, \log 7, 0$: their mean $\frac14\log 7$; chances $\frac34, \frac14, \frac78, \frac12$ with
    mean $\frac{19}{32}$; two of four above a half (a tie is no vote). The gradients of the first two are $\frac14$ and
    $\frac14 p (1 - p)$; a majority teaches nothing.
    """
    odds = leaf([[log(3)], [-log(3)], [log(7)], [0.0]])
    close(module.tally(odds, "odds"), [log(7) / 4])
    close(module.tally(odds, "chance"), [19 / 32])
    close(module.tally(odds, "majority"), [1 / 2])
    close(gradients(module.tally(odds, "odds"), odds)[0], [[1 / 4]] * 4)
    slopes = [[p * (1 - p) / 4] for p in (3 / 4, 1 / 4, 7 / 8, 1 / 2)]
    close(gradients(module.tally(odds, "chance"), odds)[0], slopes)
    raises(ValueError, module.tally, odds, "loudest")


@contract.limit("One vote, and words that are certain or impossible")
def ends(module: Any) -> None:
    """One vote is itself; nothing overflows."""
    odds = torch.tensor([[1.5, -0.5]])
    close(module.tally(odds, "odds"), odds[0])
    close(module.tally(odds, "chance"), torch.sigmoid(odds[0]))
    close(module.tally(odds, "majority"), [1, 0])
    logits = torch.tensor([[1000.0, 0.0], [1000.0, 0.0]])
    close(module.verdict_loss(logits, torch.tensor([0, 1])), [0, 1000])


@contract.invariant("A constant on all words; the order of questions and of votes")
def shifts(module: Any) -> None:
    """Log-odds are differences; every question's loss is its own."""
    logits, said = torch.randn(5, 4), torch.randint(4, (5,))
    loss = module.verdict_loss(logits, said)
    close(module.verdict_loss(logits + torch.randn(5, 1), said), loss)
    close(module.verdict_loss(logits.flip(0), said.flip(0)), loss.flip(0))
    odds = torch.randn(3, 2, 4)
    for vote in ("odds", "chance", "majority"):
        close(module.tally(odds.flip(0), vote), module.tally(odds, vote))
        close(module.tally(odds.flip(2), vote), module.tally(odds, vote).flip(1))


@contract.broken("Votes do not agree on what is better")
def disagreement(module: Any) -> None:
    r"""Three narrow wins and a rout: odds $0.2, 0.2, 0.2, -4$ win by majority ($\frac34$) and lose by log-odds
    ($-0.85$). Chances $3 \cdot 0.5498 + 0.0180$ leave $0.417$, below a half. A rare large error decides a mean of
    log-odds; a majority does not see it.
    """
    odds = torch.tensor([0.2, 0.2, 0.2, -4.0])
    close(module.tally(odds, "majority"), 3 / 4)
    close(module.tally(odds, "odds"), -0.85)
    close(module.tally(odds, "chance"), 0.41686, tol=1e-4)


REWARD = (0.0, log(2), log(5))


@contract.optimum("Verdicts on single answers find how often they win, which is not the reward")
def optimum(module: Any) -> None:
    r"""Three answers of rewards $0, \log2, \log5$, equally often in pairs of independent draws, labels by Bradley and
    Terry. Answer $i$ is chosen with probability $w_i = \frac13\sum_j \frac{e^{r_i}}{e^{r_i} + e^{r_j}}$, $\frac12$
    against itself: $w = \frac13(\frac12 + \frac13 + \frac16), \frac13(\frac23 + \frac12 + \frac27), \frac13(\frac56 +
    \frac57 + \frac12)$. The gradient vanishes at $\mathrm{logit}\, w$, and not at the rewards, although these are in
    the same order; for a judge of the pair it vanishes at $r_i - r_j$.
    """
    chance = [[2.718281828459045 ** (a - b) for b in REWARD] for a in REWARD]
    chance = [[c / (1 + c) for c in row] for row in chance]
    wins = torch.tensor([sum(row) / 3 for row in chance])
    close(wins, [1 / 3, (2 / 3 + 1 / 2 + 2 / 7) / 3, (5 / 6 + 5 / 7 + 1 / 2) / 3])

    def slope(odds: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        found = leaf(odds)
        logits = torch.stack([found, torch.zeros_like(found)], 1)
        yes, no = (module.verdict_loss(logits, torch.full((len(odds),), word)) for word in (0, 1))
        return gradients(truth * yes + (1 - truth) * no, found)[0]

    close(slope(torch.logit(wins), wins), [0, 0, 0], tol=1e-9)
    centred = torch.tensor(REWARD) - torch.tensor(REWARD).mean()
    differ(slope(centred, wins), torch.zeros(3), by=0.01)
    pairs = torch.tensor(chance).flatten()
    close(slope(torch.logit(pairs), pairs), torch.zeros(9), tol=1e-9)
