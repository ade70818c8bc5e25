"""The parts of a benchmark's figure: channels of a Vega-Lite specification, and charts of one mark or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from reference_impls.benchmarks.summary import records_of

Rows = pd.DataFrame | Sequence[Mapping[str, object]]


def quantitative(field: str, title: str | None, **more: object) -> dict[str, object]:
    """A channel for a number; ``more`` is a scale, an axis, a format."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def nominal(field: str, title: str | None, **more: object) -> dict[str, object]:
    """A channel for a name; ``sort=None`` keeps the order of the rows."""
    return {"field": field, "type": "nominal", "title": title, **more}


def chart(
    rows: Rows, mark: object, width: object = 560, height: object = 340, **encoding: object
) -> dict[str, object]:
    """A figure that draws all rows with one mark; ``encoding`` holds the channels."""
    return {**_frame(rows, width, height), **layer(mark, **encoding)}


def layered(
    rows: Rows | None,
    *layers: Mapping[str, object],
    width: object = 560,
    height: object = 340,
    **encoding: object,
) -> dict[str, object]:
    """A figure of several layers; ``rows`` and ``encoding`` are the data and the channels that they share."""
    return {**_frame(rows, width, height), "encoding": encoding, "layer": layers}


def layer(mark: object, rows: Rows | None = None, **encoding: object) -> dict[str, object]:
    """One layer of a figure, with rows of its own if it has any."""
    return {**_data(rows), "mark": mark, "encoding": encoding}


def _frame(rows: Rows | None, width: object, height: object) -> dict[str, object]:
    schema = "https://vega.github.io/schema/vega-lite/v5.json"
    return {"$schema": schema, "width": width, "height": height, **_data(rows)}


def _data(rows: Rows | None) -> dict[str, object]:
    return {} if rows is None else {"data": {"values": records_of(pd.DataFrame(rows))}}
