"""Cards of reward models side by side: which of them would warn a reader?"""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import layer, nominal, quantitative
from reference_impls.benchmarks.summary import by_arm, mean_table, records_of

PLACES = tuple(range(11))
BENCHMARK = {
    "key": "reward-model-cards",
    "categories": ["reward-model-evaluation", "history-and-critique"],
    "question": "Does a card of a reward model show what its users would have to know?",
    "arms": [
        {"arm": "8,000 labels", "method": "reward-model-card"},
        {"arm": "4,000 labels", "method": "reward-model-card", "set": {"labels": 4000}},
        {
            "arm": "length over-rewarded by half an sd",
            "method": "reward-model-card",
            "bed_set": {"length_bias": 0.5},
        },
        {
            "arm": "length over-rewarded by one sd",
            "method": "reward-model-card",
            "bed_set": {"length_bias": 1.0},
        },
        {"arm": "optimum of the gold reward", "method": "kl-optimum", "oracle": True},
    ],
    "measures": [
        "accuracy",
        "accuracy_width",
        "ceiling",
        "ceiling_width",
        "calibration",
        "calibration_width",
        "length_probe",
        "length_probe_width",
        "heldout_accuracy",
        "peak_gold",
        "drop",
        "kl_at_0",
        "kl_at_1",
        "kl_at_2",
        "kl_at_3",
        "kl_at_4",
        "kl_at_5",
        "kl_at_6",
        "kl_at_7",
        "kl_at_8",
        "kl_at_9",
        "kl_at_10",
        "gold_at_0",
        "gold_at_1",
        "gold_at_2",
        "gold_at_3",
        "gold_at_4",
        "gold_at_5",
        "gold_at_6",
        "gold_at_7",
        "gold_at_8",
        "gold_at_9",
        "gold_at_10",
    ],
}

CLAIMS = {
    "lambert2023history/c5": {
        "test": (
            "J at the bed's beta of the exact optimum for a reward model of 8,000 labels: the share of the way from "
            "the reference to the true optimum that is missing although the optimiser is perfect."
        ),
        "arms": ["8,000 labels", "optimum of the gold reward"],
        "measure": "missing_for_the_learned",
        "unit": "share of the gap",
        "holds": ">= 0.1",
        "fails": "<= 0.02",
        "why": "On the tuning seeds a quarter or more is missing; a tenth is ten times what optimisers leave.",
        "controls": [{"what": "the exact optimum for the gold reward", "measure": "missing_for_the_given"}],
        "revisions": [],
    },
    "lambert2023history/c6": {
        "test": (
            "Length probe of the card (4,000 audit pairs of unbiased annotators) of a model whose annotators "
            "over-reward length by one sd, minus that of a model of unbiased ones, over the width of the difference."
        ),
        "arms": ["8,000 labels", "4,000 labels", "length over-rewarded by one sd"],
        "measure": "bias_seen",
        "unit": "half widths of 95 %",
        "holds": ">= 1.5",
        "fails": "<= 1",
        "why": "At 1 the intervals do not tell the models apart; half as much again leaves no doubt on one card.",
        "controls": [{"what": "an unbiased model of half the labels", "measure": "bias_seen_where_none_is"}],
        "revisions": [],
    },
}


def missing_for_the_learned(runs: pd.DataFrame) -> float:
    """One minus the gap closed by the optimum for the reward model."""
    return 1 - float(runs.loc["8,000 labels", "metrics.gap_closed"])


def missing_for_the_given(runs: pd.DataFrame) -> float:
    """The same for the gold reward."""
    return 1 - float(runs.loc["optimum of the gold reward", "metrics.gap_closed"])


def bias_seen(runs: pd.DataFrame) -> float:
    """How far the biased model's length probe is from the unbiased one's."""
    return _apart(runs, "length over-rewarded by one sd")


def bias_seen_where_none_is(runs: pd.DataFrame) -> float:
    """The same for an unbiased model of other labels."""
    return _apart(runs, "4,000 labels")


def _apart(runs: pd.DataFrame, arm: str) -> float:
    probe, width = "metrics.length_probe", "metrics.length_probe_width"
    one, other = runs.loc["8,000 labels"], runs.loc[arm]
    return float((other[probe] - one[probe]) / (one[width] ** 2 + other[width] ** 2) ** 0.5)


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """The main numbers of each card."""
    columns = {
        "metrics.accuracy": "accuracy",
        "metrics.ceiling": "two annotators agree",
        "metrics.heldout_accuracy": "held out",
        "metrics.calibration": "calibration slope",
        "metrics.length_probe": "length probe",
        "metrics.gap_closed": "gap closed by its optimum",
        "metrics.drop": "gold lost at the hardest push",
    }
    return mean_table(runs, columns, {"arm": "labels"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: the length probe with a card's interval, and gold reward against KL as a policy is pushed, exactly."""
    cards = runs.dropna(subset=["metrics.kl_at_0"])
    columns = [f"metrics.{name}_at_{place}" for name in ("kl", "gold") for place in PLACES]
    means = by_arm(cards, [*columns, "metrics.length_probe", "metrics.length_probe_width"])
    points = pd.DataFrame(
        [
            {"labels": row["arm"], "kl": row[f"metrics.kl_at_{p}"], "gold": row[f"metrics.gold_at_{p}"]}
            for row in means.to_dict("records")
            for p in PLACES
        ]
    )
    probe = means["metrics.length_probe"]
    width = means["metrics.length_probe_width"]
    probes = pd.DataFrame(
        {"labels": means["arm"], "probe": probe, "low": probe - width, "high": probe + width}
    )
    arms = list(means["arm"])
    colour = nominal("labels", "reward model", sort=arms)
    across = "length probe, with a card's 95 % interval (0 is no bias)"
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "vconcat": [
            {
                "width": 560,
                "height": 90,
                "data": {"values": records_of(probes)},
                "encoding": {"y": nominal("labels", None, axis=None, sort=arms), "color": colour},
                "layer": [
                    layer("rule", x=quantitative("low", across), x2={"field": "high"}),
                    layer("point", x=quantitative("probe", across)),
                ],
            },
            {
                "width": 560,
                "height": 300,
                "data": {"values": records_of(points)},
                **layer(
                    {"type": "line", "point": True},
                    x=quantitative("kl", "KL to the reference (nats)"),
                    y=quantitative("gold", "gold reward above the reference (sd)"),
                    color=colour,
                    order={"field": "kl"},
                ),
            },
        ],
    }


def conclusion(runs: pd.DataFrame) -> str:
    """Say what the probe shows and whether accuracy would have warned as well."""
    means = by_arm(
        runs, ["metrics.accuracy", "metrics.length_probe", "metrics.length_probe_width"]
    ).set_index("arm")
    fair, biased = means.loc["8,000 labels"], means.loc["length over-rewarded by one sd"]
    gap = biased["metrics.length_probe"] - fair["metrics.length_probe"]
    width = (biased["metrics.length_probe_width"] ** 2 + fair["metrics.length_probe_width"] ** 2) ** 0.5
    seen = "tells the two apart" if gap > width else "does not tell the two apart"
    return (
        f"The length probe is {fair['metrics.length_probe']:+.3f} where annotators are fair and "
        f"{biased['metrics.length_probe']:+.3f} where they over-reward length, with intervals of ± {width:.3f}: the "
        f"card {seen}. Agreement with fair annotators falls from {fair['metrics.accuracy']:.3f} to "
        f"{biased['metrics.accuracy']:.3f}."
    )
