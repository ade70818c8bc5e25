"""The parts of a benchmark's figure: channels of a Vega-Lite specification, and a chart of one mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from reference_impls.benchmarks.summary import records_of


def quantitative(field: str, title: str | None, **more: object) -> dict[str, object]:
    """A channel for a number; ``more`` is a scale, an axis, a format."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def nominal(field: str, title: str | None, **more: object) -> dict[str, object]:
    """A channel for a name; ``sort=None`` keeps the order of the rows."""
    return {"field": field, "type": "nominal", "title": title, **more}


def chart(
    rows: pd.DataFrame | Sequence[Mapping[str, object]],
    mark: object,
    width: int = 560,
    height: int = 340,
    **encoding: object,
) -> dict[str, object]:
    """A figure that draws all rows with one mark; ``encoding`` holds the channels."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": width,
        "height": height,
        "data": {"values": records_of(pd.DataFrame(rows))},
        "mark": mark,
        "encoding": encoding,
    }
