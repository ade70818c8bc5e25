"""What training forgets on prompts that it never visits, against what it gains on those that it does."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table

BENCHMARK = {
    "key": "alignment-tax",
    "categories": ["alignment-tax"],
    "question": (
        "Training on half of the prompts: what is forgotten on the other half, and does averaging weights or mixing in "
        "old data forget less at the same reward than a stronger KL penalty?"
    ),
    "measures": ["tax", "untouched_kl"],
    "arms": [
        {"arm": "RLOO, beta 0.25", "method": "weight-averaging", "set": {"alpha": 1.0}, "oracle": True},
        {
            "arm": "RLOO, beta 0.5",
            "method": "weight-averaging",
            "set": {"alpha": 1.0, "beta": 0.5},
            "oracle": True,
        },
        {
            "arm": "RLOO, beta 1",
            "method": "weight-averaging",
            "set": {"alpha": 1.0, "beta": 1.0},
            "oracle": True,
        },
        {"arm": "Averaged, 0.7", "method": "weight-averaging", "set": {"alpha": 0.7}, "oracle": True},
        {"arm": "Averaged, 0.5", "method": "weight-averaging", "set": {"alpha": 0.5}, "oracle": True},
        {
            "arm": "Averaged, lower half 0.5",
            "method": "weight-averaging",
            "set": {"alpha": 1.0, "lower_alpha": 0.5},
            "oracle": True,
        },
        {"arm": "Mixed, 0.1", "method": "pretraining-mix", "set": {"mix": 0.1}, "oracle": True},
        {"arm": "Mixed, 0.3", "method": "pretraining-mix", "set": {"mix": 0.3}, "oracle": True},
    ],
}

GRIDS = [
    {
        "arms": ["RLOO, beta 0.25"],
        "setting": "lr",
        "values": [2e-3, 4e-3],
        "measure": "metrics.target_gap",
    },
]

PLAIN = "RLOO, beta 0.25"
FRONTS = {
    "stronger KL": ("RLOO, beta 1", "RLOO, beta 0.5"),
    "averaged": ("Averaged, 0.5", "Averaged, 0.7"),
    "mixed": ("Mixed, 0.3", "Mixed, 0.1"),
}
LEVEL = 0.8
"""Share of the plain run's reward at which taxes are compared."""

CLAIMS = {
    "lin2023mitigating/c1": {
        "test": (
            "RLOO on half of the prompts, its tax on the other half, and three remedies, each along its own dial: the "
            "tax at 80 % of the plain run's reward, read off between neighbouring points. The lesser tax of a stronger "
            "KL penalty and of mixing in old data, minus that of averaging weights, over the plain run's tax."
        ),
        "arms": [
            "RLOO, beta 0.25",
            "RLOO, beta 0.5",
            "RLOO, beta 1",
            "Averaged, 0.5",
            "Averaged, 0.7",
            "Mixed, 0.1",
            "Mixed, 0.3",
        ],
        "measure": "averaging_saves",
        "unit": "share of the plain run's tax",
        "holds": ">= 0.05",
        "fails": "<= 0",
        "why": "A saving that is visible in a figure; the tuning seeds were used for the learning rate alone.",
        "controls": [
            {"what": "averaging against the stronger KL penalty alone", "measure": "averaging_over_kl"},
            {"what": "mixing in old data against the other two", "measure": "mixing_saves"},
        ],
        "revisions": [],
    },
    "ouyang2022training/c3": {
        "test": (
            "The same comparison between mixing in old data and a stronger KL penalty: the tax of the KL penalty minus "
            "that of the mix at 80 % of the plain run's reward, over the plain run's tax."
        ),
        "arms": [
            "RLOO, beta 0.25",
            "RLOO, beta 0.5",
            "RLOO, beta 1",
            "Averaged, 0.5",
            "Averaged, 0.7",
            "Mixed, 0.1",
            "Mixed, 0.3",
        ],
        "measure": "mixing_over_kl",
        "unit": "share of the plain run's tax",
        "holds": ">= 0.05",
        "fails": "<= 0",
        "why": "As before. Old data here cover the prompts on which the tax is measured, as a web corpus would.",
        "controls": [
            {"what": "answering with the reference every fifth time", "measure": "chord_over_kl"},
            {"what": "averaging against mixing", "measure": "averaging_over_mixing"},
        ],
        "revisions": [],
    },
}


