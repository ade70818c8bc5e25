"""Telling the policy the score of each sample against filtering by it and against policy gradients."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table

BENCHMARK = {
    "key": "told-the-score",
    "categories": ["reward-conditioning"],
    "question": (
        "Of 4,800 scored samples, what does a policy gain that is told every score, over one that is shown the best "
        "alone, and how far do both stay behind a policy gradient?"
    ),
    "measures": ["asked_worst", "asked_middle", "asked_best"],
    "arms": [
        {"arm": "RLOO", "method": "rloo", "set": {"steps": 38}, "oracle": True},
        {"arm": "PPO", "method": "ppo", "set": {"steps": 38}, "oracle": True},
        {"arm": "Quark", "method": "quark", "oracle": True},
        {"arm": "Score-conditioned, best fifth", "method": "score-conditioned-sft", "oracle": True},
        {
            "arm": "SFT on the best fifth",
            "method": "score-conditioned-sft",
            "set": {"learn_from": "best"},
            "oracle": True,
        },
    ],
}

GRIDS = [
    {"arms": ["Quark"], "setting": "kl", "values": [0.2, 0.4], "measure": "metrics.heldout_gap_closed"},
    {"arms": ["PPO"], "setting": "lr", "values": [1e-3, 2e-3], "measure": "metrics.heldout_gap_closed"},
]

ALL, BEST = "Score-conditioned, best fifth", "SFT on the best fifth"

CLAIMS = {
    "lu2022quark/c1": {
        "test": (
            "Quark and PPO, each with 4,800 samples scored by the gold reward: share of the gap closed on held-out "
            "prompts, which weighs reward against divergence, Quark minus PPO."
        ),
        "arms": ["Quark", "PPO", "RLOO", "Score-conditioned, best fifth"],
        "measure": "quark_over_ppo",
        "unit": "share of the gap",
        "holds": ">= 0.02",
        "fails": "<= 0",
        "why": (
            "The paper's baselines include PPO. A fiftieth of the gap is a small lead, but a lead; Quark's weight of "
            "the KL and PPO's learning rate come from the grid on the tuning seeds."
        ),
        "controls": [
            {"what": "one round of conditioning against PPO", "measure": "one_round_over_ppo"},
            {"what": "RLOO against Quark", "measure": "rloo_over_quark"},
        ],
        "revisions": [],
    },
    "dong2023steerlm/c1": {
        "test": (
            "One round of score-conditioned fine-tuning and PPO, each with 4,800 samples scored by the gold reward: "
            "win rate against the reference on held-out prompts, conditioning minus PPO."
        ),
        "arms": ["PPO", "Score-conditioned, best fifth", "Quark", "RLOO"],
        "measure": "win_rate_over_ppo",
        "unit": "win rate",
        "holds": ">= 0.01",
        "fails": "<= 0",
        "why": "The paper's evaluators compare answers and know nothing of a divergence; so does a win rate.",
        "controls": [{"what": "RLOO against conditioning", "measure": "win_rate_of_rloo"}],
        "revisions": [],
    },
}


def _ahead(runs: pd.DataFrame, arm: str, other: str, metric: str = "heldout_gap_closed") -> float:
    return float(runs.loc[arm, f"metrics.{metric}"] - runs.loc[other, f"metrics.{metric}"])  # type: ignore[operator]


def quark_over_ppo(runs: pd.DataFrame) -> float:
    """Quark minus PPO in the share of the gap closed on held-out prompts."""
    return _ahead(runs, "Quark", "PPO")


def one_round_over_ppo(runs: pd.DataFrame) -> float:
    """The same for one round of conditioning."""
    return _ahead(runs, ALL, "PPO")


def rloo_over_quark(runs: pd.DataFrame) -> float:
    """RLOO minus Quark."""
    return _ahead(runs, "RLOO", "Quark")


def win_rate_over_ppo(runs: pd.DataFrame) -> float:
    """One round of conditioning minus PPO in win rate on held-out prompts."""
    return _ahead(runs, ALL, "PPO", "heldout_win_rate")


def win_rate_of_rloo(runs: pd.DataFrame) -> float:
    """RLOO minus one round of conditioning."""
    return _ahead(runs, "RLOO", ALL, "heldout_win_rate")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """End of training; the distance to the closed form where there is one; what asking for less brings."""
    columns = {
        "metrics.target_gap": "of its own target",
        "metrics.gap_closed": "gap closed",
        "metrics.heldout_gap_closed": "held out",
        "metrics.gold_reward": "gold reward",
        "metrics.kl_ref": "KL to reference",
        "metrics.asked_middle": "asked for the middle",
        "metrics.asked_worst": "asked for the worst",
    }
    return mean_table(runs, columns, {"arm": "training"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: gold reward against KL, the dial of each conditioned policy joined by a line."""
    means = by_arm(runs, ["metrics.gold_reward", "metrics.kl_ref"])
    rows = means.rename(columns={"arm": "training", "metrics.gold_reward": "reward", "metrics.kl_ref": "kl"})[
        ["training", "reward", "kl"]
    ]
    return chart(
        rows,
        {"type": "point", "filled": True, "size": 90},
        x=quantitative("kl", "KL to the reference, in nats"),
        y=quantitative("reward", "gold reward"),
        color=nominal("training", "training"),
        shape=nominal("training", "training"),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """What being told adds to filtering, what repetition adds to that, and what is left to the policy gradient."""
    heldout = arm_means(runs, "metrics.heldout_gap_closed")
    own, best = arm_means(runs, "metrics.asked_best"), arm_means(runs, "metrics.asked_worst")
    told = heldout[ALL] - heldout[BEST]
    word = "more" if told > 0 else "less"
    ppo = heldout["Quark"] - heldout["PPO"]
    return (
        f"Told every score, one round closes {heldout[ALL]:.2f} of the gap on held-out prompts, {abs(told):.2f} {word} "
        f"than fine-tuning on the best fifth alone. Quark's six rounds close {heldout['Quark']:.2f}, {abs(ppo):.2f} "
        f"{'more' if ppo > 0 else 'less'} than PPO and "
        f"{abs(heldout['Quark'] - heldout['RLOO']):.2f} {'more' if heldout['Quark'] > heldout['RLOO'] else 'less'} "
        f"than RLOO with as many samples. The dial of one round runs from a gold reward of {best[ALL]:.1f} to "
        f"{own[ALL]:.1f}."
    )
