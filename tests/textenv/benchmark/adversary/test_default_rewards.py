"""No rule that understands nothing earns much from a default reward.

`benchmarks.default_rewards` tries more rules in every environment.
"""

from __future__ import annotations

import pytest

from textenv.benchmark import find_strategy
from textenv.vector import make_core


@pytest.mark.parametrize("id", ["TextData-v0", "TextQAChoiceEasy-v0", "TextDialogueSelectEasy-v0"])
def test_what_can_be_had_for_nothing_is_at_most_half(id):
    core = make_core(id)
    found = find_strategy(core.reward, core, budget=400)
    assert found.reference.mean == 1
    assert found.score.mean <= 0.5, found.verdict
    assert found.passes
