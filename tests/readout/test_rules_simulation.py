"""The simulation of docs/rules.md."""

import pytest

import rules_simulation


def test_every_case_is_decided_better_than_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"IMAGES": 80, "STEPS": 11, "WORLDS": 1}.items():
        monkeypatch.setattr(rules_simulation, name, value)
    cells = rules_simulation.row(rules_simulation.CASES["none"])
    assert len(cells) == len(rules_simulation.SHOWN)
    assert all(float(cell.split()[0]) > 40 for cell in cells)
