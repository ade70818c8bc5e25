r"""The preference game played exactly: Nash-MD's and SPPO's updates without noise, and what RLHF and IPO aim at.

Papers: munos2024nash (Nash-MD), wu2025self (the multiplicative update that SPPO approximates). Provenance:
the multiplicative update per the paper's text (equation 4.1), and so IPO's end (azar2024general, equations
8 and 9); the rest is a reconstruction, from abstracts and derivation. The notation is that of
:mod:`reference_impls.core.games`.

**Nash-MD** answers a mixture of the last policy and the reference, and steps from that mixture:

$$\pi_t^m \propto \pi_t^{1-m}\,\pi_{ref}^m, \qquad \pi_{t+1} \propto \pi_t^m\,e^{\eta P(\cdot \succ \pi_t^m)}, \qquad
m = \eta\tau.$$

*Its last iterate converges to the regularised equilibrium* $\pi^*$. Proof. Write $D_t = \mathrm{KL}(\pi^*\|\pi_t)$.
Hoeffding's lemma bounds the normaliser, $\log E_{\pi_t^m}[e^{\eta P}] \le \frac{\eta}{2} + \frac{\eta^2}{8}$, so that
$D_{t+1} \le \mathrm{KL}(\pi^*\|\pi_t^m) + \eta(\frac12 - P(\pi^* \succ \pi_t^m)) + \frac{\eta^2}{8}$. The mixture
satisfies
$\mathrm{KL}(\pi^*\|\pi_t^m) \le (1-m) D_t + m\,\mathrm{KL}(\pi^*\|\pi_{ref}) - m\,\mathrm{KL}(\pi_t^m\|\pi_{ref})$,
and the equilibrium
$\frac12 - P(\pi^*\succ\pi) \le -\tau\,\mathrm{KL}(\pi^*\|\pi_{ref}) + \tau\,\mathrm{KL}(\pi\|\pi_{ref})$. With
$m = \eta\tau$ the terms with $\pi_{ref}$ cancel:

$$D_{t+1} \le (1 - \eta\tau)\,D_t + \frac{\eta^2}{8}.$$

With $\eta_t = \frac{2}{\tau(t+2)}$ this gives $D_T \le \frac{1}{2\tau^2(T+1)}$ for every $\tau > 0$ and all
preferences.

*A constant $\eta$ leaves a bias.* Where the update stands still the mixture is the equilibrium for
$\frac{\tau}{1-m}$, and the policy is its best response at $\tau$; both tend to $\pi^*$ only as $\eta \to 0$.

**Multiplicative weights** are the same without the reference ($m = 0$):
$\pi_{t+1} \propto \pi_t\,e^{\eta P(\cdot\succ\pi_t)}$, which is what SPPO's regression aims at. If the
game has an equilibrium $\bar\pi$ that uses every answer, the last iterate goes round and away from it: by Jensen's
inequality $\mathrm{KL}(\bar\pi\|\pi_{t+1}) - \mathrm{KL}(\bar\pi\|\pi_t) = \log E_{\pi_t}[e^{\eta P}] -
\frac{\eta}{2} \ge 0$. The average of $T$ iterates is within $\frac{\log n}{\eta T} + \frac{\eta}{8}$ of
unexploitable for $n$ answers and a uniform start.

**RLHF** fits Bradley-Terry scores $s$ to pairs of reference answers and maximises $E[s] - \beta\,\mathrm{KL}$; DPO
has the same optimum. With endless pairs the scores solve $E_{y'}\,\sigma(s(y) - s(y')) = P(y \succ \pi_{ref})$ for
every $y$. **IPO** ends at $B(\pi_{ref})$, the best response to the reference. Since $\sigma$ has slope $\frac14$ at
0, $\beta = 4\tau$ agrees with the game at $\tau$ to first order.

What we leave out: everything that is learned or sampled (see ``nash_md.py`` and ``self_play.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.games import best_response, exploitability, wins_against
from reference_impls.core.metrics import tilted
from reference_impls.core.outcome import Observe, Outcome

METHODS = {
    "nash-md-exact": {
        "name": "Nash-MD, exact",
        "paper": "munos2024nash",
        "category": "nash-learning",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": ["reference", "preference-model"],
        "target": "the equilibrium of the preference game at tau",
        "yields": "distribution",
        "preset": {"solver": "nash-md"},
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
        "counterparts": [],
        "verify_mutant": {
            "replace": [
                "tilted(mixture, wins_against(preferences, mixture)",
                "tilted(mixture, 1 - mixture.exp()",
            ],
            "why": "an answer is rewarded for being rare instead of for winning",
        },
    },
    "multiplicative-weights": {
        "name": "Self-play by multiplicative weights (SPPO's exact update)",
        "paper": "wu2025self",
        "category": "self-play",
        "provenance": "per the paper's text",
        "feedback": ["pairs"],
        "needs": ["reference", "preference-model"],
        "target": "the equilibrium of the preference game without a pull to the reference, on average over iterates",
        "yields": "distribution",
        "preset": {"solver": "multiplicative-weights", "rate": 2.0},
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
        "counterparts": [],
        "verify_mutant": {
            "replace": [
                "tilted(mixture, wins_against(preferences, mixture)",
                "tilted(mixture, 1 - mixture.exp()",
            ],
            "why": "an answer is rewarded for being rare instead of for winning",
        },
    },
    "rlhf-limit": {
        "name": "RLHF and DPO with endless pairs",
        "paper": "munos2024nash",
        "category": "nash-learning",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": ["reference"],
        "target": "J_beta of the Bradley-Terry scores that fit best",
        "yields": "distribution",
        "preset": {"solver": "rlhf"},
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
        "counterparts": [],
        "verify_mutant": {
            "replace": [
                "torch.logit(wins_against(preferences, reference))",
                "torch.logit(1 - wins_against(preferences, reference))",
            ],
            "why": "losing raises a score",
        },
    },
    "ipo-limit": {
        "name": "IPO with endless pairs",
        "paper": "azar2024general",
        "category": "nash-learning",
        "provenance": "per the paper's text",
        "feedback": ["pairs"],
        "needs": ["reference"],
        "target": "E_pi[P(y beats a reference answer)] - tau KL(pi || ref)",
        "yields": "distribution",
        "preset": {"solver": "ipo"},
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
        "counterparts": [],
        "verify_mutant": {
            "replace": ["best_response(start, preferences, start, config.tau)", "start"],
            "why": "the reference itself",
        },
    },
}

SWEEPS = 400


@dataclass(frozen=True)
class ExactGameConfig:
    """tau is the bed's; the rates are not tuned."""

    solver: Literal["nash-md", "multiplicative-weights", "rlhf", "ipo"] = "nash-md"
    tau: float = 0.05
    """Strength of the pull to the reference in the game, and in IPO."""
    rate: float = 0.0
    """Learning rate eta of every update; 0 is Nash-MD's decreasing rate 2 / (tau (t + 2))."""
    beta: float = 0.2
    """RLHF's strength of the pull to the reference."""
    steps: int = 400
    """Updates of the two solvers that take steps."""


