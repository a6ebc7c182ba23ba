"""The audit chain: every change of the past shows."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hybridstore.retention.audit import FIRST_PREVIOUS, AuditEntry, broken_entry, next_entry

DETAILS = st.dictionaries(st.text(max_size=5), st.integers(-(2**53), 2**53) | st.text(max_size=5), max_size=4)


def chain(details: list[dict[str, Any]]) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    for place, detail in enumerate(details):
        last = (entries[-1].entry, entries[-1].sha256) if entries else None
        entries.append(next_entry(last, 1_000 + place, "move", detail))
    return entries


@given(details=st.lists(DETAILS, max_size=10))
def test_an_untouched_chain_is_whole(details: list[dict[str, Any]]) -> None:
    entries = chain(details)
    assert broken_entry(entries) is None
    assert [entry.entry for entry in entries] == list(range(1, len(details) + 1))
    if entries:
        assert entries[0].previous_sha256 == FIRST_PREVIOUS


@given(details=st.lists(DETAILS, min_size=1, max_size=8), data=st.data())
def test_any_changed_field_is_found_at_its_entry(details: list[dict[str, Any]], data: st.DataObject) -> None:
    entries = chain(details)
    place = data.draw(st.integers(0, len(entries) - 1))
    change: dict[str, Any] = data.draw(
        st.sampled_from(
            [
                {"occurred_at": 7},
                {"action": "delete"},
                {"detail": '{"forged":1}'},
                {"previous_sha256": "f" * 64},
                {"sha256": "f" * 64},
                {"entry": 99},
            ]
        )
    )
    entries[place] = entries[place]._replace(**change)
    assert broken_entry(entries) == entries[place].entry


@given(details=st.lists(DETAILS, min_size=3, max_size=8), data=st.data())
def test_a_missing_doubled_or_swapped_entry_is_found(
    details: list[dict[str, Any]], data: st.DataObject
) -> None:
    entries = chain(details)
    place = data.draw(st.integers(0, len(entries) - 2))
    assert broken_entry(entries[:place] + entries[place + 1 :]) is not None
    assert broken_entry(entries[: place + 1] + entries[place:]) is not None
    swapped = [*entries]
    swapped[place], swapped[place + 1] = swapped[place + 1], swapped[place]
    assert broken_entry(swapped) is not None


def test_a_rewritten_entry_breaks_the_next_one(rng: random.Random) -> None:
    entries = chain([{"rows": rng.randrange(100)} for _ in range(5)])
    before = entries[1]
    entries[2] = next_entry((before.entry, before.sha256), 0, "move", {"rows": "forged"})
    assert broken_entry(entries) == 4


def test_the_detail_is_canonical() -> None:
    one, other = (next_entry(None, 1, "move", detail) for detail in ({"a": 1, "b": 2}, {"b": 2, "a": 1}))
    assert one == other
    assert one.detail == '{"a":1,"b":2}'
