r"""Iterative DPO: a few rounds of fresh answers, the best against the worst of each prompt's own.

Papers: xiong2024iterative for DPO repeated on data of the current policy, dong2024rlhf for the recipe. Provenance:
reconstruction, compared with the authors' code (RLHFlow/Online-RLHF at 3a00ed8: ``run_loop.sh``, ``run_dpo.py``). From
it come the three rounds, the choice of the best against the worst, and the dropping of answers that score alike. That
code differs in three ways: a fitted reward model orders the answers (``labeller = "score"``), each round trains on its
own pairs alone (``data = "latest"``), and each round's *reference* is the policy that the last one ended with
(``reference = "latest"``), where the theory's objective keeps the policy of the start.

In round $t$ the policy $\pi_t$ answers each prompt $n$ times. Whoever labels gives every answer a noisy utility
$u(x, y_i) + g_i$ and the pair is

$$y_w = y_{\mathrm{arg\,max}_i (u_i + g_i)}, \qquad y_l = y_{\mathrm{arg\,min}_i (u_i + g_i)}, \qquad
  \pi_{t+1} = \mathrm{arg\,min}_\pi\, -\log\sigma\left(\beta\log\frac{\pi(y_w|x)}{\pi_{ref}(y_w|x)}
  - \beta\log\frac{\pi(y_l|x)}{\pi_{ref}(y_l|x)}\right).$$

With Gumbel noise $g$ this is Plackett and Luce's model, and for $n = 2$ Bradley and Terry's: then the optimum of
$J_\beta$ is a fixed point. For $n > 2$ it is not, since a best and a worst answer differ more surely than two plain
ones. If the reference moves, $T$ exact rounds end at $\pi_T \propto \pi_0\, e^{T r/\beta}$: with $\beta$ multiplied
by $T$ they end at the optimum again (``steady``).

A sheet of $n$ answers costs as much as $n/2$ pairs, which is what annotators have to read.

What we leave out: the fitted reward model's own training data (the bed's ``reward`` says who scores), label smoothing,
fresh prompts for every round, and the length penalty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed, Pairs
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import TransformerPolicy, frozen, trainable_copy
from reference_impls.core.training import cosine_adam, descend
from reference_impls.direct_alignment.dpo import dpo_loss

METHODS = {
    "iterative-dpo": {
        "name": "Iterative DPO",
        "paper": "xiong2024iterative",
        "category": "online-preference-optimisation",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": ["reference", "online-samples"],
        "target": "J_beta of the annotators' reward, through Bradley-Terry maximum likelihood in rounds",
        "yields": "policy",
        "preset": {},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [
            {
                "library": "RLHFlow/Online-RLHF",
                "name": "run_loop.sh",
                "difference": "a reward model orders 8 answers, and reference and data are the latest round's",
            },
        ],
        "verify_mutant": {
            "replace": [
                "return scores.argmax(-1), scores.argmin(-1)",
                "return scores.argmin(-1), scores.argmax(-1)",
            ],
            "why": "the worst answer is called the chosen one",
        },
    },
}


@dataclass(frozen=True)
class IterativeConfig:
    """Defaults for the exact bed; the released recipe's values are named where they differ."""

    rounds: int = 3
    answers: int = 2
    """Answers to each prompt, n (released recipe: 8)."""
    labeller: Literal["annotators", "score"] = "annotators"
    """Annotators with Gumbel noise, or the bed's score without any."""
    reference: Literal["start", "latest"] = "start"
    """What the log-ratios are taken against: the policy of the start, or that of the last round's end."""
    data: Literal["all", "latest"] = "all"
    """Whether updates draw from the pairs of every round so far, or of the latest."""
    steady: bool = False
    """Multiply beta by the number of rounds, which undoes what a moving reference adds up."""
    beta: float = 0.5
    """Strength of the pull to the reference (released recipe: 0.1)."""
    labels: int = 2400
    """Pairs' worth of reading in all, spread evenly over the rounds."""
    steps: int = 240
    """Updates in all, spread evenly over the rounds."""
    batch: int = 32
    """Pairs per update."""
    lr: float = 1e-3


