r"""Training a policy on rankings: RRHF and PRO, and DPO on the same rankings as their rival.

A sheet holds $n$ answers to one prompt, from best to worst. An answer's score is either its mean log-probability per
token or its log-ratio to a reference,

$$p_i = \frac{1}{|y_i|} \log \pi_\theta(y_i|x), \qquad
s_i = \beta \log \frac{\pi_\theta(y_i|x)}{\pi_{ref}(y_i|x)}.$$

- ``rrhf``, yuan2023rrhf: a hinge for each pair in the wrong order, and the likelihood of the best answer,
  $\sum_{r_i < r_j} \max(0, p_i - p_j) - \log \pi_\theta(y_{best}|x)$;
- ``pro``, song2024preference: the likelihood of the ranking and of the best answer,
  $-\sum_{k<n} \log \frac{e^{p_k}}{\sum_{i \ge k} e^{p_i}} - \alpha (n-1)^2 \log \pi_\theta(y_1|x)$. With reward values
  each term gets temperatures: $p_i$ is divided by $T_k^i = 1 / (r_k - r_i)$ and $p_k$ by the least of these,
  $T_k^k = \min_{i > k} T_k^i$, so that answers of nearly equal reward are hardly pushed apart;
- ``dpo-plackett-luce``, rafailov2023direct (appendix A.3): PRO's first term for $s$ in place of $p$;
- ``dpo-all-pairs``: DPO's loss $-\log\sigma(s_i - s_j)$ for each of the $n(n-1)/2$ pairs. In a Plackett-Luce ranking
  every pair is ordered as Bradley and Terry say, so both DPOs have $\pi_{ref} e^{r/\beta}$ for optimum.

The hinge is content with any order, however small the margins, and the first two have no reference: where they end
depends on the supervised term, on the candidates and on where training starts.

Provenance: RRHF per the official code (GanjinZero/RRHF at 972e12e), except that the supervised term is the
sum over the answer's tokens as in the paper, where the code takes the mean over the padded row, prompt
included. PRO per the official code (AlibabaResearch/DAMO-ConvAI at 64f4da7, ``process_manager.py``), which
always has temperatures; without reward values we take $T = 1$, as in the paper's first form. DPO on
rankings per the paper's text (appendix A.3); on all pairs it is a reconstruction.

What we leave out: candidates from other models and from people, reward models that score the candidates, and PRO's
repeated sampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reference_impls.beds.exact import ExactBed
from reference_impls.beds.feedback import Sheets, rankings
from reference_impls.core.estimators import masked_mean, masked_sum
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.space import PAD
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "rrhf": {
        "name": "Rank responses to align language models with human feedback (RRHF)",
        "paper": "yuan2023rrhf",
        "category": "ranking-losses",
        "provenance": "per the official code",
        "feedback": ["ranking"],
        "needs": [],
        "target": "the annotators' order by mean log-probability per token, and the likelihood of the best answers",
        "yields": "policy",
        "preset": {"loss": "rrhf"},
        "knob": None,
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
                "scores[..., :, None] - scores[..., None, :]",
                "scores[..., None, :] - scores[..., :, None]",
            ],
            "why": "pairs in the right order are pushed apart the wrong way",
        },
    },
    "pro": {
        "name": "Preference Ranking Optimization (PRO)",
        "paper": "song2024preference",
        "category": "ranking-losses",
        "provenance": "per the official code",
        "feedback": ["ranking"],
        "needs": [],
        "target": "the likelihood of the rankings by mean log-probability per token, and of the best answers",
        "yields": "policy",
        "preset": {"loss": "pro", "supervised": 0.05, "lr": 3e-4},
        "knob": None,
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
            "replace": ["rest.sum(-1) - scores.sum(-1)", "rest.sum(-1) + scores.sum(-1)"],
            "why": "the higher an answer is ranked, the less likely it becomes",
        },
    },
    "dpo-plackett-luce": {
        "name": "DPO on rankings (Plackett-Luce)",
        "paper": "rafailov2023direct",
        "category": "ranking-losses",
        "provenance": "per the paper's text",
        "feedback": ["ranking"],
        "needs": ["reference"],
        "target": "J_beta of the annotators' reward, through Plackett-Luce maximum likelihood",
        "yields": "policy",
        "preset": {"loss": "plackett-luce", "supervised": 0.0},
        "knob": {"name": "beta", "values": [0.2, 0.35, 0.5, 1.0, 2.0]},
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
                "config.beta * (masked_sum(logps, mask) - reference)",
                "masked_sum(logps, mask) - reference",
            ],
            "why": "without beta the policy stops at the optimum for beta = 1",
        },
    },
    "dpo-all-pairs": {
        "name": "DPO on all pairs of a ranking",
        "paper": "rafailov2023direct",
        "category": "ranking-losses",
        "provenance": "reconstruction",
        "feedback": ["ranking"],
        "needs": ["reference"],
        "target": "J_beta of the annotators' reward, through Bradley-Terry pseudo-likelihood",
        "yields": "policy",
        "preset": {"loss": "pairs", "supervised": 0.0},
        "knob": {"name": "beta", "values": [0.2, 0.35, 0.5, 1.0, 2.0]},
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
                "config.beta * (masked_sum(logps, mask) - reference)",
                "masked_sum(logps, mask) - reference",
            ],
            "why": "without beta the policy stops at the optimum for beta = 1",
        },
    },
}


@dataclass(frozen=True)
class RankingConfig:
    """Defaults for the exact bed."""

    loss: Literal["rrhf", "pro", "plackett-luce", "pairs"] = "rrhf"
    ranking: float = 1.0
    """Weight of the ranking term; 0 leaves supervised fine-tuning on the best answers (RRHF's scripts: 1)."""
    supervised: float = 1.0
    """Weight of the best answer's likelihood; PRO's is multiplied by (size - 1)**2 (its scripts: 0.05)."""
    temperatures: bool = False
    """Whether PRO uses differences of rewards; between places on a sheet they are 1."""
    order: Literal["annotators", "scores"] = "annotators"
    """Who ranks: annotators, with the noise of a Plackett-Luce model, or the bed's scores, which never contradict
    themselves (the papers' reward models)."""
    beta: float = 0.5
    """What DPO's log-ratios are multiplied by."""
    labels: int = 8000
    """Answers that annotators put in order, all sheets together."""
    size: int = 4
    """Answers per sheet, n."""
    steps: int = 240
    batch: int = 32
    """Sheets per update."""
    lr: float = 1e-3


def rrhf_loss(scores: Tensor, grades: Tensor) -> Tensor:
    """Sum of p_i - p_j over pairs with r_i < r_j and p_i > p_j: scores and rewards (..., n) -> (...)."""
    excess = scores[..., :, None] - scores[..., None, :]
    worse = grades[..., :, None] < grades[..., None, :]
    return (excess.clamp(min=0) * worse).sum((-2, -1))


def best_likelihood_loss(logps: Tensor, grades: Tensor) -> Tensor:
    """Minus the log-probability of each sheet's best answer: (sheets, n) twice -> (sheets,)."""
    best = grades.argmax(-1)
    return -logps.gather(1, best[:, None]).squeeze(1)


def listwise_loss(scores: Tensor) -> Tensor:
    """Minus the log-likelihood of a Plackett-Luce ranking: scores (..., n), best first -> (...), in nats."""
    rest = scores.flip(-1).logcumsumexp(-1)
    return rest.sum(-1) - scores.sum(-1)


def tempered_listwise_loss(scores: Tensor, rewards: Tensor) -> Tensor:
    """PRO's loss with temperatures by differences of rewards: (..., n) twice, best first -> (...), in nats."""
    gaps = rewards[..., :, None] - rewards[..., None, :]
    sharpness = gaps + torch.diag_embed(gaps.amax(-1))
    gone = torch.ones_like(gaps).tril(-1).bool()
    logits = (sharpness * scores[..., None, :]).masked_fill(gone, -torch.inf)
    return (logits.logsumexp(-1) - logits.diagonal(dim1=-2, dim2=-1)).sum(-1)


def all_pairs_loss(scores: Tensor) -> Tensor:
    """DPO's loss summed over the pairs of a ranking: scores (..., n), best first -> (...), in nats."""
    first, second = torch.triu_indices(scores.shape[-1], scores.shape[-1], 1, device=scores.device)
    return -logsigmoid(scores[..., first] - scores[..., second]).sum(-1)


def sheet_loss(
    config: RankingConfig, logps: Tensor, mask: Tensor, reference: Tensor, grades: Tensor
) -> Tensor:
    """The loss that the config names: log-probabilities and mask (sheets, n, tokens), the reference's of whole
    answers and the grades (sheets, n), in order -> (sheets,).
    """
    if config.loss == "rrhf":
        ranked, weight = rrhf_loss(masked_mean(logps, mask), grades), config.supervised
    elif config.loss == "pro":
        score = masked_mean(logps, mask)
        ranked = tempered_listwise_loss(score, grades) if config.temperatures else listwise_loss(score)
        weight = config.supervised * (grades.shape[-1] - 1) ** 2
    else:
        ratio = config.beta * (masked_sum(logps, mask) - reference)
        ranked = listwise_loss(ratio) if config.loss == "plackett-luce" else all_pairs_loss(ratio)
        weight = config.supervised
    return config.ranking * ranked + weight * best_likelihood_loss(masked_sum(logps, mask), grades)


def train(bed: ExactBed, config: RankingConfig, seed: int, observe: Observe) -> Outcome:
    """Fit a copy of the reference to rankings of the reference's answers."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    sheets_of = rankings if config.order == "annotators" else scored_sheets
    data = sheets_of(bed, config.labels // config.size, config.size, draw)

    for step in range(1, config.steps + 1):
        picks = torch.randint(len(data), (config.batch,), generator=draw, device=bed.device)
        sheets = data.of(picks)
        rows, tokens = sheets.prompts.repeat_interleave(config.size), sheets.answers.flatten(0, 1)
        logps = policy.token_logps(bed.prompts[rows], tokens).view(sheets.answers.shape)
        reference = bed.reference_logps[rows, bed.space.index(tokens)].view(sheets.grades.shape)
        mask = (sheets.answers != PAD).float()
        descend(sheet_loss(config, logps, mask, reference, sheets.grades).mean(), policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))

    final = bed.logps(policy)
    anchored = config.loss in ("plackett-luce", "pairs") and config.ranking and not config.supervised
    optimum = bed.optimum(bed.utility, config.beta) if anchored else None
    return Outcome(logps=final, optimum=optimum, measures=ranking_measures(bed, final, data))


def scored_sheets(bed: ExactBed, n: int, size: int, draw: torch.Generator) -> Sheets:
    """n sheets of ``size`` reference answers, in the order of their scores, which are the grades."""
    rows = bed.sample_prompts(n, draw)
    tokens = bed.sample(bed.reference, rows.repeat_interleave(size), draw)
    grades = bed.score(rows.repeat_interleave(size), tokens).view(n, size)
    grades, order = grades.sort(-1, descending=True)
    answers = tokens.view(n, size, -1).gather(1, order[..., None].expand(-1, -1, tokens.shape[-1]))
    return Sheets(rows, answers, grades)


def ranking_measures(bed: ExactBed, logps: Tensor, data: Sheets) -> dict[str, float]:
    """The best ranked answers' mean gold reward, and the share of mass on answers that no sheet of the prompt holds,
    under the policy (prompts, sequences) and under the reference.
    """
    places = bed.space.index(data.answers.flatten(0, 1)).view(data.grades.shape)
    unseen = torch.ones_like(logps)
    unseen[data.prompts[:, None], places] = 0.0
    rows = bed.train_rows
    best = bed.gold[data.prompts, places.gather(1, data.grades.argmax(-1, keepdim=True)).squeeze(1)]
    return {
        "best_ranked_gold": float(best.mean()),
        "unranked_mass": float((logps.exp() * unseen)[rows].sum(-1).mean()),
        "unranked_mass_reference": float((bed.reference_logps.exp() * unseen)[rows].sum(-1).mean()),
    }
