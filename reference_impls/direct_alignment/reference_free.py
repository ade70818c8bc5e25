r"""Four losses on pairs that need no reference model: SimPO, CPO, ORPO and SLiC-HF.

Everything is read off the policy's own log-probability of an answer, $\log\pi(y)$, summed over its $|y|$ tokens, or
off the mean per token, $\log\bar p(y) = \frac{1}{|y|}\log\pi(y)$. With $\ell(z) = -\log\sigma(z)$ the loss of a pair is

- ``simpo``, meng2024simpo: $\ell(\beta\log\bar p(y_w) - \beta\log\bar p(y_l) - \gamma)$;
- ``cpo``, xu2024contrastive: $\ell(\beta\log\pi(y_w) - \beta\log\pi(y_l)) + \alpha\,\mathrm{NLL}(y_w)$;
- ``orpo``, hong2024orpo: $\mathrm{NLL}(y_w) + \lambda\,\ell(o(y_w) - o(y_l))$ with the log-odds
  $o(y) = \log\frac{\bar p(y)}{1 - \bar p(y)}$;
- ``slic-hf``, zhao2023slic: $\max(0, \delta - \log\pi(y_w) + \log\pi(y_l)) - \lambda\log\pi(y_{sft})$, where
  $y_{sft}$ is a demonstration of the kind that the starting policy was fitted to.

NLL is the mean over all tokens of the batch's chosen answers, as in the code of CPO's and of ORPO's authors; the
papers write $-\log\pi(y_w)$ for CPO, which is $\alpha$ times the mean length.

Provenance: the first three per the official code (princeton-nlp/SimPO at 1b3e8f3; the trainer that CPO's
author contributed to TRL in d1df79f, for fe1ixxu/ALMA now holds a later variant; xfactlab/orpo at 208d2d6,
which counts the prompt's tokens in the NLL unless told otherwise). SLiC-HF, which had no public code, is a
reconstruction from equation 1 of liu2024statistical, where largely the same authors state its loss again:
$y_{sft}$ comes from the data of the supervised phase. HALOs at 4831988 takes the chosen answer in its place.

There is no reference in these losses, but two things still come from it: the pairs, and where training starts. With
endless pairs of reference answers and labels $P(y \succ y') = \sigma(r(y) - r(y'))$ a table of probabilities ends here:

- ``simpo`` with $\gamma = 0$: $\beta\log\bar p(y) = r(y) + c$, so $\pi(y) = e^{|y|(r(y) + c)/\beta}$, with the one $c$
  for which probabilities sum to 1. Nothing of the reference is left: if all answers were equally good, every token
  would be equally likely. A margin stretches small preferences: between two answers
  $e^{r - r'} = \sigma(\gamma + z)/\sigma(\gamma - z)$ for the difference $z$ of scores; no closed form beyond two;
- ``simpo`` without the division by length (and margin), and ``cpo`` with $\alpha = 0$: $\pi \propto e^{r/\beta}$,
  DPO's optimum for a reference that is uniform over answers, most of which are long;
- ``cpo``: where $\alpha'(\pi(y) - w(y)) = 2\beta\pi_{ref}(y)\,(p(y) - q(y))$, with $p$ an answer's win rate over
  reference answers, $w = 2\pi_{ref}\,p$ the law of chosen answers, $q$ the win rate that the policy's
  $\beta\log\pi$ implies, and $\alpha'$ the weight per answer. Its two ends are $e^{r/\beta}$ and $w$;
- ``orpo``: the odds term alone would end at $\pi(y) = \sigma(r(y) + c)^{|y|}$, the NLL at $w$;
- ``slic-hf``: $\pi(y) = \pi_{ref}(y)\,(1 + \frac2\lambda(2p(y) - 1))$ if every pair stays inside the margin, a tilt
  of the reference that is linear in win rates. Elsewhere the hinge asks for an order only, and no closed form is left.

What we leave out: ORPO's prompt tokens, SLiC-HF's ranking of the policy's own samples, CPO's three translations,
label smoothing, and the supervised phase that precedes SimPO.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reference_impls.beds.drift import drift
from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import masked_mean, masked_sum
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.space import PAD
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "simpo": {
        "name": "Simple preference optimization (SimPO)",
        "paper": "meng2024simpo",
        "category": "reference-free-alignment",
        "provenance": "per the official code",
        "feedback": ["pairs"],
        "needs": [],
        "target": (
            "per-token log-probabilities that differ by rewards over beta, whatever the reference (margin 0); with a "
            "margin no closed form"
        ),
        "yields": "policy",
        "preset": {"loss": "simpo"},
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
                "library": "TRL",
                "name": "CPOTrainer, loss_type=simpo, cpo_alpha=0",
                "difference": "none in the loss; with TRL's default cpo_alpha of 1 it is CPO-SimPO",
            },
            {
                "library": "princeton-nlp/SimPO",
                "name": "SimPOTrainer",
                "difference": "its gamma_beta_ratio is gamma / beta",
            },
        ],
        "verify_mutant": {
            "replace": ["chosen_score - rejected_score) - gamma", "chosen_score + rejected_score) - gamma"],
            "why": "with a plus both answers of a pair are made more likely",
        },
    },
    "cpo": {
        "name": "Contrastive preference optimization (CPO)",
        "paper": "xu2024contrastive",
        "category": "reference-free-alignment",
        "provenance": "per the official code",
        "feedback": ["pairs"],
        "needs": [],
        "target": "none in closed form: between exp(r / beta) and the law of chosen answers",
        "yields": "policy",
        "preset": {"loss": "cpo", "beta": 0.25},
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
                "library": "TRL",
                "name": "CPOTrainer, loss_type=sigmoid",
                "difference": "none; TRL's default beta is 0.1",
            },
        ],
        "verify_mutant": {
            "replace": ["+ supervised * nll", "- supervised * nll"],
            "why": "it makes chosen answers less likely",
        },
    },
    "orpo": {
        "name": "Odds ratio preference optimization (ORPO)",
        "paper": "hong2024orpo",
        "category": "reference-free-alignment",
        "provenance": "per the official code",
        "feedback": ["pairs"],
        "needs": [],
        "target": "none in closed form: the law of chosen answers, tilted by the odds of the mean token",
        "yields": "policy",
        "preset": {"loss": "orpo"},
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
                "library": "TRL",
                "name": "ORPOTrainer",
                "difference": "TRL's NLL also counts the tokens of the prompt; its beta is lambda",
            },
        ],
        "verify_mutant": {
            "replace": ["nll - odds * logsigmoid", "nll + odds * logsigmoid"],
            "why": "with a plus the odds of the rejected answer are raised",
        },
    },
    "slic-hf": {
        "name": "Sequence likelihood calibration with human feedback (SLiC-HF)",
        "paper": "zhao2023slic",
        "category": "sequence-likelihood-calibration",
        "provenance": "reconstruction",
        "feedback": ["pairs", "demonstrations"],
        "needs": [],
        "target": (
            "inside the margin the demonstrations' law times 1 + 2 (2 p - 1) / lambda, p the win rate; no closed form "
            "beyond it"
        ),
        "yields": "policy",
        "preset": {"loss": "slic-hf"},
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
                "library": "HALOs",
                "name": "SLiCTrainer",
                "difference": "its supervised term is on the chosen answer; its beta is delta",
            },
            {
                "library": "TRL",
                "name": "DPOTrainer, loss_type=hinge",
                "difference": "another loss: log-ratios to a reference and no supervised term",
            },
        ],
        "verify_mutant": {
            "replace": ["margin - (chosen_sum - rejected_sum)", "margin + (chosen_sum - rejected_sum)"],
            "why": "the hinge enforces the opposite order",
        },
    },
}

BISECTIONS = 60


@dataclass(frozen=True)
class ReferenceFreeConfig:
    """Defaults for the exact bed: about one pass over the labels, as for DPO beside them.

    Chosen on seed 100 for the share of the gap in J that is closed, among four settings each: SimPO's (beta, gamma)
    among (1, 0), (2, 0), (2, 1) and (5, 2); CPO's (beta, supervised) among 0.25 or 0.5 and 0.3 or 1; ORPO's odds
    among 4, 10, 20 and 40; SLiC-HF's (margin, supervised) among 4 or 10 and 0.3 or 1. A first grid with weaker
    preference terms had its best at the edge.
    """

    loss: Literal["simpo", "cpo", "orpo", "slic-hf"] = "simpo"
    beta: float = 2.0
    """What SimPO's and CPO's differences are multiplied by (their code: 2 and 0.1)."""
    gamma: float = 1.0
    """SimPO's margin, in nats of the labels' log-odds (its code: a quarter of beta)."""
    normalise: bool = True
    """Whether SimPO's score is the mean over tokens; the sum otherwise."""
    supervised: float = 0.3
    """Weight of the supervised term: alpha of CPO (its trainer: 1), lambda of SLiC-HF."""
    odds: float = 20.0
    """ORPO's lambda, the weight of the odds ratio's term (authors' code: 1; TRL: 0.1)."""
    margin: float = 10.0
    """SLiC-HF's delta, in nats of a whole answer."""
    labels: int = 8000
    """Number of labelled pairs; 0 draws and labels fresh pairs for every update."""
    steps: int = 150
    batch: int = 64
    lr: float = 1e-3


