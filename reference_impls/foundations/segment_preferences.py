r"""Learning from comparisons of segments: by a reward that adds up, or by a policy whose regret explains them.

Papers: christiano2017deep, section 2.2.3, for the reward; hejna2024contrastive for the policy (contrastive
preference learning, CPL). Provenance: the reward per the paper's text (equation 1 and the loss below it),
and it agrees with the code of one of the authors (nottombrown/rl-teacher at b2c2201, ``teach.py``); CPL per
the official code (jhejna/cpl at b333667, ``cpl_kl.py`` and ``biased_bce_with_logits``).

A segment $\sigma$ is a few successive tokens $a_t$ of an answer with what was written before each, $s_t$. If judges
compare *returns*,

$$\Pr(\sigma^1 \succ \sigma^2)
  = \mathrm{sigmoid}\Bigl(\sum_{\sigma^1} r(s_t, a_t) - \sum_{\sigma^2} r(s_t, a_t)\Bigr),$$

maximum likelihood finds the reward, up to what segments do not show, and the policy is planned with it. If they compare
*regrets*, the advantage $A^*(s_t, a_t)$ takes the reward's place, and the advantage *is* the policy:
$A^* = \beta\log\frac{\pi^*}{\pi_{ref}}$ where leaving the reference has a price. So CPL fits the policy itself:

$$L(\theta) = -\log \mathrm{sigmoid}\Bigl(\alpha \sum_{\sigma^+} \log\frac{\pi_\theta(a_t|s_t)}{\pi_{ref}(a_t|s_t)}
            - \lambda\alpha \sum_{\sigma^-} \log\frac{\pi_\theta(a_t|s_t)}{\pi_{ref}(a_t|s_t)}\Bigr).$$

With whole answers to one prompt and $\lambda = 1$ this is DPO, and the other a Bradley-Terry reward model.

**When the judges are not the assumed ones.** Taken for a reward, $A^*$ is harmless here: along an answer it adds up to
$r(x, y) - V^*(x)$, which has the same optimum. The reverse is not: a policy's log-ratios cannot be any function of
tokens, as probabilities add up to 1 after every beginning, so that returns cannot be fitted by regrets. And returns of
segments that all have the same length leave a constant per token free, which favours long or short answers; here
segments at an answer's end are shorter, which ties it down.

So that learners differ in nothing else, the reward of a token is $\alpha$ times the change of its *logit* in a copy of
the reference, where CPL takes the change of its log-probability.

What we leave out: an ensemble of rewards and choosing what to ask, judges who answer at random in a tenth
of cases or call two segments equal (the code drops these pairs), reinforcement learning with the reward
(the policy is computed), CPL's form without reference, its pre-training, and $\lambda < 1$ (the code uses
0.75 with a reference), which moves the optimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reference_impls.beds.exact import ExactBed
from reference_impls.beds.segments import segment_pairs
from reference_impls.core.estimators import masked_sum
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import TransformerPolicy, trainable_copy
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "segment-reward": {
        "name": "Reward from comparisons of segments",
        "paper": "christiano2017deep",
        "category": "preference-based-rl",
        "provenance": "per the paper's text",
        "feedback": ["pairs"],
        "needs": [],
        "target": "the likelihood of the labels, read as the policy ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"learner": "reward"},
        "bed": {"vocab": 4},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "segment",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["masked_sum(values, part)", "values.sum(-1)"],
            "why": "rewards outside the segment count too",
        },
    },
    "cpl": {
        "name": "Contrastive preference learning (CPL)",
        "paper": "hejna2024contrastive",
        "category": "preference-based-rl",
        "provenance": "per the official code",
        "feedback": ["pairs"],
        "needs": ["reference"],
        "target": "J_beta of the reward behind regrets, by maximum likelihood",
        "yields": "policy",
        "preset": {"learner": "policy", "judge": "regret"},
        "bed": {"vocab": 4},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "segment",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["alpha * (chosen - bias * rejected)", "(chosen - bias * rejected)"],
            "why": "without alpha the policy stops at the optimum for alpha = 1",
        },
    },
}


@dataclass(frozen=True)
class SegmentConfig:
    """Defaults for the exact bed; CPL's own values are named where they differ."""

    learner: Literal["reward", "policy"] = "reward"
    judge: Literal["return", "regret"] = "return"
    """What judges compare."""
    length: int = 2
    """Tokens of a segment at most (CPL: 64 steps of control); 0 compares whole answers."""
    alpha: float = 0.5
    """CPL's temperature, here the bed's beta (code: 0.1, and 0.2 with a reference); it scales the reward too."""
    bias: float = 1.0
    """CPL's lambda (code: 0.5, and 0.75 with a reference)."""
    labels: int = 16000
    steps: int = 120
    batch: int = 64
    """Pairs per update (CPL: 96 segments)."""
    lr: float = 1e-3


