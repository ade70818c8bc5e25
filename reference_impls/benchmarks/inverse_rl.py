"""What of a reward can be recovered from a tuned policy and its base, and what is it good for?"""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import by_arm, mean_table

BENCHMARK = {
    "key": "inverse-rl",
    "categories": ["inverse-rl-of-trained-models"],
    "question": "How well does the behaviour of a tuned policy and its base give away the reward?",
    "arms": [
        {"arm": "log-ratio (probabilities known)", "method": "irl-closed-form", "oracle": True},
        {"arm": "logistic", "method": "irl-logistic"},
        {"arm": "max-margin", "method": "irl-max-margin"},
        {
            "arm": "max-margin, ten learners, 200 pairs",
            "method": "irl-max-margin",
            "set": {"learners": 10, "pairs": 200, "steps": 100},
        },
        {
            "arm": "max-margin, small (width 8)",
            "method": "irl-max-margin",
            "set": {"width": 8, "lr": 3e-3},
        },
        {"arm": "max-margin, large (width 64)", "method": "irl-max-margin", "set": {"width": 64}},
        {
            "arm": "log-ratio, hardly tuned",
            "method": "irl-closed-form",
            "set": {"tuned_beta": 4.0},
            "oracle": True,
        },
        {"arm": "max-margin, hardly tuned", "method": "irl-max-margin", "set": {"tuned_beta": 4.0}},
        {"arm": "logistic, hardly tuned", "method": "irl-logistic", "set": {"tuned_beta": 4.0}},
        {"arm": "max-margin, roles at random", "method": "irl-max-margin", "set": {"swapped": 0.5}},
    ],
    "measures": [
        "pair_accuracy",
        "rank_correlation",
        "reward_distance",
        "threshold_accuracy",
        "explained",
        "regained",
        "regained_mixed",
        "pair_accuracy_sd",
        "threshold_accuracy_sd",
        "explained_sd",
        "mutual",
        "mutual_shifted",
        "mutual_mixed",
    ],
}

