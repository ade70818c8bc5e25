"""Iterative data smoothing against maximum likelihood and the usual remedies for overfitting."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import nominal, quantitative
from reference_impls.benchmarks.summary import by_arm, half_width, mean_table, records_of

BENCHMARK = {
    "key": "reward-overfitting",
    "categories": ["reward-overfitting"],
    "question": "Does moving the labels keep a reward model from overfitting, better than the usual remedies do?",
    "arms": [
        {"arm": "IDS", "method": "ids"},
        {"arm": "maximum likelihood", "method": "ids", "set": {"objective": "mle"}},
        {"arm": "early stopping", "method": "ids", "set": {"objective": "mle", "held_out": 0.2}},
        {"arm": "L2 pull", "method": "ids", "set": {"objective": "l2"}},
        {"arm": "label smoothing", "method": "ids", "set": {"objective": "label-smoothing"}},
        {"arm": "pessimism", "method": "ids", "set": {"objective": "pessimism"}},
        {"arm": "IDS, even coverage", "method": "ids", "bed_set": {"tail": 0.0}},
        {
            "arm": "maximum likelihood, even coverage",
            "method": "ids",
            "set": {"objective": "mle"},
            "bed_set": {"tail": 0.0},
        },
        {"arm": "bandit: IDS", "method": "ids-bandit"},
        {"arm": "bandit: maximum likelihood", "method": "ids-bandit", "set": {"objective": "mle"}},
        {
            "arm": "bandit: early stopping",
            "method": "ids-bandit",
            "set": {"objective": "mle", "held_out": 0.2},
        },
        {"arm": "bandit: L2 pull", "method": "ids-bandit", "set": {"objective": "l2"}},
        {"arm": "bandit: label smoothing", "method": "ids-bandit", "set": {"objective": "label-smoothing"}},
        {"arm": "bandit: pessimism", "method": "ids-bandit", "set": {"objective": "pessimism"}},
        {"arm": "bandit: IDS, 240 comparisons", "method": "ids-bandit", "set": {"comparisons": 240}},
        {
            "arm": "bandit: maximum likelihood, 240 comparisons",
            "method": "ids-bandit",
            "set": {"objective": "mle", "comparisons": 240},
        },
    ],
    "measures": [
        "excess_1",
        "excess_2",
        "excess_4",
        "excess_8",
        "excess_16",
        "excess_30",
        "excess_end",
        "gold_at_1",
        "gold_at_2",
        "gold_at_4",
        "gold_at_6",
        "gold_at_8",
        "gold_fall",
        "covered_excess",
        "covered_rise",
        "covered_gold",
        "covered_fall",
        "covered_from_l2",
        "tie_gold",
        "tie_from_l2",
        "rare_gold",
        "rare_fall",
        "rare_from_l2",
        "even_excess",
        "even_rise",
        "even_from_l2",
        "zipf1_from_l2",
        "zipf2_excess",
        "zipf2_rise",
        "zipf2_from_l2",
    ],
}

CLAIMS = {
    "zhu2024iterative/c1": {
        "test": "Cross-entropy on 2,000 fresh pairs of the same law (label noise averaged exactly) after 30 epochs of "
        "maximum likelihood on 500 pairs with a Zipf tail, minus that after one epoch.",
        "arms": ["maximum likelihood", "IDS", "bandit: maximum likelihood"],
        "measure": "rise_after_one_epoch",
        "unit": "nats",
        "holds": ">= 0.05",
        "fails": "<= 0",
        "why": "The untrained model stands about 0.15 nats above the labels' entropy, so that a rise of 0.05 undoes a "
        "third of what can be learned.",
        "controls": [
            {"what": "the same with labels that IDS moves", "measure": "ids_rise_after_one_epoch"},
            {"what": "the rise from the best epoch on a bandit", "measure": "bandit_rise"},
        ],
    },
    "zhu2024iterative/c2": {
        "test": "Bandits with 10 arms and 240 comparisons: excess test loss of maximum likelihood over IDS when both "
        "arms of a pair follow Zipf's law with exponent 2 (tail) or 0 (even); one minus even over tail.",
        "arms": [
            "bandit: IDS, 240 comparisons",
            "bandit: maximum likelihood, 240 comparisons",
            "bandit: IDS",
            "bandit: maximum likelihood",
        ],
        "measure": "share_due_to_tail",
        "unit": "share of the excess",
        "holds": ">= 0.5",
        "fails": "<= 0.1",
        "why": "If the tail is the cause, an even coverage with equally many labels removes at least half of it.",
        "controls": [
            {"what": "60 comparisons, too few for any coverage", "measure": "share_due_to_tail_at_60"},
        ],
    },
    "zhu2024iterative/c3": {
        "test": "Gold reward of ref * exp(r / lambda) at a KL of 4 nats, IDS minus maximum likelihood, both after 30 "
        "epochs on the same 500 pairs.",
        "arms": ["IDS", "maximum likelihood", "bandit: IDS", "bandit: maximum likelihood"],
        "measure": "gain_over_likelihood",
        "unit": "gold sd",
        "holds": ">= 0.1",
        "fails": "<= 0",
        "why": "A tenth of a standard deviation is well above what two orders of the batches differ by.",
        "controls": [
            {
                "what": "greedy gold on the bandit whose best arms are rare",
                "measure": "gain_where_rare_is_best",
            },
        ],
    },
    "zhu2024iterative/c4": {
        "test": "Fall of the gold reward from its peak to the end as the policy is pushed with IDS's reward: to 8 nats "
        "on sequences, to the greedy arm on the covered bandit; the larger of the two.",
        "arms": ["IDS", "maximum likelihood", "bandit: IDS", "bandit: maximum likelihood"],
        "measure": "fall_of_ids",
        "unit": "gold reward",
        "holds": "<= 0.02",
        "fails": ">= 0.05",
        "why": "The bandit's best arm is worth 1 and the average arm 0.1; 0.05 is half of what chance gives.",
        "controls": [
            {
                "what": "maximum likelihood on the covered bandit",
                "measure": "fall_of_likelihood_on_the_bandit",
            },
            {"what": "maximum likelihood on sequences", "measure": "fall_of_likelihood_on_sequences"},
            {
                "what": "IDS on the bandit whose best arms are rare",
                "measure": "fall_of_ids_where_rare_is_best",
            },
        ],
    },
    "zhu2024iterative/c5": {
        "test": "Greedy gold reward of IDS minus that of pessimistic maximum likelihood, which knows a bound and "
        "widths; mean of the two bandits whose covered arms are best.",
        "arms": ["bandit: IDS", "bandit: pessimism", "bandit: maximum likelihood"],
        "measure": "behind_pessimism",
        "unit": "gold reward",
        "holds": ">= -0.1",
        "fails": "<= -0.5",
        "why": "The best arm is worth 1 and the rare ones 0: a tenth is close, one half is another behaviour.",
        "controls": [{"what": "maximum likelihood", "measure": "likelihood_behind_pessimism"}],
    },
    "zhu2024iterative/c6": {
        "test": "Largest difference of any arm's reward between IDS and the L2 pull to the initial rewards with "
        "strength label rate / step, mean over 100 repetitions, the worst of six bandits.",
        "arms": ["bandit: IDS", "bandit: maximum likelihood", "bandit: label smoothing"],
        "measure": "ids_from_l2",
        "unit": "reward",
        "holds": "<= 0.01",
        "fails": ">= 0.1",
        "why": "By our derivation the difference is of the order of the step size, 0.005, times a few.",
        "controls": [
            {"what": "maximum likelihood", "measure": "likelihood_from_l2"},
            {"what": "label smoothing", "measure": "smoothing_from_l2"},
        ],
    },
    "zhu2024iterative/c7": {
        "test": "As c3, but IDS minus the better, per seed, of an L2 pull (strength 30, the best of 3, 30 and 100 on "
        "one tuning seed) and early stopping by a fifth of the same 500 pairs.",
        "arms": ["IDS", "L2 pull", "early stopping", "maximum likelihood"],
        "measure": "gain_over_tuned",
        "unit": "gold sd",
        "holds": ">= 0.1",
        "fails": "<= 0",
        "why": "The bands of c3. Strict: the better of two is the luckier of two as well.",
        "controls": [
            {"what": "against maximum likelihood alone", "measure": "gain_over_likelihood"},
            {"what": "the L2 pull against the better of IDS and early stopping", "measure": "l2_over_rest"},
        ],
    },
    "zhu2024iterative/c8": {
        "test": "Rise of the test loss of maximum likelihood from its best watched epoch to epoch 30, on sequences: "
        "one minus the rise with even coverage over the rise with a Zipf tail, 500 pairs each.",
        "arms": [
            "maximum likelihood",
            "maximum likelihood, even coverage",
            "bandit: maximum likelihood, 240 comparisons",
        ],
        "measure": "share_of_rise_due_to_tail",
        "unit": "share of the rise",
        "holds": ">= 0.5",
        "fails": "<= 0.1",
        "why": "The bands of c2.",
        "controls": [
            {"what": "the same share on bandits with 240 comparisons", "measure": "bandit_share_of_rise"},
        ],
    },
}

EPOCHS = (1, 2, 4, 8, 16, 30)
NATS = (1, 2, 4, 6, 8)
INSTANCES = ("covered", "tie", "rare", "even", "zipf1", "zipf2")


def _one(runs: pd.DataFrame, arm: str, metric: str) -> float:
    return float(runs[f"metrics.{metric}"].to_dict()[arm])


def rise_after_one_epoch(runs: pd.DataFrame) -> float:
    """Excess loss of maximum likelihood after 30 epochs minus that after one."""
    return _one(runs, "maximum likelihood", "excess_30") - _one(runs, "maximum likelihood", "excess_1")


def ids_rise_after_one_epoch(runs: pd.DataFrame) -> float:
    """The same for IDS."""
    return _one(runs, "IDS", "excess_30") - _one(runs, "IDS", "excess_1")


def bandit_rise(runs: pd.DataFrame) -> float:
    """Rise from the best epoch of maximum likelihood on the covered bandit."""
    return _one(runs, "bandit: maximum likelihood", "covered_rise")


def _share(runs: pd.DataFrame, comparisons: str) -> float:
    even, tail = (
        _one(runs, f"bandit: maximum likelihood{comparisons}", metric)
        - _one(runs, f"bandit: IDS{comparisons}", metric)
        for metric in ("even_excess", "zipf2_excess")
    )
    return 1 - even / tail


def share_due_to_tail(runs: pd.DataFrame) -> float:
    """One minus the excess over IDS under even coverage, over that under a tail, at 240 comparisons."""
    return _share(runs, ", 240 comparisons")


def share_due_to_tail_at_60(runs: pd.DataFrame) -> float:
    """The same at 60 comparisons."""
    return _share(runs, "")


def gain_over_likelihood(runs: pd.DataFrame) -> float:
    """Gold reward at 4 nats, IDS minus maximum likelihood."""
    return _one(runs, "IDS", "gold_at_4") - _one(runs, "maximum likelihood", "gold_at_4")


def gain_where_rare_is_best(runs: pd.DataFrame) -> float:
    """Greedy gold reward of IDS minus maximum likelihood on the bandit whose best arms are rare."""
    return _one(runs, "bandit: IDS", "rare_gold") - _one(runs, "bandit: maximum likelihood", "rare_gold")


def fall_of_ids(runs: pd.DataFrame) -> float:
    """Fall of the gold reward along the path: the larger of sequences and the covered bandit."""
    return max(_one(runs, "IDS", "gold_fall"), _one(runs, "bandit: IDS", "covered_fall"))


def fall_of_likelihood_on_the_bandit(runs: pd.DataFrame) -> float:
    """The fall of maximum likelihood on the covered bandit."""
    return _one(runs, "bandit: maximum likelihood", "covered_fall")


def fall_of_likelihood_on_sequences(runs: pd.DataFrame) -> float:
    """The fall of maximum likelihood on sequences."""
    return _one(runs, "maximum likelihood", "gold_fall")


def fall_of_ids_where_rare_is_best(runs: pd.DataFrame) -> float:
    """The fall of IDS on the bandit whose best arms are rare."""
    return _one(runs, "bandit: IDS", "rare_fall")


def _behind_pessimism(runs: pd.DataFrame, arm: str) -> float:
    gold = {
        a: (_one(runs, a, "covered_gold") + _one(runs, a, "tie_gold")) / 2 for a in (arm, "bandit: pessimism")
    }
    return gold[arm] - gold["bandit: pessimism"]


def behind_pessimism(runs: pd.DataFrame) -> float:
    """Greedy gold of IDS minus that of pessimism, mean of the bandits whose covered arms are best."""
    return _behind_pessimism(runs, "bandit: IDS")


def likelihood_behind_pessimism(runs: pd.DataFrame) -> float:
    """The same for maximum likelihood."""
    return _behind_pessimism(runs, "bandit: maximum likelihood")


def ids_from_l2(runs: pd.DataFrame) -> float:
    """How far IDS ends from the L2 optimum, the worst instance."""
    return max(_one(runs, "bandit: IDS", f"{name}_from_l2") for name in INSTANCES)


def likelihood_from_l2(runs: pd.DataFrame) -> float:
    """The same for maximum likelihood."""
    return max(_one(runs, "bandit: maximum likelihood", f"{name}_from_l2") for name in INSTANCES)


def smoothing_from_l2(runs: pd.DataFrame) -> float:
    """The same for label smoothing."""
    return max(_one(runs, "bandit: label smoothing", f"{name}_from_l2") for name in INSTANCES)


def _lead(runs: pd.DataFrame, arm: str, rivals: tuple[str, str]) -> float:
    return _one(runs, arm, "gold_at_4") - max(_one(runs, rival, "gold_at_4") for rival in rivals)


def gain_over_tuned(runs: pd.DataFrame) -> float:
    """Gold reward at 4 nats, IDS minus the better of the L2 pull and early stopping."""
    return _lead(runs, "IDS", ("L2 pull", "early stopping"))


def l2_over_rest(runs: pd.DataFrame) -> float:
    """The same with the parts of IDS and the L2 pull exchanged."""
    return _lead(runs, "L2 pull", ("IDS", "early stopping"))


def _rise(runs: pd.DataFrame, arm: str) -> float:
    return _one(runs, arm, "excess_30") - min(_one(runs, arm, f"excess_{epoch}") for epoch in EPOCHS)


def share_of_rise_due_to_tail(runs: pd.DataFrame) -> float:
    """One minus the rise of maximum likelihood under even coverage over that under the tail, on sequences."""
    return 1 - _rise(runs, "maximum likelihood, even coverage") / _rise(runs, "maximum likelihood")


def bandit_share_of_rise(runs: pd.DataFrame) -> float:
    """The same on bandits with 240 comparisons, exponent 2 against 0."""
    arm = "bandit: maximum likelihood, 240 comparisons"
    return 1 - _one(runs, arm, "even_rise") / _one(runs, arm, "zipf2_rise")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Test loss and gold reward on sequences, and two bandits."""
    columns = {
        "metrics.excess_1": "excess loss, epoch 1",
        "metrics.excess_end": "at the end",
        "metrics.gold_at_4": "gold at 4 nats",
        "metrics.gap_closed": "gap closed",
        "metrics.covered_excess": "covered bandit: excess loss",
        "metrics.covered_gold": "greedy gold",
        "metrics.covered_from_l2": "distance to L2",
        "metrics.rare_gold": "rare best: greedy gold",
    }
    return mean_table(runs, columns, {"arm": "training"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: excess test loss over epochs, and gold reward as the policy is pushed, on sequences.

    Early stopping is one point, the loss of the model that it returns: its curve goes on past the stop.
    """
    sequences = runs[(runs["method"] == "ids") & ~runs["arm"].str.contains("even coverage")]
    means = sequences.groupby("arm", sort=False).mean(numeric_only=True)
    loss = [
        {"training": arm, "epoch": epoch, "value": row[f"metrics.excess_{epoch}"]}
        for arm, row in means.drop(index=["pessimism", "early stopping"]).iterrows()
        for epoch in EPOCHS
    ]
    stopped = {"training": "early stopping", "epoch": EPOCHS[-1]}
    loss.append({**stopped, "value": means.loc["early stopping", "metrics.excess_end"]})
    gold = [
        {"training": arm, "nats": nats, "value": row[f"metrics.gold_at_{nats}"]}
        for arm, row in means.iterrows()
        for nats in NATS
    ]
    colour = nominal("training", "training", sort=list(means.index))

    def panel(rows: list[dict[str, object]], x: dict[str, object], y: str) -> dict[str, object]:
        return {
            "width": 290,
            "height": 300,
            "data": {"values": records_of(pd.DataFrame(rows))},
            "mark": {"type": "line", "point": True},
            "encoding": {
                "x": {"type": "quantitative", **x},
                "y": quantitative("value", y, scale={"zero": False}),
                "color": colour,
            },
        }

    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "hconcat": [
            panel(
                loss,
                {
                    "field": "epoch",
                    "title": "epoch",
                    "scale": {"type": "log", "nice": False},
                    "axis": {"values": list(EPOCHS)},
                },
                "test cross-entropy above the labels' entropy (nats)",
            ),
            panel(gold, {"field": "nats", "title": "KL to the reference (nats)"}, "gold reward"),
        ],
    }


def conclusion(runs: pd.DataFrame) -> str:
    """What 30 epochs do to the test loss, what IDS gains at equal KL and at equal beta, and where it loses."""
    columns = ["metrics.excess_1", "metrics.excess_30", "metrics.gap_closed", "metrics.rare_gold"]
    means = by_arm(runs, columns).set_index("arm")
    change = {
        arm: _one(means, arm, "excess_30") - _one(means, arm, "excess_1")
        for arm in ("IDS", "maximum likelihood")
    }
    told = {arm: f"{'rises' if c > 0 else 'falls'} by {abs(c):.2f}" for arm, c in change.items()}
    gain = pd.Series([gain_over_likelihood(one.set_index("arm")) for _, one in runs.groupby("seed")])
    wide = half_width(gain)
    decided = (
        "more" if gain.mean() > wide else "less" if gain.mean() < -wide else "neither clearly more nor less"
    )
    rare = gain_where_rare_is_best(means)
    return (
        f"From epoch 1 to 30 the test loss of maximum likelihood {told['maximum likelihood']} nats, that of IDS "
        f"{told['IDS']}. At the bed's beta their policies close "
        f"{_one(means, 'maximum likelihood', 'gap_closed'):.2f} and "
        f"{_one(means, 'IDS', 'gap_closed'):.2f} of the gap. At an equal KL of 4 nats, where the scale of the scores "
        f"does not matter, IDS earns {decided} gold reward ({gain.mean():+.2f} ± {wide:.2f}). On the bandit whose best "
        f"arms are rare it {'loses' if rare < 0 else 'gains'} {abs(rare):.2f}."
    )
