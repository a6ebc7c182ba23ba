"""Records are structs that read like mappings."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hybridstore.records import Record


class Inner(Record, frozen=True, gc=False):
    """A nested record."""

    asset: str
    amount: Decimal


class Outer(Record, frozen=True, gc=False):
    """A record that holds others."""

    name: str
    inner: Inner
    many: tuple[Inner, ...] = ()


@pytest.fixture
def record() -> Outer:
    """A record with a nested record and a tuple of them."""
    inner = Inner("BTC", Decimal("0.5"))
    return Outer("a", inner, (inner, Inner("ETH", Decimal(2))))


def test_fields_are_reached_by_name(record: Outer) -> None:
    assert record["name"] == record.name == "a"
    assert record["inner"]["amount"] == Decimal("0.5")
    assert record.get("name") == "a"
    assert record.get("absent") is None
    assert record.get("absent", 7) == 7


def test_an_unknown_field_is_named_with_those_there_are(record: Outer) -> None:
    with pytest.raises(KeyError, match="Outer has no field 'prices', only name, inner, many"):
        record["prices"]


def test_a_near_miss_is_told(record: Outer) -> None:
    with pytest.raises(KeyError, match="did you mean 'inner'"):
        record["iner"]


def test_a_method_is_not_a_field(record: Outer) -> None:
    with pytest.raises(KeyError, match="no field 'keys'"):
        record["keys"]
    assert record.get("to_dict") is None


def test_the_mapping_protocol_agrees_with_itself(record: Outer) -> None:
    assert list(record) == list(record.keys()) == ["name", "inner", "many"]
    assert len(record) == 3
    assert "inner" in record
    assert "keys" not in record
    assert dict(record) == dict(record.items()) == dict(zip(record.keys(), record.values(), strict=True))
    assert {**record}["inner"] is record.inner


def test_to_dict_is_plain_all_the_way_down(record: Outer) -> None:
    assert record.to_dict() == {
        "name": "a",
        "inner": {"asset": "BTC", "amount": Decimal("0.5")},
        "many": [{"asset": "BTC", "amount": Decimal("0.5")}, {"asset": "ETH", "amount": Decimal(2)}],
    }


def test_a_record_cannot_be_changed_and_costs_no_dict(record: Outer) -> None:
    with pytest.raises(AttributeError, match="immutable"):
        record.name = "b"  # type: ignore[misc]  # the point of the test
    assert not hasattr(record, "__dict__")
    assert hash(record.inner) == hash(Inner("BTC", Decimal("0.5")))
