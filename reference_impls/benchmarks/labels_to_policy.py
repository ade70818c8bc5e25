"""From the same 8,000 labels to a policy: through a reward model, or directly."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import by_arm, mean_table

BENCHMARK = {
    "key": "labels-to-policy",
    "categories": ["scalar-reward-models", "supervised-fine-tuning", "reward-over-optimisation"],
    "question": "With the same 8,000 labels, what do a reward model and its policy gain over direct methods?",
    "arms": [
        {"arm": "reward model + PPO", "method": "ppo", "bed_set": {"reward": "model"}},
        {
            "arm": "reward model + PPO, beta 0.2",
            "method": "ppo",
            "set": {"beta": 0.2},
            "bed_set": {"reward": "model"},
        },
        {"arm": "reward model + RLOO", "method": "rloo", "bed_set": {"reward": "model"}},
        {"arm": "reward model + GRPO", "method": "grpo", "bed_set": {"reward": "model"}},
        {"arm": "reward model + best of 16", "method": "best-of-n", "bed_set": {"reward": "model"}},
        {"arm": "reward model, exact optimum", "method": "kl-optimum", "bed_set": {"reward": "model"}},
        {"arm": "DPO", "method": "dpo"},
        {"arm": "SFT on the chosen", "method": "sft"},
    ],
}


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Gold and proxy side by side for each way from labels to policy."""
    columns = {
        "metrics.gap_closed": "gap closed",
        "metrics.heldout_gap_closed": "held out",
        "metrics.gold_reward": "gold reward",
        "metrics.proxy_reward": "proxy reward",
        "metrics.kl_ref": "KL to reference",
        "metrics.target_gap": "of its own target",
    }
    return mean_table(runs, columns, {"arm": "way"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: proxy and gold reward along training of PPO against the reward model."""
    rows = [
        {
            "seed": run["seed"],
            "reward": name,
            "beta": run["config.beta"],
            "step": point["step"],
            "value": point[field],
        }
        for _, run in runs[runs["arm"].str.startswith("reward model + PPO")].iterrows()
        for point in run["curve"]
        for name, field in (("gold", "gold_reward"), ("proxy (the reward model)", "proxy_reward"))
    ]
    return chart(
        by_arm(pd.DataFrame(rows), ["value"], ["beta", "reward", "step"]),
        {"type": "line", "point": True},
        width=620,
        height=360,
        x=quantitative("step", "PPO's batches of fresh answers"),
        y=quantitative("value", "reward above the reference"),
        color=nominal("reward", "reward"),
        strokeDash=nominal("beta", "PPO's beta"),
        order={"field": "step"},
    )


def conclusion(runs: pd.DataFrame) -> str:
    """Rank the ways by gap closed and name the optimism of the proxy under PPO."""
    means = by_arm(runs, ["metrics.gap_closed", "metrics.gold_reward", "metrics.proxy_reward"]).set_index(
        "arm"
    )
    gap = means["metrics.gap_closed"].sort_values(ascending=False)
    ppo = means.loc["reward model + PPO"]
    over = ppo["metrics.proxy_reward"] - ppo["metrics.gold_reward"]
    verdict = "promises more than it delivers" if over > 0 else "promises no more than it delivers"
    return (
        f"At 8,000 labels {gap.index[0]} closes most of the gap ({gap.iloc[0]:.2f}) and {gap.index[-1]} least "
        f"({gap.iloc[-1]:.2f}). Under PPO the reward model reports {ppo['metrics.proxy_reward']:.2f} where the gold "
        f"reward is {ppo['metrics.gold_reward']:.2f}: it {verdict}."
    )
