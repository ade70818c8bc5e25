r"""Five losses one term away from DPO's: IPO, cDPO, robust DPO, a hinge, and DPO with a Jensen-Shannon penalty.

With the log-ratio $\rho(y) = \log\frac{\pi_\theta(y|x)}{\pi_{ref}(y|x)}$, **summed** over an answer's tokens,
$\Delta = \rho(y_w) - \rho(y_l)$ and $\ell(z) = -\log\sigma(z)$, DPO's loss of a pair is $\ell(\beta\Delta)$. Here:

- ``ipo``, azar2024general, equation 17: $(\Delta - \frac{1}{2\tau})^2$;
- ``cdpo``, a note by E. Mitchell (2023) that chowdhury2024provably compares with:
  $(1-\epsilon)\,\ell(\beta\Delta) + \epsilon\,\ell(-\beta\Delta)$;
- ``robust-dpo``, chowdhury2024provably:
  $\frac{(1-\epsilon)\,\ell(\beta\Delta) - \epsilon\,\ell(-\beta\Delta)}{1-2\epsilon}$;
- ``dpo-hinge``, liu2024statistical, equation 10 ("hinge-norm", $\beta$ being its $\gamma$):
  $\max(0, 1 - \beta\Delta)$;
- ``f-dpo-js``, wang2024beyond: $\ell(\beta f'(e^{\rho(y_w)}) - \beta f'(e^{\rho(y_l)}))$ with
  $f'(u) = \log\frac{2u}{1+u}$.

Provenance: ``cdpo`` and ``f-dpo-js`` per the official code (eric-mitchell/direct-preference-optimization at
f8b8c0f, ``label_smoothing``, which is the note's author's; alecwangcq/f-divergence-dpo at 07d9369,
``js_dpo_loss``); ``ipo`` and ``dpo-hinge`` per the papers' text; ``robust-dpo`` is a reconstruction. All
five agree with TRL's code, IPO up to a division by length. Robust DPO follows from what it promises: no
other combination of a pair's two losses has as its mean over labels flipped at rate $\epsilon$ the loss on
clean labels. The hinge is SLiC's with the log-ratio to a reference in place of the log-probability, and
without a supervised term; so it is not SLiC-HF, whatever libraries call it. The penalty of ``f-dpo-js`` is
the f-divergence with $f(u) = u\log u - (u+1)\log\frac{u+1}{2}$, twice the usual Jensen-Shannon divergence.

IPO's log-ratios are sums, as in the derivation. TRL and HALOs divide each by its answer's length, which
is another loss as soon as lengths differ; for answers of one length $n$ theirs with $\tau$ is
$\frac{1}{n^2}$ of ours with $\frac{\tau}{n}$.

With endless pairs of reference answers and labels $P(y \succ y') = \sigma(r(y) - r(y'))$, a table of
probabilities ends here, where $p(y) = E_{y'\sim\pi_{ref}}[P(y \succ y')]$:

- ``ipo``: $\rho(y) = \frac{1}{\tau}\,p(y) + c$, the optimum of $E_\pi[p] - \tau\,\mathrm{KL}(\pi\|\pi_{ref})$;
- ``cdpo``: $E_{y'\sim\pi_{ref}}\,\sigma(\beta\rho(y) - \beta\rho(y')) = \epsilon + (1-2\epsilon)\,p(y)$ for all
  $y$: no closed form beyond two answers, because smoothed Bradley-Terry labels are no longer Bradley-Terry;
- ``robust-dpo``: at DPO's optimum $\rho(y) = r(y)/\beta + c$ if labels were flipped at rate $\epsilon$. On
  labels that were not, the loss has no lower bound once some $p(y) < \epsilon$, and on any finite data;
- ``dpo-hinge``: for two answers $\rho(y_w) - \rho(y_l) = \frac1\beta$ however small the preference;
- ``f-dpo-js``: $\beta f'(e^{\rho(y)}) = r(y) - c$, the optimum of $E_\pi[r] - \beta D_f(\pi\|\pi_{ref})$. Since
  $f' < \log 2$, the best answers' rewards can differ from the rest by much more than $\beta\log 2$ only if nearly
  all mass is on them; there $f'$ is flat and the gradient faint, so training ends far from it.

What we leave out: IPO's averaged log-ratios, estimates of $\epsilon$ (it is a setting), other f-divergences,
RSO's rejection sampling, and the supervised phase that precedes DPO.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import masked_sum
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "ipo": {
        "name": "Identity Preference Optimization (IPO)",
        "paper": "azar2024general",
        "category": "generalised-preference-losses",
        "provenance": "per the paper's text",
        "feedback": ["pairs"],
        "needs": ["reference"],
        "target": "E_pi[P(y beats a reference answer)] - tau KL(pi || ref)",
        "yields": "policy",
        "preset": {"loss": "ipo"},
        "knob": {"name": "tau", "values": [0.05, 0.075, 0.1, 0.15, 0.25]},
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
                "name": "DPOTrainer, loss_type=ipo",
                "difference": "TRL divides each log-ratio by its answer's length and calls tau beta",
            },
            {
                "library": "OpenRLHF",
                "name": "DPO with --ipo",
                "difference": "none in the loss: it sums, as here",
            },
        ],
        "verify_mutant": {
            "replace": ["1 / (2 * tau)", "1 / tau"],
            "why": "twice the target of every pair is the optimum for half the tau",
        },
    },
    "cdpo": {
        "name": "Conservative DPO (cDPO)",
        "paper": "chowdhury2024provably",
        "category": "generalised-preference-losses",
        "provenance": "per the official code",
        "feedback": ["pairs"],
        "needs": ["reference"],
        "target": "the likelihood of Bradley-Terry labels smoothed by epsilon",
        "yields": "policy",
        "preset": {"loss": "cdpo"},
        "knob": {"name": "beta", "values": [0.2, 0.35, 0.5, 1.0, 2.0]},
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
                "name": "CPOTrainer, loss_type=sigmoid with label_smoothing",
                "difference": (
                    "TRL's DPOTrainer no longer smooths its sigmoid loss; CPOTrainer does, without a reference"
                ),
            },
        ],
        "verify_mutant": {
            "replace": [
                "- epsilon * logsigmoid(-beta * difference)",
                "+ epsilon * logsigmoid(-beta * difference)",
            ],
            "why": "with the other sign labels are sharpened instead of smoothed",
        },
    },
    "robust-dpo": {
        "name": "Robust DPO (rDPO)",
        "paper": "chowdhury2024provably",
        "category": "generalised-preference-losses",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": ["reference"],
        "target": "J_beta of the reward behind labels that were flipped at rate epsilon; none on clean labels",
        "yields": "policy",
        "preset": {"loss": "robust-dpo"},
        "knob": {"name": "beta", "values": [0.2, 0.35, 0.5, 1.0, 2.0]},
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
                "name": "DPOTrainer, loss_type=robust with label_smoothing",
                "difference": "none in the loss; TRL's default flip rate is 0",
            },
        ],
        "verify_mutant": {
            "replace": [
                "(1 - epsilon) * straight - epsilon * swapped",
                "(1 - epsilon) * straight + epsilon * swapped",
            ],
            "why": "with a plus it is label smoothing, which stops short where this loss goes too far",
        },
    },
    "dpo-hinge": {
        "name": "Hinge loss on log-ratios",
        "paper": "liu2024statistical",
        "category": "generalised-preference-losses",
        "provenance": "per the paper's text",
        "feedback": ["pairs"],
        "needs": ["reference"],
        "target": "the order of answers, with a margin of 1 / beta in log-ratio",
        "yields": "policy",
        "preset": {"loss": "dpo-hinge"},
        "knob": {"name": "beta", "values": [0.2, 0.35, 0.5, 1.0, 2.0]},
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
                "name": "DPOTrainer, loss_type=hinge",
                "difference": "none in the loss; TRL's documentation names SLiC beside it, which has no reference",
            },
        ],
        "verify_mutant": {
            "replace": ["(1 - beta * difference)", "(-beta * difference)"],
            "why": "without the margin a pair stops pulling as soon as it is in order",
        },
    },
    "f-dpo-js": {
        "name": "f-DPO with the Jensen-Shannon divergence",
        "paper": "wang2024beyond",
        "category": "generalised-preference-losses",
        "provenance": "per the official code",
        "feedback": ["pairs"],
        "needs": ["reference"],
        "target": "E_pi[r] - beta D_f(pi || ref), D_f twice the Jensen-Shannon divergence",
        "yields": "policy",
        "preset": {"loss": "f-dpo-js", "beta": 1.0},
        "knob": {"name": "beta", "values": [0.2, 0.35, 0.5, 1.0, 2.0]},
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
                "name": "DPOTrainer, f_divergence_type=js_divergence",
                "difference": "none in the loss; TRL's default beta is 0.1",
            },
        ],
        "verify_mutant": {
            "replace": [
                "beta * (logsigmoid(chosen_ratio) - logsigmoid(rejected_ratio))",
                "beta * (chosen_ratio - rejected_ratio)",
            ],
            "why": "with log-ratios in place of f' it is DPO",
        },
    },
}

GRID = 256
"""Values of the reward at which IPO's and cDPO's optimum is computed; errors are below 1e-4 nats."""
SWEEPS = 40
BISECTIONS = 60


@dataclass(frozen=True)
class PairwiseConfig:
    """Defaults for the exact bed; labels, steps, batch and lr are DPO's.

    Chosen among four settings each for the share of the gap in J that is closed: tau on seeds 100 and 101, beta of
    the hinge and of f-dpo-js on seed 100. The other betas are the bed's, and epsilon is not tuned.
    """

    loss: Literal["ipo", "cdpo", "robust-dpo", "dpo-hinge", "f-dpo-js"] = "ipo"
    tau: float = 0.1
    """IPO's strength of the pull to the reference; a preference probability moves a quarter as fast as a reward."""
    beta: float = 0.5
    """Every other loss's strength of the pull to the reference."""
    epsilon: float = 0.1
    """How many labels cDPO and robust DPO take to be wrong (here none are)."""
    labels: int = 8000
    """Number of labelled pairs; 0 draws and labels fresh pairs for every update."""
    steps: int = 600
    batch: int = 128
    lr: float = 1e-3


