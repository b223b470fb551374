"""Spending lines with exactly one fault each, for every reject code that a client can cause."""

import json
from collections.abc import Callable
from typing import Any

Record = dict[str, Any]

TOO_LONG_LINES = 16  # they are a megabyte each; from then on their turn is skipped
NOWHERE = "00000000-0000-4000-8000-000000000000"


def dump(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def change(**fields: Any) -> Callable[[Record], bytes]:
    """The record with fields replaced or added."""
    return lambda record: dump(record | fields)


def drop(field: str) -> Callable[[Record], bytes]:
    """The record without a field."""
    return lambda record: dump({key: value for key, value in record.items() if key != field})


def spoil(edit: Callable[[bytes], bytes]) -> Callable[[Record], bytes]:
    """The record's text, changed to something that is not JSON."""
    return lambda record: edit(dump(record))


def raw_metrics(text: bytes) -> Callable[[Record], bytes]:
    """The record with metrics that json.dumps would not write."""
    return lambda record: dump(record | {"metrics": 0}).replace(b'"metrics":0', b'"metrics":' + text)


FAULTS: dict[str, list[Callable[[Record], bytes]]] = {
    "bad_json": [
        spoil(lambda text: text[: len(text) // 2]),
        spoil(lambda text: text[:-1] + b',"currency":"USD"}'),  # a duplicate key
        spoil(lambda text: text[:-1] + b",}"),
        spoil(lambda text: text.replace(b'"', b"'")),
        spoil(lambda text: text + b" " + text),
        spoil(lambda text: b"platform,accountExternalId,externalId"),
        raw_metrics(b'{"roas":NaN}'),
        raw_metrics(b'{"reach":007}'),
        raw_metrics(b'{"reach":1,"reach":1}'),
        raw_metrics(b'{"name":"a raw \x01 control character"}'),
        raw_metrics(b'{"name":"Caf\xe9, in Latin-1"}'),
    ],
    "unknown_field": [
        change(amount_cents=1),
        change(Platform="META"),
        change(spend="12.34"),
        change(campaignName=None),
    ],
    "missing_field": [
        drop("platform"),
        drop("accountExternalId"),
        drop("externalId"),
        drop("periodStart"),
        drop("periodEnd"),
        drop("amountCents"),
        drop("currency"),
    ],
    "bad_type": [
        change(externalId=1789000000000000000),
        change(amountCents=None),
        change(amountCents=True),
        change(impressions={"value": 3}),
        change(metrics=[]),
        change(metrics="{}"),
        change(periodStart=1793491200),
        change(currency=["USD"]),
        change(platform=None),
    ],
    "bad_value": [
        change(platform="FACEBOOK"),
        change(kind="spendings"),
        change(connectionId="main"),
        change(externalId=""),
        change(externalId="9" * 256),
        change(periodStart="2026-11-01"),
        change(periodStart="2026-11-01T00:00:00"),
        change(periodStart="2026-02-30T00:00:00Z"),
        change(periodEnd="2027-01-01T00:00:00.1234567Z"),
        change(periodStart="2026-11-01T00:00:00Z", periodEnd="2026-11-01T01:00:00+01:00"),
        change(collectedAt="yesterday"),
        change(amountCents=12.34),
        change(amountCents="12.34"),
        change(amountCents=9007199254740993),
        change(amountCents="9223372036854775808"),
        change(impressions=-1),
        change(conversions=0.5),
        change(currency="usd"),
        change(currency="EURO"),
        change(id="1"),
        raw_metrics(rb'{"name":"half of an emoji \ud83d"}'),
        raw_metrics(rb'{"name":"NUL \u0000"}'),
    ],
    "unknown_account": [change(accountExternalId="no-such-account"), change(connectionId=NOWHERE)],
    "unknown_ad_object": [
        change(externalId="no-such-object"),
        lambda record: dump(record | {"externalId": "0" + record["externalId"]}),
        lambda record: dump(record | {"externalId": record["externalId"] + " "}),
    ],
}

CODES = [*FAULTS, "line_too_long", "ambiguous_account"]


def bad_line(number: int, record: Record, shared: Record, max_line_bytes: int) -> tuple[str, bytes]:
    """The code and the text (without line end) of invalid line @number, from 0, made of a valid @record. @shared makes a
    record refer to an account that two platform connections reach."""
    turn, index = divmod(number, len(CODES))
    code = CODES[index]
    if code == "line_too_long" and turn >= TOO_LONG_LINES:
        code = "unknown_field"
    if code == "ambiguous_account":
        return code, drop("connectionId")(record | shared)
    if code == "line_too_long":
        text = dump(record | {"metrics": {"padding": ""}})
        return code, text[:-3] + b"x" * (max_line_bytes + 1 - len(text)) + text[-3:]
    faults = FAULTS[code]
    return code, faults[turn % len(faults)](record)