def segment_sum(values: Tensor, part: Tensor) -> Tensor:
    """Sum of the values of a segment's tokens: (segments, tokens) twice, the second 1 within the segment."""
    return masked_sum(values, part)


def return_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Negative log-likelihood of preferences by return: sums of rewards (pairs,) twice -> (pairs,)."""
    return -logsigmoid(chosen - rejected)


def cpl_loss(chosen: Tensor, rejected: Tensor, alpha: float, bias: float) -> Tensor:
    """CPL's loss of each pair from the sums of log-ratios of its segments: (pairs,) twice -> (pairs,)."""
    return -logsigmoid(alpha * (chosen - bias * rejected))


def train(bed: ExactBed, config: SegmentConfig, seed: int, observe: Observe) -> Outcome:
    """Fit a reward or a policy to comparisons of segments; both are a copy of the reference with its logits moved."""
    draw = bed.generator(seed)
    data = segment_pairs(bed, config.labels, config.length, config.judge, draw)
    model = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(model.parameters(), config.lr, config.steps)
    normalised = config.learner == "policy"

    def policy() -> Tensor:
        return bed.logps(model) if normalised else bed.optimum(config.alpha * reward_table(model, bed))

    for step in range(1, config.steps + 1):
        pairs = data.batch(config.batch, draw)
        rows, tokens = pairs.prompts.repeat(2), torch.cat([pairs.chosen, pairs.rejected])
        values = token_values(model, bed, rows, tokens, normalised)
        parts = torch.cat([pairs.chosen_part, pairs.rejected_part])
        chosen, rejected = segment_sum(values, parts).chunk(2)
        if normalised:
            losses = cpl_loss(chosen, rejected, config.alpha, config.bias)
        else:
            losses = return_loss(config.alpha * chosen, config.alpha * rejected)
        descend(losses.mean(), model, optimiser)
        schedule.step()
        observe(step, policy)

    logps = policy()
    scores = None if normalised else config.alpha * reward_table(model, bed)
    measures = {"extra_length": extra_length(bed, logps)}
    return Outcome(logps=logps, optimum=bed.optimum(), scores=scores, measures=measures)


def token_values(
    policy: TransformerPolicy, bed: ExactBed, rows: Tensor, tokens: Tensor, normalised: bool
) -> Tensor:
    """Change of each token's logit, or log-probability, since the reference: (n,) and (n, horizon) -> (n, horizon)."""
    prompts, before = bed.prompts[rows], tokens[:, :-1]
    logits = policy.head(policy.hidden(prompts, before))
    with torch.no_grad():
        reference = bed.reference.head(bed.reference.hidden(prompts, before))
    if normalised:
        logits, reference = logits.log_softmax(-1), reference.log_softmax(-1)
    return (logits - reference).gather(-1, (tokens - 1).clamp(min=0)[..., None]).squeeze(-1)


@torch.no_grad()
def reward_table(policy: TransformerPolicy, bed: ExactBed) -> Tensor:
    """Sum of the changes of logits along every sequence: (prompts, sequences)."""
    levels = []
    for t, ((mine, _), (theirs, _)) in enumerate(
        zip(policy.walk(bed.prompts), bed.reference.walk(bed.prompts), strict=False)
    ):
        levels.append(policy.head(mine) - bed.reference.head(theirs))
        if t == bed.space.horizon - 1:
            break
    return bed.space.sequence_logps(levels)


def extra_length(bed: ExactBed, logps: Tensor) -> float:
    """Mean length of the policy's answers minus that of the optimum's, on training prompts."""
    lengths = bed.space.mask.sum(1).to(bed.device)
    law = logps.exp() - bed.optimum().exp()
    return float((law * lengths).sum(-1)[bed.train_rows].mean())