def log_ratio(policy: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """Policy over reference of each answer, in nats, summed over real tokens: (pairs, tokens) -> (pairs,)."""
    return masked_sum(policy - reference, mask)


def ipo_loss(difference: Tensor, tau: float) -> Tensor:
    """IPO, equation 17 of azar2024general: (pairs,) chosen minus rejected log-ratio -> (pairs,), in nats squared."""
    return (difference - 1 / (2 * tau)) ** 2


def cdpo_loss(difference: Tensor, beta: float, epsilon: float) -> Tensor:
    """DPO with label smoothing: (pairs,) chosen minus rejected log-ratio -> (pairs,), in nats."""
    return -(1 - epsilon) * logsigmoid(beta * difference) - epsilon * logsigmoid(-beta * difference)


def robust_dpo_loss(difference: Tensor, beta: float, epsilon: float) -> Tensor:
    """DPO's loss without the bias of flipped labels: (pairs,) chosen minus rejected log-ratio -> (pairs,), in nats.

    Raises ValueError unless the flip rate is in [0, 1/2).
    """
    if not 0 <= epsilon < 0.5:
        raise ValueError(f"a flip rate of {epsilon} cannot be corrected; it must be below one half")
    straight, swapped = -logsigmoid(beta * difference), -logsigmoid(-beta * difference)
    return ((1 - epsilon) * straight - epsilon * swapped) / (1 - 2 * epsilon)


def hinge_loss(difference: Tensor, beta: float) -> Tensor:
    """Hinge with margin 1: (pairs,) chosen minus rejected log-ratio -> (pairs,). No gradient beyond 1 / beta."""
    return (1 - beta * difference).clamp(min=0)


def js_loss(chosen_ratio: Tensor, rejected_ratio: Tensor, beta: float) -> Tensor:
    r"""DPO with $f'(u) = \log\frac{2u}{1+u}$ for $\log u$: two (pairs,) log-ratios -> (pairs,), in nats.

    $f'(e^\rho) = \log 2 + \log\sigma(\rho)$, and $\log 2$ cancels. Not a function of the difference alone.
    """
    return -logsigmoid(beta * (logsigmoid(chosen_ratio) - logsigmoid(rejected_ratio)))


def pair_loss(config: PairwiseConfig, chosen_ratio: Tensor, rejected_ratio: Tensor) -> Tensor:
    """The loss that the config names, of each pair's two log-ratios: (pairs,) -> (pairs,)."""
    difference = chosen_ratio - rejected_ratio
    match config.loss:
        case "ipo":
            return ipo_loss(difference, config.tau)
        case "cdpo":
            return cdpo_loss(difference, config.beta, config.epsilon)
        case "robust-dpo":
            return robust_dpo_loss(difference, config.beta, config.epsilon)
        case "dpo-hinge":
            return hinge_loss(difference, config.beta)
        case "f-dpo-js":
            return js_loss(chosen_ratio, rejected_ratio, config.beta)
    raise ValueError(f"unknown loss {config.loss!r}")


def train(bed: ExactBed, config: PairwiseConfig, seed: int, observe: Observe) -> Outcome:
    """Fit a copy of the reference to preference pairs by gradient descent on :func:`pair_loss`."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    data = bed.preference_pairs(config.labels, draw)

    for step in range(1, config.steps + 1):
        pairs = data.batch(config.batch, draw) if config.labels else bed.preference_pairs(config.batch, draw)
        both = policy.token_logps(
            bed.prompts[pairs.prompts].repeat(2, 1), torch.cat([pairs.chosen, pairs.rejected])
        )
        chosen, rejected = both.chunk(2)
        reference_chosen = bed.reference_token_logps(pairs.prompts, pairs.chosen)
        reference_rejected = bed.reference_token_logps(pairs.prompts, pairs.rejected)
        loss = pair_loss(
            config,
            log_ratio(chosen, reference_chosen, pairs.chosen_mask),
            log_ratio(rejected, reference_rejected, pairs.rejected_mask),
        ).mean()
        descend(loss, policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))

    optimum = population_optimum(config, bed.reference_logps, bed.utility)
    return Outcome(logps=bed.logps(policy), optimum=optimum)


def population_optimum(config: PairwiseConfig, reference: Tensor, reward: Tensor) -> Tensor | None:
    """Log-probabilities where the loss is least with endless Bradley-Terry labels of reference answers.

    Both arguments are (prompts, answers), and so is the result; None for the losses that have no such point.
    """
    start = reference.double().log_softmax(-1)
    if config.loss in ("robust-dpo", "dpo-hinge"):
        return None
    rows = []
    for law, utility in zip(start.exp(), reward.double(), strict=True):
        if config.loss == "ipo":
            rows.append(ipo_optimum(utility, law, config.tau))
        elif config.loss == "cdpo":
            rows.append(cdpo_optimum(utility, law, config.beta, config.epsilon))
        else:
            rows.append(js_optimum(utility, law, config.beta))
    return (start + torch.stack(rows)).log_softmax(-1).to(reference.dtype)


def ipo_optimum(utility: Tensor, law: Tensor, tau: float) -> Tensor:
    """Log-ratios of one prompt's answers, (answers,), at IPO's optimum, up to a shift."""
    grid, weights = on_grid(utility)
    return win_rates(utility, grid, law @ weights) / tau


def cdpo_optimum(utility: Tensor, law: Tensor, beta: float, epsilon: float) -> Tensor:
    """Log-ratios of one prompt's answers, (answers,), at cDPO's optimum, up to a shift.

    Answers of equal reward have equal log-ratio there, so it is solved on a grid of rewards: each sweep moves
    every grid point by its surplus of wanted wins over the slope of its wins.
    """
    grid, weights = on_grid(utility)
    mass = law @ weights
    wanted = epsilon + (1 - 2 * epsilon) * win_rates(grid, grid, mass)
    scores = torch.logit(wanted)
    for _ in range(SWEEPS):
        beats = torch.sigmoid(scores[:, None] - scores)
        scores = scores + (wanted - beats @ mass) / ((beats * (1 - beats)) @ mass)
    return weights @ scores / beta


def js_optimum(utility: Tensor, law: Tensor, beta: float) -> Tensor:
    """Log-ratios of one prompt's answers, (answers,), at the optimum with the Jensen-Shannon penalty.

    ``level`` is the reward at which the log-ratio would be 0; the one that makes probabilities sum to 1 is found
    by bisection.
    """
    best = utility.max()
    short, far = best - beta * log(2), best
    for _ in range(BISECTIONS):
        level = (short + far) / 2
        if (law * js_log_ratio((utility - level) / beta).exp()).sum() > 1:
            short = level
        else:
            far = level
    return js_log_ratio((utility - far) / beta)


def js_log_ratio(slope: Tensor) -> Tensor:
    r"""$\log u$ where $f'(u) = \log\frac{2u}{1+u}$ is ``slope`` (below log 2); any shape."""
    return slope - torch.log(2 - slope.exp())


def win_rates(scores: Tensor, rivals: Tensor, mass: Tensor) -> Tensor:
    """Bradley-Terry probability of each score, (n,), to beat a rival of (m,) drawn with probability mass (m,)."""
    return torch.sigmoid(scores[:, None] - rivals) @ mass


def on_grid(utility: Tensor) -> tuple[Tensor, Tensor]:
    """Evenly spaced values over the range of (answers,), and each answer's weights on its two neighbours there.

    Returns (grid,) and (answers, grid). With weights W, ``law @ W`` puts a law of answers on the grid and
    ``W @ values`` interpolates.
    """
    low, high = utility.min(), utility.max()
    steps = torch.arange(GRID, dtype=utility.dtype, device=utility.device)
    place = (utility - low) / (high - low) * (GRID - 1)
    weights = (1 - (place[:, None] - steps).abs()).clamp(min=0)
    return low + (high - low) * steps / (GRID - 1), weights