def geometric_mixture(logps: Tensor, reference: Tensor, share: float) -> Tensor:
    """log of policy^(1 - share) reference^share, normalised over the last dimension; (..., choices) -> the same."""
    return ((1 - share) * logps + share * reference).log_softmax(-1)


def mirror_step(logps: Tensor, reference: Tensor, preferences: Tensor, rate: float, tau: float) -> Tensor:
    """One update of Nash-MD: log-probabilities (prompts, answers), twice, and preferences -> (prompts, answers).

    With tau = 0 it is the multiplicative-weights update. Raises ValueError if rate * tau exceeds 1.
    """
    if rate * tau > 1 + 1e-9:
        raise ValueError(f"a rate of {rate} is too large for tau = {tau}: the mixture needs rate * tau <= 1")
    mixture = geometric_mixture(logps, reference, rate * tau)
    return tilted(mixture, wins_against(preferences, mixture), 1 / rate)


def bradley_terry_scores(reference: Tensor, preferences: Tensor) -> Tensor:
    """The Bradley-Terry scores of greatest likelihood for endless pairs of reference answers: (prompts, answers).

    Each sweep moves every score by the logit of its wanted wins less that of its wins; mean 0 under the reference.
    """
    law = reference.exp()[..., None]
    wanted = torch.logit(wins_against(preferences, reference))[..., None]
    scores = wanted
    for _ in range(SWEEPS):
        scores = scores + wanted - torch.logit(torch.sigmoid(scores - scores.mT) @ law)
    return (scores - (law * scores).sum(-2, keepdim=True)).squeeze(-1)


def train(bed: ExactBed, config: ExactGameConfig, seed: int, observe: Observe) -> Outcome:
    """Step through the game, or solve for RLHF's or IPO's optimum; nothing is sampled."""
    start, preferences = bed.reference_logps.double().log_softmax(-1), bed.preferences.double()
    if config.solver == "ipo":
        return Outcome(logps=best_response(start, preferences, start, config.tau).float())
    if config.solver == "rlhf":
        return Outcome(logps=tilted(start, bradley_terry_scores(start, preferences), config.beta).float())

    logps, total, late = start, torch.zeros_like(start), []
    tau = config.tau if config.solver == "nash-md" else 0.0
    for step in range(1, config.steps + 1):
        rate = config.rate or 2 / (config.tau * (step + 1))
        logps = mirror_step(logps, start, preferences, rate, tau)
        total = total + logps.exp()
        if step > config.steps // 2:
            late.append(exploitability(preferences, logps)[bed.train_rows].mean())
        observe(step, logps.float().clone)

    known = bed.train_rows
    average = (total / config.steps).log()
    measures = {
        "average_exploitability": float(exploitability(preferences, average)[known].mean()),
        "late_exploitability": float(torch.stack(late).mean()),
    }
    optimum = bed.nash if tau and tau == bed.config.game else None
    return Outcome(logps=logps.float(), optimum=optimum, measures=measures)
