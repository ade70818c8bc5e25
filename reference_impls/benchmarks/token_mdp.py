"""One process, two readings: a sequence of tokens, or one choice among whole answers."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import by_arm, mean_table

BENCHMARK = {
    "key": "token-mdp",
    "categories": ["text-generation-as-mdp"],
    "question": "When is a sequence of token decisions the same problem as one choice among whole answers?",
    "arms": [
        {"arm": "no discount", "method": "token-mdp", "oracle": True},
        {"arm": "discount 0.95", "method": "token-mdp", "set": {"discount": 0.95}, "oracle": True},
        {"arm": "discount 0.8", "method": "token-mdp", "set": {"discount": 0.8}, "oracle": True},
        {"arm": "discount 0.5", "method": "token-mdp", "set": {"discount": 0.5}, "oracle": True},
    ],
    "measures": ["token_return", "bandit_reward", "largest_difference", "mean_length"],
}

CLAIMS = {
    "chaudhari2024rlhf/mdp": {
        "test": (
            "Exact return of the token-level process by backward induction against the expected reward of whole "
            "answers, for the optimal token policy and a reward paid with the last token: the largest difference over "
            "contexts."
        ),
        "arms": ["no discount", "discount 0.8"],
        "measure": "difference",
        "unit": "sd of the reward",
        "holds": "<= 1e-6",
        "fails": ">= 0.01",
        "why": "An identity has to hold to rounding in double precision; a hundredth of a sd is a visible difference.",
        "controls": [{"what": "with a discount of 0.8 per token", "measure": "difference_discounted"}],
        "revisions": [],
    },
}


def measured(runs: pd.DataFrame, arm: str, name: str) -> float:
    """One metric of one arm, ``runs`` being indexed by arm."""
    return float(runs[f"metrics.{name}"].loc[arm])


def difference(runs: pd.DataFrame) -> float:
    """Without a discount."""
    return measured(runs, "no discount", "largest_difference")


def difference_discounted(runs: pd.DataFrame) -> float:
    """With one."""
    return measured(runs, "discount 0.8", "largest_difference")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Both readings of the same policy, and how near it is to the optimum over whole answers."""
    columns = {
        "metrics.token_return": "return of the process",
        "metrics.bandit_reward": "reward of the answers",
        "metrics.target_gap": "of the bandit's optimum",
        "metrics.mean_length": "tokens",
    }
    return mean_table(runs, columns, {"arm": "process"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: both readings against the discount."""
    rows = [
        {"seed": run["seed"], "discount": run["config.discount"], "reading": reading, "value": run[column]}
        for _, run in runs.iterrows()
        for reading, column in (
            ("return of the token process", "metrics.token_return"),
            ("expected reward of whole answers", "metrics.bandit_reward"),
        )
    ]
    return chart(
        by_arm(pd.DataFrame(rows), ["value"], ["discount", "reading"]),
        {"type": "line", "point": True},
        width=620,
        height=320,
        x=quantitative("discount", "discount γ per token", scale={"zero": False}),
        y=quantitative("value", "value of the optimal token policy (reward sd)"),
        color=nominal("reading", "read as"),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """Whether the two readings agree without a discount, and how they part with one."""
    means = by_arm(runs, [f"metrics.{c}" for c in ("largest_difference", "mean_length", "bandit_reward")])
    (off, length, reward), (_, cut, left) = (
        [
            measured(means.set_index("arm"), arm, name)
            for name in ("largest_difference", "mean_length", "bandit_reward")
        ]
        for arm in ("no discount", "discount 0.5")
    )
    agree = "are the same" if off <= 1e-6 else "differ"
    shorter = "shorter" if cut < length else "no shorter"
    return (
        f"With the reward paid at the end and no discount, the return of the token process and the expected reward of "
        f"whole answers {agree} (largest difference {off:.1g}). A discount of 0.5 makes the optimal answers {shorter} "
        f"({cut:.1f} against {length:.1f} tokens) and leaves a reward of {left:.2f} out of {reward:.2f}."
    )