CLAIMS = {
    "joselowitz2025insights/c1": {
        "test": (
            "Share of pairs of base answers on held-out prompts that the recovered reward orders as the true "
            "one does, for one max-margin fit to 2,000 pairs of answers per seed (no choice of the best), seeds "
            "0-4. The paper's accuracy thresholds the reward at 0, which behaviour cannot identify."
        ),
        "arms": ["max-margin", "log-ratio (probabilities known)", "max-margin, roles at random"],
        "measure": "accuracy",
        "unit": "share of pairs",
        "holds": ">= 0.85",
        "fails": "<= 0.6",
        "why": (
            "0.85 is the paper's figure; 0.5 is chance, and fits to pairs with roles at random reached 0.44 and "
            "0.47 on the tuning seeds, so that 0.6 is the least that a single fit cannot reach by luck."
        ),
        "controls": [
            {"what": "the log-ratio of known probabilities", "measure": "known_accuracy"},
            {"what": "the same fit with roles exchanged at random", "measure": "random_accuracy"},
        ],
        "revisions": [],
    },
    "joselowitz2025insights/c2": {
        "test": (
            "Mean rank correlation on held-out prompts between the rewards of ten max-margin learners fitted to "
            "the same 200 pairs (as many as the released configuration of the 410M model), seeds 0-4. The "
            "measure does not see constants per prompt or scale, so that only disagreement about order counts."
        ),
        "arms": ["max-margin, ten learners, 200 pairs"],
        "measure": "mutual_correlation",
        "unit": "correlation",
        "holds": "<= 0.9",
        "fails": ">= 0.98",
        "why": (
            "Correlations of 0.98 and 0.9 mean, for normal scores, that two learners disagree about one pair of "
            "answers in sixteen and one in seven."
        ),
        "controls": [
            {
                "what": "a learner and itself with another constant for each prompt",
                "measure": "shifted_correlation",
            },
            {"what": "a learner and itself with its answers mixed up", "measure": "mixed_correlation"},
        ],
        "revisions": [],
    },
    "joselowitz2025insights/c3": {
        "test": (
            "Pairwise accuracy of a max-margin learner of width 64 minus that of one of width 8, both from "
            "scratch on the same 2,000 pairs (learning rates 1e-3 and 3e-3), seeds 0-4. The tuned policy is "
            "exact and has no size: only the learner's is varied."
        ),
        "arms": [
            "max-margin, large (width 64)",
            "max-margin, small (width 8)",
            "log-ratio (probabilities known)",
            "max-margin, roles at random",
        ],
        "measure": "gain_by_size",
        "unit": "share of pairs",
        "holds": ">= 0.03",
        "fails": "<= 0.01",
        "why": (
            "Single fits differed by about 0.03 between tuning seeds; less than 0.01 for some sixty times the "
            "parameters would be no relation worth the name."
        ),
        "controls": [
            {"what": "known probabilities against roles at random", "measure": "gain_by_knowledge"},
            {"what": "roles at random against known probabilities", "measure": "loss_by_ignorance"},
        ],
        "revisions": [],
    },
    "joselowitz2025insights/c4": {
        "test": (
            "Gold reward gained on held-out prompts by training the base again with a recovered reward, as a "
            "share of what the true reward gains at the same KL; mean over ten max-margin learners (200 pairs, "
            "100 updates, which is short of convergence), seeds 0-4."
        ),
        "arms": ["max-margin, ten learners, 200 pairs", "log-ratio (probabilities known)"],
        "measure": "regained",
        "unit": "share of the true reward's gain",
        "holds": ">= 0.9",
        "fails": "<= 0.5",
        "why": (
            "The tuned policy is the exact optimum, so that 'comparable' has to mean close to 1; at a half, "
            "half of what tuning brought is lost."
        ),
        "controls": [
            {"what": "the log-ratio of known probabilities", "measure": "regained_known"},
            {"what": "the median learner's reward, answers mixed up", "measure": "regained_mixed"},
        ],
        "revisions": [],
    },
    "joselowitz2025insights/c5": {
        "test": (
            "Pairwise accuracy of max-margin where the policy was tuned at beta 0.5 (KL about 2.5 nats) minus "
            "where it was tuned at beta 4 (about 0.03), 2,000 pairs each, seeds 0-4."
        ),
        "arms": [
            "max-margin",
            "max-margin, hardly tuned",
            "log-ratio (probabilities known)",
            "log-ratio, hardly tuned",
            "max-margin, roles at random",
        ],
        "measure": "loss_by_weak_tuning",
        "unit": "share of pairs",
        "holds": ">= 0.05",
        "fails": "<= 0.01",
        "why": (
            "Single fits differed by about 0.03 between tuning seeds; the reward is the same in both arms, so "
            "that a loss is due to how little the behaviour shows of it."
        ),
        "controls": [
            {
                "what": "the log-ratio of known probabilities, which needs no samples",
                "measure": "loss_where_known",
            },
            {"what": "against roles at random, where nothing shows", "measure": "loss_by_randomness"},
        ],
        "revisions": [],
    },
}


def _of(runs: pd.DataFrame, arm: str, name: str) -> float:
    return float(runs[f"metrics.{name}"].loc[arm])


def accuracy(runs: pd.DataFrame) -> float:
    """Pairs ordered right by one max-margin fit."""
    return _of(runs, "max-margin", "pair_accuracy")


def known_accuracy(runs: pd.DataFrame) -> float:
    """Pairs ordered right by the log-ratio."""
    return _of(runs, "log-ratio (probabilities known)", "pair_accuracy")


def random_accuracy(runs: pd.DataFrame) -> float:
    """Pairs ordered right by a fit to nothing."""
    return _of(runs, "max-margin, roles at random", "pair_accuracy")


def mutual_correlation(runs: pd.DataFrame) -> float:
    """Mean rank correlation between two learners."""
    return _of(runs, "max-margin, ten learners, 200 pairs", "mutual")


def shifted_correlation(runs: pd.DataFrame) -> float:
    """Rank correlation of a learner with itself, shifted per prompt."""
    return _of(runs, "max-margin, ten learners, 200 pairs", "mutual_shifted")


def mixed_correlation(runs: pd.DataFrame) -> float:
    """Rank correlation of a learner with itself, answers mixed up."""
    return _of(runs, "max-margin, ten learners, 200 pairs", "mutual_mixed")


def gain_by_size(runs: pd.DataFrame) -> float:
    """Accuracy of the large learner minus that of the small one."""
    large = _of(runs, "max-margin, large (width 64)", "pair_accuracy")
    return large - _of(runs, "max-margin, small (width 8)", "pair_accuracy")