def extremes(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Places of the best and the worst of each prompt's answers: (prompts, answers) -> (prompts,) twice."""
    return scores.argmax(-1), scores.argmin(-1)


def gumbel(uniform: Tensor) -> Tensor:
    """Gumbel noise from uniform numbers, of any shape; best of several utilities with it is a Plackett-Luce choice."""
    return -torch.log(-torch.log(uniform.clamp(min=1e-12)))


def sheets(labels: int, rounds: int, answers: int) -> int:
    """How many prompts each round can ask about if n answers cost n / 2 labels. Raises ValueError if none."""
    asked = 2 * labels // (rounds * answers)
    if asked < 1:
        raise ValueError(f"{labels} labels are too few for {rounds} rounds of {answers} answers")
    return asked


def strength(beta: float, rounds: int, steady: bool) -> float:
    """Beta of each round's loss: ``rounds`` times as large where it has to make up for a moving reference."""
    return beta * rounds if steady else beta


def ends_at(beta: float, rounds: int, moving: bool) -> float:
    """The beta of the optimum that exact rounds at ``beta`` end with: a moving reference adds the rounds up."""
    return beta / rounds if moving else beta


def asked(bed: ExactBed, policy: TransformerPolicy, config: IterativeConfig, draw: torch.Generator) -> Pairs:
    """One round's pairs: answers of the policy, ordered by whoever labels; those that score alike are dropped."""
    size = config.answers
    n = sheets(config.labels, config.rounds, size)
    rows = bed.sample_prompts(n, draw)
    tokens = bed.sample(policy, rows.repeat_interleave(size), draw).view(n, size, -1)
    places = bed.space.index(tokens.flatten(0, 1)).view(n, size)
    if config.labeller == "score":
        seen = bed.reward[rows[:, None], places]
    else:
        seen = bed.utility[rows[:, None], places]
        seen = seen + gumbel(torch.rand(n, size, generator=draw, device=bed.device))
        bed.cost["labels"] += n * size // 2
    best, worst = extremes(seen)
    each = torch.arange(n, device=bed.device)
    told = seen[each, best] > seen[each, worst]
    return Pairs(rows[told], tokens[each, best][told], tokens[each, worst][told])


def train(bed: ExactBed, config: IterativeConfig, seed: int, observe: Observe) -> Outcome:
    """In every round ask about fresh answers, then descend :func:`dpo_loss` on the pairs at hand."""
    draw = bed.generator(seed)
    policy, reference = trainable_copy(bed.reference), bed.reference
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    beta = strength(config.beta, config.rounds, config.steady)
    inner, step = config.steps // config.rounds, 0
    data = bed.preference_pairs(0, draw)
    alike = 0.0

    for _ in range(config.rounds):
        new = asked(bed, policy, config, draw)
        kept = slice(0, len(data) if config.data == "all" else 0)
        data = Pairs(*(torch.cat([getattr(data, name)[kept], x]) for name, x in vars(new).items()))
        alike = float((new.chosen == new.rejected).all(1).float().mean())
        if config.reference == "latest":
            reference = frozen(trainable_copy(policy))
        for _ in range(inner):
            picks = torch.randint(len(data), (config.batch,), generator=draw, device=bed.device)
            pairs = Pairs(*(x[picks] for x in vars(data).values()))
            prompts = bed.prompts[pairs.prompts].repeat(2, 1)
            tokens = torch.cat([pairs.chosen, pairs.rejected])
            chosen, rejected = policy.token_logps(prompts, tokens).chunk(2)
            with torch.no_grad():
                before_chosen, before_rejected = reference.token_logps(prompts, tokens).chunk(2)
            loss = dpo_loss(
                chosen,
                rejected,
                before_chosen,
                before_rejected,
                pairs.chosen_mask,
                pairs.rejected_mask,
                beta,
            )
            descend(loss.mean(), policy, optimiser)
            schedule.step()
            step += 1
            observe(step, lambda: bed.logps(policy))

    plain = config.labeller == "annotators" and config.answers == 2
    ended = ends_at(beta, config.rounds, config.reference == "latest")
    return Outcome(
        logps=bed.logps(policy),
        optimum=bed.optimum(bed.utility, ended) if plain else None,
        measures={"same_answer_twice": alike},
    )