def token_nll(logps: Tensor, mask: Tensor) -> Tensor:
    """Negative log-likelihood of each answer over the batch's mean length: (answers, tokens) -> (answers,).

    Its mean over the batch is the mean over all real tokens of the batch, in nats per token.
    """
    return -masked_sum(logps, mask) / mask.sum(-1).mean()


def log_odds(logp: Tensor) -> Tensor:
    r"""$\log\frac{p}{1-p}$ of log-probabilities below 0; any shape. Precise where $p$ is near 1."""
    return logp - torch.log(-torch.expm1(logp))


def simpo_loss(chosen_score: Tensor, rejected_score: Tensor, beta: float, gamma: float) -> Tensor:
    """SimPO: mean log-probability per token of both answers, (pairs,) -> (pairs,), in nats."""
    return -logsigmoid(beta * (chosen_score - rejected_score) - gamma)


def cpo_loss(chosen_sum: Tensor, rejected_sum: Tensor, nll: Tensor, beta: float, supervised: float) -> Tensor:
    """CPO: summed log-probabilities and the chosen answers' NLL, all (pairs,) -> (pairs,), in nats."""
    return -logsigmoid(beta * (chosen_sum - rejected_sum)) + supervised * nll


def orpo_loss(chosen_mean: Tensor, rejected_mean: Tensor, nll: Tensor, odds: float) -> Tensor:
    """ORPO: mean log-probabilities per token and the chosen answers' NLL, all (pairs,) -> (pairs,), in nats."""
    return nll - odds * logsigmoid(log_odds(chosen_mean) - log_odds(rejected_mean))


