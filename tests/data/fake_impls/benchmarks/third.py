LEAST = 3.0

BENCHMARK = {
    "key": "third",
    "categories": ["claimed-things"],
    "question": "Is a claim judged by what was stated before?",
    "arms": [
        {"arm": "high", "method": "fast", "set": {"beta": 2}},
        {"arm": "low", "method": "fast"},
    ],
}
GRIDS = [
    {"arms": ["high", "low"], "setting": "beta", "values": [0.5, 1, 2], "measure": "metrics.gap_closed"},
]
CLAIMS = {
    "nobody2020fast/c1": {
        "test": "The difference of the two arms.",
        "arms": ["high", "low"],
        "measure": "difference",
        "holds": ">= 2.5",
        "fails": "<= 0",
        "why": "Anything would do.",
        "controls": [{"what": "the arms swapped", "measure": "swapped"}],
    },
    "nobody2020fast/c2": {
        "test": "The level of the high arm, with a control that shows nothing.",
        "arms": ["high"],
        "measure": "level",
        "holds": ">= 1",
        "fails": "<= 0",
        "why": "Anything would do.",
        "controls": [{"what": "the same again", "measure": "level"}],
    },
}


def difference(runs):
    """High minus low."""
    return gap(runs, "high") - gap(runs, "low")


def swapped(runs):
    return -difference(runs)


def level(runs):
    return gap(runs, "high") / LEAST


def gap(runs, arm):
    """Another docstring."""
    return runs.loc[arm, "metrics.gap_closed"]
