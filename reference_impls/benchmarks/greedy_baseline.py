"""What a greedy answer, the other samples, or the whole batch take away from the noise of a policy gradient."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import by_arm, mean_table

BENCHMARK = {
    "key": "greedy-baseline",
    "categories": ["policy-gradients"],
    "question": "Without a critic, what is the greedy answer worth as a baseline?",
    "measures": [
        "noise_saved_by_greedy_at_start",
        "noise_saved_by_greedy_at_end",
        "noise_saved_by_sampled_at_start",
        "noise_saved_by_sampled_at_end",
        "noise_saved_by_mean_at_start",
        "noise_saved_by_mean_at_end",
        "noise_saved_by_greedy_shifted_at_start",
        "noise_saved_by_greedy_shifted_at_end",
    ],
    "arms": [
        {
            "arm": "REINFORCE",
            "method": "reinforce",
            "set": {"steps": 80, "samples": 8, "lr": 0.001},
            "oracle": True,
        },
        {"arm": "RLOO", "method": "rloo", "set": {"steps": 80, "samples": 8, "lr": 0.001}, "oracle": True},
        {"arm": "ReMax", "method": "remax", "oracle": True},
        {"arm": "REINFORCE++", "method": "reinforce-plus-plus", "oracle": True},
    ],
}


CLAIMS = {
    "li2024remax/c1": {
        "test": "Exact variance of one answer's gradient by all logits, gold reward with mean 0 under the reference: "
        "the share that the greedy answer's score saves, mean of the untrained policy and the one that ReMax ends "
        "with. Seeds 0 to 4.",
        "arms": ["ReMax"],
        "measure": "saved_by_greedy",
        "unit": "share of the variance",
        "holds": ">= 0.1",
        "fails": "<= 0",
        "why": "A tenth is what doubling the answers of a batch of ten would have to give to be worth it; with these "
        "rewards it was -0.95 on seed 100, and 0.75 with 3 added to all of them.",
        "controls": [
            {"what": "the same with 3 added to all rewards", "measure": "saved_by_greedy_if_shifted"},
            {"what": "the mean score as the baseline", "measure": "saved_by_mean"},
        ],
        "revisions": [],
    },
}


def saved(runs: pd.DataFrame, name: str) -> float:
    """Share of the variance saved in ReMax's run, mean of start and end."""
    run = runs.loc["ReMax"]
    ends = (float(run[f"metrics.noise_saved_by_{name}_at_{when}"]) for when in ("start", "end"))
    return sum(ends) / 2


def saved_by_greedy(runs: pd.DataFrame) -> float:
    """By the greedy answer's score: see saved."""
    return saved(runs, "greedy")


def saved_by_greedy_if_shifted(runs: pd.DataFrame) -> float:
    """By the greedy answer's score, 3 added to all scores: see saved."""
    return saved(runs, "greedy_shifted")


def saved_by_mean(runs: pd.DataFrame) -> float:
    """By the mean score: see saved."""
    return saved(runs, "mean")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """End of training at equal numbers of generated answers, and what three baselines save at each method's end."""
    columns = {
        "metrics.gap_closed": "gap closed",
        "metrics.heldout_gap_closed": "held out",
        "metrics.kl_ref": "KL to reference",
        "metrics.noise_saved_by_greedy_at_end": "saved by greedy",
        "metrics.noise_saved_by_sampled_at_end": "by another sample",
        "metrics.noise_saved_by_mean_at_end": "by the mean",
        "cost.samples": "answers",
    }
    return mean_table(runs, columns, {"arm": "method"})


BASELINES = {
    "greedy": "greedy answer",
    "sampled": "another sample",
    "mean": "mean score",
    "greedy_shifted": "greedy answer, scores + 3",
}


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: share of the variance that each baseline saves, before and after ReMax's training."""
    remax = runs[runs["arm"] == "ReMax"]
    rows = [
        {
            "baseline": title,
            "policy": "untrained" if when == "start" else "trained",
            "saved": float(value),
            "seed": int(seed),
        }
        for name, title in BASELINES.items()
        for when in ("start", "end")
        for value, seed in zip(remax[f"metrics.noise_saved_by_{name}_at_{when}"], remax["seed"], strict=True)
    ]
    return chart(
        rows,
        {"type": "point", "filled": True, "size": 60},
        width=620,
        height=260,
        x=quantitative("saved", "share of the gradient's variance saved (negative: added)"),
        y=nominal("baseline", None, sort=list(BASELINES.values())),
        color=nominal("policy", "policy"),
        tooltip=[{"field": name} for name in ("baseline", "policy", "saved", "seed")],
    )


def conclusion(runs: pd.DataFrame) -> str:
    """What the greedy baseline saves or adds, against others, and where training ends at equal answers."""
    remax = runs[runs["arm"] == "ReMax"]

    def effect(name: str) -> str:
        share = float(remax[f"metrics.noise_saved_by_{name}_at_end"].mean())
        return f"{'saves' if share > 0 else 'adds'} {abs(share):.0%}"

    gap = by_arm(runs, ["metrics.gap_closed"]).set_index("arm")["metrics.gap_closed"].sort_values()
    order = ", ".join(f"{arm} {value:.2f}" for arm, value in gap[::-1].items())
    return (
        f"Of the variance without a baseline the greedy answer's score {effect('greedy')} on the trained policy, one "
        f"more sampled answer's {effect('sampled')} and the mean score {effect('mean')}; with 3 added to all rewards "
        f"the greedy answer {effect('greedy_shifted')}. Share of the gap closed at equal numbers of generated answers: "
        f"{order}."
    )