def slic_loss(
    chosen_sum: Tensor, rejected_sum: Tensor, target_sum: Tensor, margin: float, supervised: float
) -> Tensor:
    """SLiC-HF: summed log-probabilities of a pair and of a demonstration, all (pairs,) -> (pairs,), in nats."""
    return (margin - (chosen_sum - rejected_sum)).clamp(min=0) - supervised * target_sum


def pair_loss(
    config: ReferenceFreeConfig,
    chosen: Tensor,
    rejected: Tensor,
    target: Tensor,
    chosen_mask: Tensor,
    rejected_mask: Tensor,
    target_mask: Tensor,
) -> Tensor:
    """The loss that the config names, of log-probabilities of tokens: (pairs, tokens) each -> (pairs,), in nats.

    ``target`` is the answer of SLiC-HF's supervised term and is not used by the others.
    """
    match config.loss:
        case "simpo":
            score = masked_mean if config.normalise else masked_sum
            return simpo_loss(
                score(chosen, chosen_mask), score(rejected, rejected_mask), config.beta, config.gamma
            )
        case "cpo":
            return cpo_loss(
                masked_sum(chosen, chosen_mask),
                masked_sum(rejected, rejected_mask),
                token_nll(chosen, chosen_mask),
                config.beta,
                config.supervised,
            )
        case "orpo":
            return orpo_loss(
                masked_mean(chosen, chosen_mask),
                masked_mean(rejected, rejected_mask),
                token_nll(chosen, chosen_mask),
                config.odds,
            )
        case "slic-hf":
            return slic_loss(
                masked_sum(chosen, chosen_mask),
                masked_sum(rejected, rejected_mask),
                masked_sum(target, target_mask),
                config.margin,
                config.supervised,
            )
    raise ValueError(f"unknown loss {config.loss!r}")


