"""The trainers that TRL has dropped, from its last release with all of them, or one clear reason for their absence.

A process can hold one TRL. These tests want the old one first on the path, so `make parity` runs them apart.
"""

from importlib import import_module
from types import SimpleNamespace

import pytest
from stand_ins import no_peer

TRAINERS = ("bco", "BCO"), ("nash_md", "NashMD"), ("ppo", "PPO"), ("prm", "PRM"), ("xpo", "XPO")


@pytest.fixture(scope="session")
def trl() -> SimpleNamespace:
    """The trainers by name, and by ``module_of`` the modules that hold them."""
    try:
        modules = {
            f"{name}Trainer": import_module(f"trl.experimental.{folder}.{folder}_trainer")
            for folder, name in TRAINERS
        }
    except ImportError as error:
        no_peer(f"these trainers are in an older TRL only, beside the current one: `make parity` ({error})")
    trainers = {name: getattr(module, name) for name, module in modules.items()}
    return SimpleNamespace(**trainers, module_of=modules)
