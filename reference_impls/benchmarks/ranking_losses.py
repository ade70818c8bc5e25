"""Losses on whole rankings, with and without a reference, on the same 2,000 rankings of four."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table, records_of

BENCHMARK = {
    "key": "ranking-losses",
    "categories": ["ranking-losses"],
    "question": "What do ranking losses make of 2,000 rankings of four answers, and who ranked them?",
    "arms": [
        {"arm": "RRHF", "method": "rrhf"},
        {"arm": "PRO", "method": "pro", "set": {"lr": 3e-4}},
        {"arm": "best ranked answer only", "method": "rrhf", "set": {"ranking": 0.0}},
        {"arm": "DPO, Plackett-Luce", "method": "dpo-plackett-luce"},
        {"arm": "DPO, all pairs", "method": "dpo-all-pairs"},
        {"arm": "RRHF, ranked by scores", "method": "rrhf", "set": {"order": "scores"}, "oracle": True},
        {
            "arm": "PRO, ranked by scores",
            "method": "pro",
            "set": {"order": "scores", "lr": 3e-4},
            "oracle": True,
        },
        {
            "arm": "PRO with temperatures, ranked by scores",
            "method": "pro",
            "set": {"order": "scores", "lr": 3e-4, "temperatures": True},
            "oracle": True,
        },
        {
            "arm": "best scored answer only",
            "method": "rrhf",
            "set": {"order": "scores", "ranking": 0.0},
            "oracle": True,
        },
    ],
    "measures": ["best_ranked_gold", "unranked_mass", "unranked_mass_reference"],
}

GRIDS = [
    {
        "arms": ["RRHF", "PRO", "DPO, Plackett-Luce"],
        "setting": "lr",
        "values": [3e-4, 1e-3, 3e-3],
        "measure": "metrics.gap_closed",
    },
]

CLAIMS = {
    "song2024preference/c1": {
        "test": (
            "2,000 Plackett-Luce rankings of four reference answers: win rate against the reference after PRO minus "
            "that after the better of RRHF and of supervised fine-tuning on the best ranked answers."
        ),
        "arms": ["PRO", "RRHF", "best ranked answer only", "DPO, Plackett-Luce", "DPO, all pairs"],
        "measure": "pro_lead",
        "unit": "win rate",
        "holds": ">= 0.02",
        "fails": "<= 0",
        "why": (
            "The paper compares win rates and rewards with these two baselines. Two points of win rate are what one "
            "would notice; on a tuning seed PRO was seven points ahead."
        ),
        "controls": [
            {"what": "RRHF in PRO's place", "measure": "rrhf_lead"},
            {"what": "PRO against the better DPO on the same rankings", "measure": "pro_lead_over_dpo"},
        ],
        "revisions": [],
    },
    "yuan2023rrhf/c2": {
        "test": (
            "Candidates ranked by scores, as in the paper: distance between the gold reward of the policy after RRHF "
            "and the mean gold reward of the best candidates that it was shown."
        ),
        "arms": ["RRHF, ranked by scores", "PRO, ranked by scores", "DPO, all pairs"],
        "measure": "distance_to_best",
        "unit": "gold sd",
        "holds": "<= 0.15",
        "fails": ">= 0.4",
        "why": (
            "The best of four reference answers is worth about one sd. A policy that had learnt best-of-four would "
            "earn the same; 0.15 is the spread over prompts and fitting, 0.4 would be another policy."
        ),
        "controls": [
            {"what": "DPO on all pairs of rankings, and the best of those", "measure": "distance_of_dpo"},
        ],
        "revisions": [],
    },
}


def _of(runs: pd.DataFrame, arm: str, metric: str) -> float:
    return float(runs.loc[arm, f"metrics.{metric}"])


def _lead(runs: pd.DataFrame, arm: str, others: tuple[str, ...]) -> float:
    return _of(runs, arm, "win_rate") - max(_of(runs, other, "win_rate") for other in others)


def pro_lead(runs: pd.DataFrame) -> float:
    """Win rate of PRO minus that of the better of its two baselines."""
    return _lead(runs, "PRO", ("RRHF", "best ranked answer only"))


def rrhf_lead(runs: pd.DataFrame) -> float:
    """Win rate of RRHF minus that of the better of PRO and supervised fine-tuning."""
    return _lead(runs, "RRHF", ("PRO", "best ranked answer only"))


def pro_lead_over_dpo(runs: pd.DataFrame) -> float:
    """Win rate of PRO minus that of the better DPO."""
    return _lead(runs, "PRO", ("DPO, Plackett-Luce", "DPO, all pairs"))


def distance_to_best(runs: pd.DataFrame) -> float:
    """How far RRHF's gold reward is from that of the best candidates."""
    arm = "RRHF, ranked by scores"
    return abs(_of(runs, arm, "gold_reward") - _of(runs, arm, "best_ranked_gold"))