def gain_by_knowledge(runs: pd.DataFrame) -> float:
    """Accuracy with known probabilities minus accuracy with roles at random."""
    return known_accuracy(runs) - random_accuracy(runs)


def loss_by_ignorance(runs: pd.DataFrame) -> float:
    """The same difference the other way round."""
    return random_accuracy(runs) - known_accuracy(runs)


def regained(runs: pd.DataFrame) -> float:
    """Mean share regained by training again with one of ten recovered rewards."""
    return _of(runs, "max-margin, ten learners, 200 pairs", "regained")


def regained_known(runs: pd.DataFrame) -> float:
    """The share with the log-ratio."""
    return _of(runs, "log-ratio (probabilities known)", "regained")


def regained_mixed(runs: pd.DataFrame) -> float:
    """The share with a recovered reward whose answers were mixed up."""
    return _of(runs, "max-margin, ten learners, 200 pairs", "regained_mixed")


def loss_by_weak_tuning(runs: pd.DataFrame) -> float:
    """Max-margin's accuracy on a well tuned policy minus that on a hardly tuned one."""
    return accuracy(runs) - _of(runs, "max-margin, hardly tuned", "pair_accuracy")


def loss_where_known(runs: pd.DataFrame) -> float:
    """The same for the log-ratio."""
    return known_accuracy(runs) - _of(runs, "log-ratio, hardly tuned", "pair_accuracy")


def loss_by_randomness(runs: pd.DataFrame) -> float:
    """Max-margin's accuracy minus that with roles at random."""
    return accuracy(runs) - random_accuracy(runs)


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Each way to recover the reward, by measures that ignore what is free and by one that does not."""
    columns = {
        "metrics.pair_accuracy": "pairs right",
        "metrics.rank_correlation": "rank correlation",
        "metrics.reward_distance": "distance",
        "metrics.regained": "gold regained",
        "metrics.explained": "behaviour explained",
        "metrics.threshold_accuracy": "right side of 0",
        "metrics.pair_accuracy_sd": "sd over learners: pairs right",
        "metrics.threshold_accuracy_sd": "sd over learners: side of 0",
    }
    return mean_table(runs, columns, {"arm": "way"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: what ignores the free constant (across) against what reads it (up), one point per run."""
    columns = {"metrics.pair_accuracy": "right", "metrics.threshold_accuracy": "side", "arm": "way"}
    points = runs[[*columns, "seed"]].rename(columns=columns)
    return chart(
        points,
        {"type": "point", "filled": True, "size": 70, "opacity": 0.8},
        width=520,
        height=380,
        x=quantitative("right", "held-out pairs in the true order (share)", scale={"zero": False}),
        y=quantitative("side", "answers on the true side of 0 (share)", scale={"zero": False}),
        color=nominal("way", "way", sort=None),
        tooltip=[{"field": "way"}, {"field": "seed"}, {"field": "right"}, {"field": "side"}],
    )


def conclusion(runs: pd.DataFrame) -> str:
    """Compare the estimators with each other and with the closed form, and say what a threshold at 0 makes of it."""
    names = ["metrics.pair_accuracy", "metrics.regained", "metrics.threshold_accuracy"]
    spreads = ["metrics.pair_accuracy_sd", "metrics.threshold_accuracy_sd"]
    means = by_arm(runs, [*names, *spreads]).set_index("arm")
    right, gold = means["metrics.pair_accuracy"], means["metrics.regained"]
    ways = sorted(("logistic", "max-margin"), key=lambda arm: -float(right[arm]))
    known, ten = "log-ratio (probabilities known)", "max-margin, ten learners, 200 pairs"
    level = float(means["metrics.threshold_accuracy"][known])
    pairs_sd, side_sd = (float(means[name][ten]) for name in spreads)
    return (
        f"From sampled answers the {ways[0]} loss orders {right[ways[0]]:.2f} of unseen pairs right and the {ways[1]} "
        f"loss {right[ways[1]]:.2f}, where known probabilities give {right[known]:.2f}. Training again with their "
        f"rewards regains {gold[ways[0]]:.2f} and {gold[ways[1]]:.2f} of the true reward's gain, and with rewards from "
        f"200 pairs {gold[ten]:.2f}. By the side of 0 that it puts answers on, even the log-ratio scores {level:.2f}. "
        f"Ten learners of the same 200 pairs spread by {pairs_sd:.3f} (sd) in the share of pairs and by {side_sd:.3f} "
        f"in the share on the true side of 0."
    )