def tax_at_level(runs: pd.DataFrame, front: tuple[str, ...], level: float = LEVEL) -> float:
    """Tax over the plain run's at a share of its reward, by straight lines between the points of a dial.

    The dial begins at the reference, whose reward and tax are 0, and ends at the plain run.
    """
    reward, tax = runs["metrics.gold_reward"], runs["metrics.tax"]
    points = [(float(reward[arm] / reward[PLAIN]), float(tax[arm] / tax[PLAIN])) for arm in front]
    points = [(0.0, 0.0), *sorted(points), (1.0, 1.0)]
    for (low, less), (high, more) in pairwise(points):
        if low <= level <= high:
            return less + (more - less) * (level - low) / (high - low)
    return points[-1][1]


def _taxes(runs: pd.DataFrame) -> dict[str, float]:
    return {name: tax_at_level(runs, front) for name, front in FRONTS.items()}


def averaging_saves(runs: pd.DataFrame) -> float:
    """The lesser tax of the other two minus that of averaging."""
    taxes = _taxes(runs)
    return min(taxes["stronger KL"], taxes["mixed"]) - taxes["averaged"]


def mixing_saves(runs: pd.DataFrame) -> float:
    """The same for mixing."""
    taxes = _taxes(runs)
    return min(taxes["stronger KL"], taxes["averaged"]) - taxes["mixed"]


def averaging_over_kl(runs: pd.DataFrame) -> float:
    """Tax of the stronger KL penalty minus that of averaging."""
    taxes = _taxes(runs)
    return taxes["stronger KL"] - taxes["averaged"]


def mixing_over_kl(runs: pd.DataFrame) -> float:
    """Tax of the stronger KL penalty minus that of mixing."""
    taxes = _taxes(runs)
    return taxes["stronger KL"] - taxes["mixed"]


def averaging_over_mixing(runs: pd.DataFrame) -> float:
    """Tax of mixing minus that of averaging."""
    taxes = _taxes(runs)
    return taxes["mixed"] - taxes["averaged"]


def chord_over_kl(runs: pd.DataFrame) -> float:
    """Tax of the stronger KL penalty minus that on the straight line from the reference to the plain run."""
    return tax_at_level(runs, FRONTS["stronger KL"]) - tax_at_level(runs, ())


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Gain on the prompts of training, and the tax on the others."""
    columns = {
        "metrics.gold_reward": "gold reward",
        "metrics.kl_ref": "KL to reference",
        "metrics.kl_efficiency": "KL efficiency",
        "metrics.heldout_gap_closed": "gap closed, held out",
        "metrics.tax": "tax (nats)",
        "metrics.untouched_kl": "KL there",
    }
    return mean_table(runs, columns, {"arm": "training"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: tax against reward, one line per dial, each from the reference to the plain run."""
    means = by_arm(runs, ["metrics.gold_reward", "metrics.tax"]).set_index("arm")
    rows = []
    for name, front in FRONTS.items():
        for arm in (*front, PLAIN):
            reward, tax = means.loc[arm, "metrics.gold_reward"], means.loc[arm, "metrics.tax"]
            rows.append({"remedy": name, "reward": float(reward), "tax": float(tax)})
        rows.append({"remedy": name, "reward": 0.0, "tax": 0.0})
    lower = means.loc["Averaged, lower half 0.5"]
    rows.append(
        {
            "remedy": "averaged, lower half",
            "reward": float(lower["metrics.gold_reward"]),
            "tax": float(lower["metrics.tax"]),
        }
    )
    return chart(
        rows,
        {"type": "line", "point": True},
        x=quantitative("reward", "gold reward on the prompts of training"),
        y=quantitative("tax", "tax on the other prompts, in nats"),
        color=nominal("remedy", "remedy"),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """The tax at four fifths of the reward, by remedy."""
    per_seed = [_taxes(one.set_index("arm")) for _, one in runs.groupby("seed")]
    taxes = pd.DataFrame(per_seed).mean()
    plain = arm_means(runs, "metrics.tax")[PLAIN]
    order = sorted(FRONTS, key=lambda name: float(taxes[name]))
    listed = ", ".join(f"{name} {100 * taxes[name]:.0f} %" for name in order)
    return (
        f"Training on half of the prompts costs {plain:.1f} nats per answer on the other half. Of this tax, what is "
        f"left at {100 * LEVEL:.0f} % of the reward is, by remedy: {listed}."
    )
