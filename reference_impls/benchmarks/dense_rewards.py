"""The same total reward, paid token by token or at the end: how many updates does each way need?"""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import along_training, by_arm, half_width, mean_table

BENCHMARK = {
    "key": "dense-rewards",
    "categories": ["fine-grained-feedback"],
    "question": "If each token is paid for what it adds, does a policy gradient need fewer updates?",
    "arms": [
        {"arm": "per token", "method": "dense-reward-policy-gradient", "oracle": True},
        {
            "arm": "at the end",
            "method": "dense-reward-policy-gradient",
            "set": {"credit": "end"},
            "oracle": True,
        },
        {
            "arm": "one action",
            "method": "dense-reward-policy-gradient",
            "set": {"credit": "answer"},
            "oracle": True,
        },
        {
            "arm": "per token, nine tokens",
            "method": "dense-reward-policy-gradient",
            "set": {"steps": 150},
            "bed_set": {"vocab": 2, "horizon": 9},
            "oracle": True,
        },
        {
            "arm": "at the end, nine tokens",
            "method": "dense-reward-policy-gradient",
            "set": {"credit": "end", "steps": 150},
            "bed_set": {"vocab": 2, "horizon": 9},
            "oracle": True,
        },
        {
            "arm": "one action, nine tokens",
            "method": "dense-reward-policy-gradient",
            "set": {"credit": "answer", "steps": 150},
            "bed_set": {"vocab": 2, "horizon": 9},
            "oracle": True,
        },
    ],
}


CLAIMS = {
    "chaudhari2024rlhf/s6": {
        "test": (
            "The gold reward of answers of up to five tokens, known per token, paid at once or as a whole; 16 answers "
            "per update, same learning rate, same mean gradient. Share of the updates to 80 % of the gap that paying "
            "at once saves against the better of two ways with a terminal reward: paid at the last token, or the "
            "answer as one action."
        ),
        "arms": ["per token", "at the end", "one action"],
        "measure": "saved",
        "unit": "share of updates",
        "holds": ">= 0.15",
        "fails": "<= 0",
        "why": (
            "The two tuning seeds gave 0.1 and -0.1 against the bandit view and 0.6 and 0.3 against payment at the "
            "last token: a gain worth the labels should be more than what a seed moves."
        ),
        "controls": [
            {"what": "against payment at the last token only", "measure": "saved_against_last_token"},
            {"what": "payment at the last token against the bandit view", "measure": "saved_by_last_token"},
        ],
        "revisions": [],
    },
}


def _saved(runs: pd.DataFrame, arm: str, others: tuple[str, ...]) -> float:
    needed = {name: updates_to(runs["curve"][name], 0.8) for name in (arm, *others)}
    return 1 - needed[arm] / min(needed[other] for other in others)


def saved(runs: pd.DataFrame) -> float:
    """Share of updates that rewards per token save against the better way of paying the whole."""
    return _saved(runs, "per token", ("at the end", "one action"))


def saved_against_last_token(runs: pd.DataFrame) -> float:
    """The same against payment at the last token."""
    return _saved(runs, "per token", ("at the end",))


def saved_by_last_token(runs: pd.DataFrame) -> float:
    """What payment at the last token saves against the answer as one action."""
    return _saved(runs, "at the end", ("one action",))


def updates_to(curve: list[dict[str, float]], level: float) -> float:
    """Updates until the gap closed first reaches ``level``, between measured points; the last step if it never does."""
    before_step, before = 0.0, 0.0
    for point in curve:
        step, gap = float(point["step"]), float(point["gap_closed"])
        if gap >= level:
            return before_step + (step - before_step) * (level - before) / (gap - before)
        before_step, before = step, gap
    return before_step


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Updates to 60 and 80 % of the gap, and where training ends."""
    found = runs.assign(
        **{
            "to_60": [updates_to(curve, 0.6) for curve in runs["curve"]],
            "to_80": [updates_to(curve, 0.8) for curve in runs["curve"]],
        }
    )
    columns = {
        "to_60": "updates to 60 %",
        "to_80": "updates to 80 %",
        "metrics.gap_closed": "gap closed",
        "metrics.heldout_gap_closed": "held out",
        "cost.samples": "samples",
    }
    return mean_table(found, columns, {"arm": "reward paid"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: gap closed against updates, answers of at most five and of at most nine tokens side by side."""
    parts = runs["arm"].str.partition(", ")
    named = runs.assign(paid=parts[0], length=parts[2].replace("", "five tokens"))
    return chart(
        along_training(named, ["gap_closed"], ["length", "paid"]),
        {"type": "line", "point": True},
        width=280,
        height=300,
        column=nominal("length", "longest answer", sort=None),
        x=quantitative("step", "updates"),
        y=quantitative("gap_closed", "share of the gap closed"),
        color=nominal("paid", "reward paid"),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """Updates that paying at once saves or costs against each way of paying the whole, for both lengths."""
    found = runs.assign(needed=[updates_to(curve, 0.8) for curve in runs["curve"]])
    means = by_arm(found, ["needed", "metrics.gap_closed"]).set_index("arm")
    needed, end = means["needed"], means["metrics.gap_closed"]

    def against(length: str) -> str:
        once, late, whole = (
            f"{needed[paid + length]:.0f}" for paid in ("per token", "at the end", "one action")
        )
        return f"{once} updates, paid at the end {late}, with the answer as one action {whole}"

    by_seed = found.pivot(index="seed", columns="arm", values="needed")
    spared = by_seed["one action"] - by_seed["per token"]
    gain, width = float(spared.mean()), half_width(spared)
    verdict = "saves" if gain > width else "costs" if gain < -width else "neither clearly saves nor costs"
    return (
        f"To close 80 % of the gap with answers of up to five tokens, rewards per token need {against('')}; with up to "
        f"nine tokens {against(', nine tokens')}. Against the bandit view, whose noise vanishes at the optimum, paying "
        f"per token {verdict} updates on the short answers ({gain:+.0f} ± {width:.0f} saved), and training ends at "
        f"{end['per token']:.2f} of the gap against {end['one action']:.2f}."
    )
