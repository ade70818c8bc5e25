"""What benchmark modules share: means with 95 % intervals over seeds, and rows for tables and figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

# Two-sided 95 % points of Student's t for 1 to 9 degrees of freedom.
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def half_width(values: pd.Series) -> float:
    """Half the 95 % t interval of a mean over seeds; NaN below two values."""
    n = int(values.count())
    if n < 2:
        return math.nan
    t = T95[n - 2] if n - 2 < len(T95) else 1.96
    return float(t * values.std(ddof=1) / math.sqrt(n))


def by_arm(runs: pd.DataFrame, columns: Sequence[str], keys: Sequence[str] = ("arm",)) -> pd.DataFrame:
    """Mean and half width (``<column>_ci``) of each column, one row per arm in the order of the records."""
    groups = runs.groupby(list(keys), sort=False)
    parts = {"seeds": groups["seed"].nunique()}
    for column in columns:
        parts[column] = groups[column].mean()
        parts[f"{column}_ci"] = groups[column].apply(half_width)
    return pd.DataFrame(parts).reset_index()


def along_training(
    runs: pd.DataFrame, metrics: Sequence[str], keys: Sequence[str] = ("arm",), cost: str | None = None
) -> pd.DataFrame:
    """Metrics of the learning curves, by step or by how much of a ``cost`` (samples, labels) was spent by then."""
    rows = []
    for _, run in runs.iterrows():
        last = run["curve"][-1]["step"]
        for point in run["curve"]:
            place = point["step"] if cost is None else run[f"cost.{cost}"] * point["step"] / last
            rows.append({**run[[*keys, "seed"]], cost or "step": place, **{m: point[m] for m in metrics}})
    return by_arm(pd.DataFrame(rows), metrics, [*keys, cost or "step"])


def with_ends(means: pd.DataFrame, column: str) -> pd.DataFrame:
    """The frame of :func:`by_arm` with the ends of a column's interval, ``low`` and ``high``."""
    mean, ci = means[column], means[f"{column}_ci"]
    return means.assign(low=mean - ci, high=mean + ci)


def arm_means(runs: pd.DataFrame, column: str) -> dict[str, float]:
    """Mean of one column by arm, in the order of the records."""
    return {str(arm): float(mean) for arm, mean in runs.groupby("arm", sort=False)[column].mean().items()}


def shown(mean: float, ci: float, digits: int = 2) -> str:
    """``0.97 ± 0.01`` for a table; a dash where nothing was measured."""
    if mean is None or math.isnan(mean):
        return "–"
    interval = "" if math.isnan(ci) else f" ± {ci:.{digits}f}"
    return f"{mean:z.{digits}f}{interval}"


def mean_table(runs: pd.DataFrame, columns: dict[str, str], keys: dict[str, str]) -> pd.DataFrame:
    """A table to show: ``keys`` and ``columns`` map record columns to headings; cells are mean ± interval.

    Counts that are the same for every seed are whole numbers. Raises ValueError if two headings are the same.
    """
    headings = [*keys.values(), *columns.values(), "seeds"]
    if len(set(headings)) < len(headings):
        raise ValueError(f"two columns of a table have one heading: {', '.join(headings)}")
    summary = by_arm(runs, list(columns), list(keys))
    table = summary[list(keys)].rename(columns=keys)
    for column, heading in columns.items():
        cells = list(zip(summary[column], summary[f"{column}_ci"], strict=True))
        counts = all(
            mean >= 100 and mean == int(mean) and not ci > 0 for mean, ci in cells if not math.isnan(mean)
        )
        table[heading] = [
            f"{mean:,.0f}" if counts and not math.isnan(mean) else shown(mean, ci) for mean, ci in cells
        ]
    table["seeds"] = summary["seeds"]
    return table


def records_of(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Rows for a Vega-Lite ``data.values``, NaN left out."""
    return [
        {str(k): v for k, v in row.items() if not (isinstance(v, float) and math.isnan(v))}
        for row in frame.to_dict("records")
    ]
