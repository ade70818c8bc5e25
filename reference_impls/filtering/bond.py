r"""BOND: a policy whose single samples follow the best-of-n law of another.

Paper: sessa2025bond. Provenance: per the paper's text (sections 3 and 4, algorithm 1); no official code is
public. Two details are ours: the estimate of a quantile counts the answer itself, so that its logarithm is
finite (equation 10 does not), and the policy gradient takes the other samples of the same prompt for a
baseline (theirs: of the batch). The sentence after equation 15 gives the estimated quantile as the reward;
its logarithm is meant, as in equation 8.

With $F(y)$ the anchor's probability of a reward of at most $r(y)$, the law of the best of $n$ of its answers is, up to
ties,

$$\pi_n(y) \approx n\, \pi_{anchor}(y)\, F(y)^{n-1} .$$

So it can be approached as a distribution. The loss is the Jeffreys divergence, a mixture of both directions,

$$(1 - w)\, \mathrm{KL}(\pi_n \| \pi_\theta) + w\, \mathrm{KL}(\pi_\theta \| \pi_n).$$

The first is supervised fine-tuning on the best of $n$ samples of the anchor. The second is a policy gradient with
the reward $\log F$ and the strength of the pull to the anchor $\frac1{n-1}$; here it is multiplied by $n - 1$, so that
both are in nats:

$$R(y) = (n-1) \log \hat F(y) - \log\frac{\pi_\theta(y)}{\pi_{anchor}(y)}, \qquad
\hat F(y) = \frac{1 + \#\{j : r(y_j) \le r(y)\}}{1 + k}, \quad y_1 \dots y_k \sim \pi_{anchor}.$$

- ``bond``: the anchor is the reference, and $n$ is large;
- ``iterative-bond``: $n$ is small, and several times the anchor becomes the policy. By
  $(F^n)^n = F^{n^2}$ the target of $m$ rounds is the best of $n^m$, though no more than $n$ answers are ever compared.

Where no answer carries much mass both directions have one minimiser, the best-of-n law, known exactly on the bed. Where
one does, the first ends at that law and the second at $\pi_{anchor} F^{n-1}$, normalised, which is another.

What we leave out: the exponential moving average as anchor and the two-sample reward of the paper's J-BOND, and its
additional regularisation (section 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import leave_one_out_advantage, masked_sum
from reference_impls.core.metrics import kl
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import frozen, trainable_copy
from reference_impls.core.space import PAD
from reference_impls.core.training import cosine_adam, descend
from reference_impls.filtering.best_of_n import best_of_n

METHODS = {
    "bond": {
        "name": "Best-of-n distillation (BOND)",
        "paper": "sessa2025bond",
        "category": "best-of-n",
        "provenance": "per the paper's text",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "the law of the best of n reference answers, by the Jeffreys divergence",
        "yields": "policy",
        "preset": {},
        "knob": {"name": "n", "values": [2, 4, 8, 16]},
        "dimensions": {
            "arity": "n-ary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["(n - 1) * quantiles.log()", "quantiles.log()"],
            "why": "the policy gradient descends to the best of two",
        },
    },
    "iterative-bond": {
        "name": "BOND with a moving anchor",
        "paper": "sessa2025bond",
        "category": "best-of-n",
        "provenance": "per the paper's text",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "the law of the best of n**rounds reference answers, by the Jeffreys divergence",
        "yields": "policy",
        "preset": {"n": 2, "rounds": 4},
        "knob": {"name": "rounds", "values": [1, 2, 3, 4, 5]},
        "dimensions": {
            "arity": "n-ary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": [
                "anchor = frozen(trainable_copy(policy))",
                "anchor = frozen(trainable_copy(bed.reference))",
            ],
            "why": "the anchor never moves, and the policy stays at the best of two",
        },
    },
}


@dataclass(frozen=True)
class BONDConfig:
    """Defaults for the exact bed."""

    n: int = 16
    """Answers of which the best is wanted, in each round."""
    rounds: int = 1
    """How often the policy becomes the anchor, the reference being the first."""
    backward: float = 0.5
    """w, the weight of KL(policy || best of n); 0 is supervised fine-tuning on the winners (paper: 0.5)."""
    prompts: int = 8
    samples: int = 8
    """Answers of the policy per prompt, for the policy gradient."""
    anchors: int = 16
    """Answers of the anchor per prompt: quantiles are estimated from all, winners are the best of each n."""
    steps: int = 120
    lr: float = 2e-3


def estimated_quantiles(rewards: Tensor, anchor_rewards: Tensor) -> Tensor:
    """Share of rewards at most as high, the answer itself counted: (prompts, m), (prompts, k) -> (prompts, m)."""
    at_most = (anchor_rewards[:, None, :] <= rewards[..., None]).sum(-1)
    return (1 + at_most) / (1 + anchor_rewards.shape[-1])


def winners(rewards: Tensor, n: int) -> Tensor:
    """Places of the best answer of each n: rewards (prompts, k) -> (prompts, k // n).

    Raises ValueError unless n divides k.
    """
    k = rewards.shape[-1]
    if k % n:
        raise ValueError(f"{k} answers cannot be cut into groups of {n}")
    best = rewards.view(len(rewards), k // n, n).argmax(-1)
    return best + n * torch.arange(k // n, device=rewards.device)


def distillation_reward(logps: Tensor, anchor_logps: Tensor, quantiles: Tensor, n: int) -> Tensor:
    """R = (n - 1) log F - log(pi / anchor), without gradient: log-probabilities of answers and quantiles, all alike."""
    return ((n - 1) * quantiles.log() - (logps - anchor_logps)).detach()


def jeffreys_loss(winner_logps: Tensor, logps: Tensor, advantages: Tensor, backward: float) -> Tensor:
    """Surrogate whose gradient is that of the mixture: winners (...,), samples and advantages alike -> a scalar."""
    return -(1 - backward) * winner_logps.mean() - backward * (advantages * logps).mean()


def train(bed: ExactBed, config: BONDConfig, seed: int, observe: Observe) -> Outcome:
    """Sample policy and anchor, score, and descend both directions at once."""
    draw = bed.generator(seed)
    policy, anchor = trainable_copy(bed.reference), bed.reference
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    turns = {config.steps * i // config.rounds for i in range(1, config.rounds)}

    for step in range(1, config.steps + 1):
        rows = bed.sample_prompts(config.prompts, draw)
        many, few = rows.repeat_interleave(config.anchors), rows.repeat_interleave(config.samples)
        anchored = bed.sample(anchor, many, draw)
        scores = bed.score(many, anchored).view(config.prompts, config.anchors)
        places = winners(scores, config.n)
        answers = anchored.view(config.prompts, config.anchors, -1)
        best = answers.gather(1, places[..., None].expand(-1, -1, answers.shape[-1])).flatten(0, 1)
        winning = policy.token_logps(bed.prompts[rows.repeat_interleave(places.shape[1])], best)

        tokens = bed.sample(policy, few, draw)
        mask = tokens != PAD
        logps = masked_sum(policy.token_logps(bed.prompts[few], tokens), mask).view(config.prompts, -1)
        with torch.no_grad():
            anchor_logps = masked_sum(anchor.token_logps(bed.prompts[few], tokens), mask).view(logps.shape)
        quantiles = estimated_quantiles(bed.score(few, tokens).view(logps.shape), scores)
        advantages = leave_one_out_advantage(distillation_reward(logps, anchor_logps, quantiles, config.n))
        loss = jeffreys_loss(masked_sum(winning, best != PAD), logps, advantages, config.backward)
        descend(loss, policy, optimiser)
        schedule.step()
        if step in turns:
            anchor = frozen(trainable_copy(policy))
        observe(step, lambda: bed.logps(policy))

    final = bed.logps(policy)
    target = best_of_n(bed.reference_logps, bed.reward, config.n**config.rounds)
    measures = {
        "kl_from_best_of_n": float(kl(target, final)[bed.train_rows].mean()),
        "kl_to_best_of_n": float(kl(final, target)[bed.train_rows].mean()),
    }
    return Outcome(logps=final, optimum=target, measures=measures)