def train(bed: ExactBed, config: ReferenceFreeConfig, seed: int, observe: Observe) -> Outcome:
    """Fit a copy of the reference to preference pairs by gradient descent on :func:`pair_loss`."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    data = bed.preference_pairs(config.labels, draw)
    demonstrations = bed.known_logps().exp() if config.loss == "slic-hf" else None

    for step in range(1, config.steps + 1):
        pairs = data.batch(config.batch, draw) if config.labels else bed.preference_pairs(config.batch, draw)
        answers = [pairs.chosen, pairs.rejected]
        if demonstrations is not None:
            shown = torch.multinomial(demonstrations[pairs.prompts], 1, generator=draw).squeeze(1)
            answers.append(bed.tokens[shown])
        rows = bed.prompts[pairs.prompts].repeat(len(answers), 1)
        parts = policy.token_logps(rows, torch.cat(answers)).chunk(len(answers))
        masks = [(tokens != PAD).float() for tokens in answers]
        chosen, rejected, target = parts[0], parts[1], parts[-1]
        loss = pair_loss(config, chosen, rejected, target, masks[0], masks[1], masks[-1]).mean()
        descend(loss, policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))

    logps = bed.logps(policy)
    optimum = population_optimum(config, bed.utility, bed.space.mask.sum(1).to(bed.device))
    return Outcome(logps=logps, optimum=optimum, measures=drift(bed, logps, data))


def population_optimum(config: ReferenceFreeConfig, reward: Tensor, lengths: Tensor) -> Tensor | None:
    """Log-probabilities where the loss is least with endless Bradley-Terry labels, if that has a closed form.

    ``reward`` is (prompts, answers), and so is the result; ``lengths`` is (answers,). None for all but SimPO
    without a margin and CPO without its supervised term.
    """
    if config.loss == "simpo" and not config.gamma:
        return per_token_optimum(
            reward / config.beta, lengths if config.normalise else torch.ones_like(lengths)
        )
    if config.loss == "cpo" and not config.supervised:
        return (reward / config.beta).log_softmax(-1)
    return None


def per_token_optimum(scores: Tensor, lengths: Tensor) -> Tensor:
    """Log-probabilities whose mean per token is each answer's score plus a constant of the prompt.

    ``scores`` is (prompts, answers), ``lengths`` (answers,). The constant is found by bisection: at minus the highest
    score one answer alone has probability 1, and log(answers) below that none has more than its equal share.
    """
    scores = scores.double()
    high = -scores.amax(-1, keepdim=True)
    low = high - log(scores.shape[-1])
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        total = (lengths * (scores + middle)).logsumexp(-1, keepdim=True)
        low, high = torch.where(total > 0, low, middle), torch.where(total > 0, middle, high)
    return lengths * (scores + low)