def distance_of_dpo(runs: pd.DataFrame) -> float:
    """The same for DPO on all pairs."""
    return abs(_of(runs, "DPO, all pairs", "gold_reward") - _of(runs, "DPO, all pairs", "best_ranked_gold"))


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Reward, divergence, and mass outside the rankings, by loss."""
    columns = {
        "metrics.win_rate": "win rate",
        "metrics.gold_reward": "gold reward",
        "metrics.best_ranked_gold": "of the best ranked",
        "metrics.kl_ref": "KL to reference",
        "metrics.kl_efficiency": "KL efficiency",
        "metrics.gap_closed": "gap closed in J",
        "metrics.unranked_mass": "mass on unranked answers",
    }
    return mean_table(runs, columns, {"arm": "loss"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: gold reward against KL at the end of training, by who ranked."""
    means = by_arm(runs, ["metrics.gold_reward", "metrics.kl_ref"])
    points = [
        {
            "loss": str(row["arm"]).split(",")[0].replace("scored", "ranked"),
            "ranked by": "scores" if "score" in str(row["arm"]) else "annotators",
            "name": str(row["arm"]),
            "kl": row["metrics.kl_ref"],
            "gold": row["metrics.gold_reward"],
        }
        for row in records_of(means)
    ]
    return chart(
        points,
        {"type": "point", "filled": True, "size": 110},
        x=quantitative("kl", "KL to the reference (nats)"),
        y=quantitative("gold", "gold reward (sd above the reference)"),
        color=nominal("name", "loss", sort=None),
        shape={"field": "ranked by", "type": "nominal"},
        tooltip=[{"field": "name"}, {"field": "kl"}, {"field": "gold"}],
    )


def conclusion(runs: pd.DataFrame) -> str:
    """What the ranking terms add to the best answers alone, by who ranked, and what a reference adds."""
    efficiency, win = arm_means(runs, "metrics.kl_efficiency"), arm_means(runs, "metrics.win_rate")
    outside, before = (
        arm_means(runs, "metrics.unranked_mass"),
        arm_means(runs, "metrics.unranked_mass_reference"),
    )

    def verb(arm: str, alone: str) -> str:
        return "raises" if win[arm] > win[alone] else "lowers"

    alone, scored = "best ranked answer only", "best scored answer only"
    most = max(("DPO, Plackett-Luce", "DPO, all pairs"), key=lambda arm: win[arm])
    return (
        f"Ranked by annotators who contradict each other, RRHF's hinge {verb('RRHF', alone)} the win rate of "
        f"fine-tuning on the best ranked answers from {win[alone]:.2f} to {win['RRHF']:.2f}, and PRO's likelihood "
        f"{verb('PRO', alone)} it to {win['PRO']:.2f}. Ranked by scores that never contradict themselves the hinge "
        f"{verb('RRHF, ranked by scores', scored)} it from {win[scored]:.2f} to {win['RRHF, ranked by scores']:.2f}. "
        f"On the annotators' rankings {most} reaches {win[most]:.2f}, makes {efficiency[most]:.2f} of its KL (PRO "
        f"{efficiency['PRO']:.2f}, RRHF {efficiency['RRHF']:.2f}), and puts {outside[most]:.2f} of its mass on answers "
        f"that nobody ranked, where the reference has {before[most]:.2f}."
    )
