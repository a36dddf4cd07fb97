"""METHODS.md: one row a system, all of them, and none that names a file that is not there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COLUMNS = ["id", "system", "file", "command", "figure", "reference"]


def table():
    lines = (ROOT / "METHODS.md").read_text(encoding="utf-8").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    return rows[0], rows[2:]


def implemented():
    return [row for row in table()[1] if not row[2].startswith("*")]


def test_the_35_systems_stand_in_order():
    header, rows = table()
    assert header == COLUMNS
    assert [row[0] for row in rows] == [f"R{n:02}" for n in range(1, 36)]
    assert [len(row) for row in rows] == [len(COLUMNS)] * 35
    assert all(cell.strip() for row in rows for cell in row)


@pytest.mark.parametrize("row", implemented(), ids=lambda row: row[0])
def test_a_system_that_is_not_planned_has_its_files(row):
    files = re.findall(r"`([^`]+)`", row[2])
    assert files
    assert [name for name in files if not (ROOT / name).is_file()] == []


def test_a_planned_system_claims_nothing():
    for row in table()[1]:
        if row[2].startswith("*"):
            assert row[3] == row[4] == "planned", row[0]
