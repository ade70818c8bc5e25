"""Vega-Lite specifications to SVG files when the site is built, once for each colour scheme."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import vl_convert

SCHEMES: dict[str, dict[str, str]] = {
    "light": {
        "ink": "#26323f",
        "quiet": "#5b6875",
        "grid": "#e4e0d6",
        "series": "#1f5f8b #c8553d #3c8d5f #8a5aa8 #b8861b #2f8f92 #b0527c #5d6673 #7a5c3a #3f4fa0 #86a02a #d98ab8",
    },
    "dark": {
        "ink": "#e6e9ee",
        "quiet": "#a9b3bf",
        "grid": "#343c47",
        "series": "#6fb1e0 #f08a70 #74c69d #c29be0 #e6c15a #7fd1d3 #e58fb5 #aab3bf #c9a27a #98a6e0 #c3d96f #a8637f",
    },
}
# Arial and Liberation Sans have the same widths, and the renderer measures text with one of them.
FONT = "Arial, 'Liberation Sans', Helvetica, sans-serif"
WHOLE = 400
"""Pixels that a name may take before it is cut; the renderer's own limits of 160 to 180 cut names in two."""
VEGA_LITE = re.compile(r"/vega-lite/v(\d+)")
SIZE = re.compile(r'<svg [^>]*?width="([\d.]+)" height="([\d.]+)"')
VERSIONS = {"5": "5.20"}
# Advance widths of Arial in thousandths of its size, plain and bold; other characters count as OTHER.
PLAIN = {
    191: "'", 222: "ijl", 260: "|", 278: " !,./:;I[\\]ft", 333: "()-`r", 334: "{}", 355: '"', 389: "*", 469: "^",
    500: "Jcksvxyz", 584: "+<=>~−", 611: "FTZ", 667: "&ABEKPSVXY", 722: "CDHNRUw", 778: "GOQ", 833: "Mm", 889: "%",
    944: "W", 1000: "…", 1015: "@",
}  # fmt: skip
BOLD = {
    238: "'", 278: " ,./I\\ijl", 280: "|", 333: "!()-:;[]`ft", 389: "*r{}", 474: '"', 500: "z", 584: "+<=>^~−",
    611: "?FLTZbdghnopqu", 667: "EPSVXY", 722: "&ABCDHKNRU", 778: "GOQw", 833: "M", 889: "%m", 944: "W", 975: "@",
    1000: "…",
}  # fmt: skip
OTHER = 556
TEXT = re.compile(r"<text (?P<facts>[^>]*)>(?P<words>[^<]+)</text>")
FONT_SIZE, HEAVY = re.compile(r'font-size="([\d.]+)px"'), re.compile(r'font-weight="(?:bold|[6-9]00)"')


class FigureError(ValueError):
    """A specification that cannot be drawn."""


def figure_svg(specification: Mapping[str, Any], scheme: str) -> str:
    """The figure as SVG on a transparent ground, in the colours of `light` or `dark`."""
    return _drawn(json.dumps(specification, sort_keys=True), scheme)


def figure_size(specification: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height of the figure in pixels, rounded up."""
    drawn = SIZE.search(figure_svg(specification, "light"))
    if drawn is None:
        raise FigureError("the drawing has no size")
    return math.ceil(float(drawn[1])), math.ceil(float(drawn[2]))


@lru_cache(maxsize=512)
def _drawn(specification: str, scheme: str) -> str:
    spec = json.loads(specification)
    own = spec.pop("config", {})
    spec.pop("background", None)
    _show_dashes(spec)
    version = VEGA_LITE.search(str(spec.get("$schema", "")))
    try:
        drawn: str = vl_convert.vegalite_to_svg(
            spec,
            vl_version=VERSIONS.get(version[1]) if version else None,
            config=_merged(theme(scheme), own),
            allowed_base_urls=[],
        )
    except (ValueError, RuntimeError) as error:
        raise FigureError(str(error).splitlines()[0]) from error
    return TEXT.sub(_at_its_width, drawn)


def _at_its_width(match: re.Match[str]) -> str:
    """The text with the width for which the figure was laid out, whatever font it is shown in."""
    facts, words = match["facts"], match["words"]
    size = FONT_SIZE.search(facts)
    if size is None:
        return match[0]
    width = text_width(html.unescape(words), float(size[1]), bool(HEAVY.search(facts)))
    return f'<text {facts} textLength="{width:.1f}" lengthAdjust="spacingAndGlyphs">{words}</text>'


def text_width(words: str, size: float, bold: bool) -> float:
    """Pixels that words take in the font that the renderer measures with."""
    return sum(_widths(bold).get(character, OTHER) for character in words) * size / 1000


@lru_cache(maxsize=2)
def _widths(bold: bool) -> dict[str, int]:
    return {c: width for width, characters in (BOLD if bold else PLAIN).items() for c in characters}


def theme(scheme: str) -> dict[str, Any]:
    """A Vega-Lite configuration that matches the site."""
    colours = SCHEMES[scheme]
    ink, quiet, series = colours["ink"], colours["quiet"], colours["series"].split()
    words = {"labelColor": quiet, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12}
    return {
        "background": "transparent",
        # Wide enough for names in the wider letters of a reader who has none of the fonts.
        "padding": {"left": 14, "top": 5, "right": 28, "bottom": 5},
        "font": FONT,
        "view": {"stroke": "transparent"},
        "axis": {
            **words,
            "labelFlush": False,
            "titleFontWeight": 600,
            "gridColor": colours["grid"],
            "domainColor": quiet,
            "tickColor": quiet,
            "titlePadding": 8,
            "labelLimit": WHOLE,
        },
        "legend": {
            **words,
            "titleFontWeight": 600,
            "symbolSize": 90,
            "symbolBaseFillColor": quiet,
            "symbolBaseStrokeColor": quiet,
            "labelLimit": WHOLE,
            "titleLimit": WHOLE,
        },
        "header": {"labelColor": ink, "titleColor": ink, "labelFontSize": 12},
        "title": {"color": ink, "subtitleColor": quiet, "fontSize": 14, "anchor": "start"},
        "text": {"color": ink},
        "rule": {"color": quiet},
        "mark": {"color": series[0]},
        "line": {"strokeWidth": 2},
        "point": {"filled": True, "size": 60},
        "range": {"category": series},
    }


def _show_dashes(part: Any) -> None:
    """Have every legend of dashes show lines: on the renderer's own discs a dash cannot be told from none."""
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _show_dashes(inner)
    dash = part.get("strokeDash") if isinstance(part, dict) else None
    if isinstance(dash, dict) and "field" in dash and dash.get("legend", {}) is not None:
        dash["legend"] = {"symbolType": "stroke", "symbolSize": 400, **dash.get("legend", {})}


def _merged(base: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged
