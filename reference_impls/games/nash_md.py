r"""Nash-MD by policy gradient: win against a mixture of oneself and the reference.

Paper: munos2024nash. Provenance: reconstruction; no authors' code is known. With ``kl = "token"`` the loss agrees with
TRL's ``NashMDTrainer`` (huggingface/trl at f2cd577), see below.

For each prompt draw $y$ from the policy and $y'$ from the geometric mixture $\pi^m \propto \pi^{1-m}\pi_{ref}^m$,
mixed token by token as in practice, and ask a preference model for $P(y \succ y')$. The reward of $y$ is that chance
less one half, which is a baseline and changes no mean, less the KL penalty:

$$L(\theta) = -\Big(P(y \succ y') - \tfrac12 - \tau\,\rho(y)\Big)_{\!sg}\,\log\pi_\theta(y|x), \qquad
\rho(y) = \log\frac{\pi_\theta(y|x)}{\pi_{ref}(y|x)},$$

$sg$ standing for no gradient. Its mean gradient is that of
$-[P(\pi_\theta \succ \pi^m) - \tau\,\mathrm{KL}(\pi_\theta\| \pi_{ref})]$ with the rival held fixed.

**Where it stands still** is not the equilibrium $\pi^*_\tau$ unless $m = 0$. There the policy is the best response
$\propto \pi_{ref}\,e^{P(\cdot\succ\pi^m)/\tau}$ to its own mixture, hence (mixing whole answers)
$\pi^m \propto \pi_{ref}\,e^{(1-m)P(\cdot\succ\pi^m)/\tau}$: *the mixture is the equilibrium for $\frac{\tau}{1-m}$
and the policy its best response at $\tau$*. So a large $m$ makes a policy that is sharper than the equilibrium it was
made for. In the paper's tabular algorithm $m = \eta\tau$ falls with the learning rate (``exact.py``).

With $m = 0$ this is self-play with a KL penalty, with $m = 1$ the best response to the reference, which is IPO's
target.

``kl = "token"`` is TRL's penalty: in place of $\rho\,\log\pi$ it has the sum over tokens of log-ratio times
log-probability of the same token. Each token then answers for its own log-ratio and not for those it leads to, which
is not the gradient of the KL divergence as soon as answers have two tokens.

The policy is a table of logits, one row for every prompt and prefix, started at the reference; held-out prompts stay
there.

What we leave out: a learned preference model (annotators' chances are given exactly), a critic, the paper's variant
whose rival is a moving average of parameters, and sampling temperatures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import masked_sum
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import TabularPolicy
from reference_impls.core.space import PAD
from reference_impls.core.training import cosine_adam, descend
from reference_impls.games.exact import geometric_mixture

METHODS = {
    "nash-md": {
        "name": "Nash-MD by policy gradient",
        "paper": "munos2024nash",
        "category": "nash-learning",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": ["reference", "preference-model", "online-samples"],
        "target": "the equilibrium of the preference game at tau",
        "yields": "policy",
        "preset": {},
        "bed": {"vocab": 3, "horizon": 3, "raters": "cyclic", "game": 0.05},
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
                "name": "NashMDTrainer (experimental, to 1.13)",
                "difference": "its KL penalty is kl = token here, also for longer answers; mixture 0.5, beta 0.1",
            },
        ],
        "verify_mutant": {
            "replace": ["chance - 0.5 - tau * ratio", "chance - 0.5 + tau * ratio"],
            "why": "the penalty pushes away from the reference",
        },
    },
}


@dataclass(frozen=True)
class NashMDConfig:
    """Defaults for the exact bed. Of lr 0.03 and 0.1 the one nearer to the equilibrium on seeds 100 and 101."""

    tau: float = 0.05
    """Strength of the pull to the reference; a preference moves a quarter as fast as a reward."""
    mixture: float = 0.125
    """Weight of the reference in the rival, m."""
    kl: Literal["sequence", "token"] = "sequence"
    steps: int = 1200
    batch: int = 256
    """Answers per update."""
    rivals: int = 8
    """Answers of the mixture that each one meets (TRL: 1)."""
    lr: float = 0.03
    """Of Adam on a table of logits."""


def mixture_law(policy: TabularPolicy, reference: list[Tensor], prompts: Tensor, share: float) -> Tensor:
    """log-probability of every answer under the token-by-token mixture, without gradient: (prompts, sequences).

    ``reference`` is the reference's next-token log-probabilities at every prefix, as ``level_logps`` gives them.
    """
    with torch.no_grad():
        levels = zip(policy.level_logps(prompts), reference, strict=True)
        return policy.space.sequence_logps([geometric_mixture(own, other, share) for own, other in levels])


def nash_md_loss(
    logps: Tensor,
    reference: Tensor,
    mask: Tensor,
    chance: Tensor,
    tau: float,
    kl: Literal["sequence", "token"],
) -> Tensor:
    """Nash-MD's policy-gradient loss of each answer: only its gradient means something.

    Log-probabilities of the answer's tokens under policy and reference and the mask, (answers, tokens) each; ``chance``
    (answers,) that it beats its rival. Returns (answers,). With ``kl`` "token" it is TRL's.
    """
    total = masked_sum(logps, mask)
    if kl == "token":
        ratios = (logps - reference).detach().where(mask > 0, 0.0)
        return tau * masked_sum(ratios * logps, mask) - (chance - 0.5) * total
    ratio = masked_sum(logps - reference, mask).detach()
    return -(chance - 0.5 - tau * ratio) * total


def train(bed: ExactBed, config: NashMDConfig, seed: int, observe: Observe) -> Outcome:
    """Answer, let the mixture answer too, ask who is preferred, and take a policy-gradient step."""
    draw = bed.generator(seed)
    with torch.no_grad():
        reference = bed.reference.level_logps(bed.prompts)
    policy = TabularPolicy(bed.space, bed.prompts, reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)

    for step in range(1, config.steps + 1):
        rows = bed.sample_prompts(config.batch, draw)
        answers = bed.sample(policy, rows, draw)
        law = mixture_law(policy, reference, bed.prompts, config.mixture)[rows].exp()
        rivals = torch.multinomial(law, config.rivals, replacement=True, generator=draw)
        pairs = torch.stack(torch.broadcast_tensors(bed.space.index(answers)[:, None], rivals), -1)
        chances = bed.win_chance(rows.repeat_interleave(config.rivals), pairs.view(-1, 2))
        bed.cost["labels"] += rivals.numel()
        loss = nash_md_loss(
            policy.token_logps(bed.prompts[rows], answers),
            bed.reference_token_logps(rows, answers),
            (answers != PAD).float(),
            chances.view_as(rivals).mean(1),
            config.tau,
            config.kl,
        ).mean()
        descend(loss, policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))

    optimum = bed.nash if bed.config.game == config.tau else None
    return Outcome(logps=bed.logps(policy), optimum=optimum)
