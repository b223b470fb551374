"""The hierarchy of a generated day: connections, ad accounts and ad objects, as wire lines and as SQL."""

import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

NAMESPACE = uuid.UUID("6f0f2f0a-52f5-5a5e-9d0c-6d3c9a1d7e01")

# Per platform: range of account and object ids (text on the wire, TikTok's and Meta's are above 2^53), raw statuses.
PLATFORMS: dict[str, tuple[tuple[int, int], tuple[int, int], dict[str, str]]] = {
    "META": ((10**14, 2 * 10**15), (120200 * 10**12, 120250 * 10**12), {"PAUSED": "CAMPAIGN_PAUSED"}),
    "GOOGLE_ADS": ((10**9, 10**10), (10**10, 9 * 10**10), {"ACTIVE": "ENABLED", "DELETED": "REMOVED"}),
    "TIKTOK": ((68 * 10**17, 75 * 10**17), (17 * 10**17, 18 * 10**17), {"ACTIVE": "ADGROUP_STATUS_DELIVERY_OK"}),
}
CURRENCIES = ["USD", "EUR", "JPY", "USD", "GBP", "INR", "GBP", "BRL"]
BRANDS = ["Boris & Sons", "Café Zürich", "東京スポーツ", "Ünïcode GmbH", "Петров", "Shop 24/7", 'O\'Neill "Outdoor"', "🦊 Fox"]
WORDS = [
    *["Black Friday", "Retargeting", "LAL 1%", "Brand | Search", "Prospecting", "UGC video 9:16", "50 % off", "DPA"],
    *["秋のセール🍁", "عرض خاص", "Crème brûlée", "e\u0301tude", "Größe XL", "\u200bzero width", "{{product.name}}"],
    *["👨‍👩‍👧‍👦 Family bundle", "🏳️‍🌈 Pride", "Line 1\nLine 2", "CR\r\nLF", "Tab\there", r"C:\ads\new", r"\N", 'say "hi"'],
]


class Zone(NamedTuple):
    name: str
    standard: float  # hours east of UTC, without daylight saving time
    rules: str  # whose daylight saving time


ZONES = [
    Zone("America/Los_Angeles", -8, "US"),
    Zone("Europe/Berlin", 1, "EU"),
    Zone("Asia/Tokyo", 9, ""),
    Zone("America/New_York", -5, "US"),
    Zone("UTC", 0, ""),
    Zone("Asia/Kolkata", 5.5, ""),
    Zone("Europe/London", 0, "EU"),
    Zone("America/Sao_Paulo", -3, ""),
]


class Connection(NamedTuple):
    id: uuid.UUID
    platform: str
    label: str


@dataclass
class Account:
    connection: Connection
    external_id: str
    name: str | None
    currency: str
    zone: Zone
    objects: int
    shared: bool = False

    @property
    def id(self) -> uuid.UUID:
        return uuid.uuid5(self.connection.id, self.external_id)


class AdObject(NamedTuple):
    external_id: str
    type: str
    name: str | None
    status: str
    parent: str | None
    platform_data: dict[str, Any] | None


def make_accounts(seed: int, accounts: int, per_platform: int, objects: int, shared: bool) -> list[Account]:
    """The accounts, spread over platforms and connections; their objects are made by ad_objects()."""
    rng = random.Random(f"{seed} accounts")
    connections = {
        platform: [
            Connection(uuid.uuid5(NAMESPACE, f"{platform} {i}"), platform, f"{platform.lower()}-{i + 1}")
            for i in range(per_platform + (shared and per_platform == 1 and platform == "META"))
        ]
        for platform in PLATFORMS
    }
    made: list[Account] = []
    for i in range(accounts):
        platform = list(PLATFORMS)[i % len(PLATFORMS)]
        step = (PLATFORMS[platform][0][1] - PLATFORMS[platform][0][0]) // accounts
        external_id = str(PLATFORMS[platform][0][0] + i * step + rng.randrange(step))
        name = None if i % 7 == 6 else BRANDS[i % len(BRANDS)] + ("" if i < len(BRANDS) else f" {i}")
        connection = connections[platform][i // len(PLATFORMS) % per_platform]
        made.append(Account(connection, external_id, name, CURRENCIES[i % 8], ZONES[i % 8], 0))
    if shared:
        for connection in connections["META"][:2]:
            made.append(Account(connection, "act_shared", "Agency client", "USD", ZONES[0], 0, shared=True))
    for i, account in enumerate(made):
        account.objects = objects * (i + 1) // len(made) - objects * i // len(made)
    return made


def ad_objects(seed: int, account: Account) -> Iterator[AdObject]:
    """An account's objects, parents first. Accounts with one external id have objects with the same ids."""
    rng = random.Random(f"{seed} {account.connection.platform} {account.external_id}")
    _, (low, high), raw_statuses = PLATFORMS[account.connection.platform]
    next_id, step = rng.randrange(low, high), 2 * rng.randrange(1, 500) + 1

    def make(type: str, parent: str | None) -> AdObject:
        nonlocal next_id
        next_id += step
        status = rng.choices(["ACTIVE", "PAUSED", "ARCHIVED", "DELETED"], [60, 25, 10, 5])[0]
        name = " – ".join(rng.sample(WORDS, rng.randint(1, 3))) if rng.random() < 0.97 else None
        data: dict[str, Any] | None = None
        if rng.random() < 0.6:
            data = {"statusRaw": raw_statuses.get(status, status)}
            if type != "AD" and rng.random() < 0.5:
                data["dailyBudget"] = str(rng.randrange(500, 90000))
                data["bid"] = {"strategy": "LOWEST_COST", "cap": None}
        return AdObject(str(next_id), type, name, status, parent, data)

    def tree() -> Iterator[AdObject]:
        while True:
            campaign = make("CAMPAIGN", None)
            yield campaign
            for _ in range(rng.randint(2, 6)):
                ad_set = make("AD_SET", campaign.external_id if rng.random() < 0.99 else None)
                yield ad_set
                for _ in range(rng.randint(2, 9)):
                    yield make("AD", ad_set.external_id)

    yield from (ad_object for _, ad_object in zip(range(account.objects), tree()))


def json_line(rng: random.Random, fields: dict[str, Any]) -> str:
    """Wire form without the absent fields; now and then with everything but ASCII escaped."""
    present = {key: value for key, value in fields.items() if value is not None}
    return json.dumps(present, ensure_ascii=rng.random() < 0.3, separators=(",", ":")) + "\n"


def copy_line(*columns: object) -> str:
    """A row in COPY's text format."""
    escapes = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"})
    return "\t".join(r"\N" if column is None else str(column).translate(escapes) for column in columns) + "\n"


SQL_HEAD = r"""-- The hierarchy of hierarchy.jsonl. Run with psql; running it again changes nothing.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_encoding = 'UTF8';
CREATE TEMPORARY TABLE new_connections (id uuid, platform platform) ON COMMIT DROP;
CREATE TEMPORARY TABLE new_accounts (id uuid, connection uuid, external_id text, name text, currency text,
    timezone text) ON COMMIT DROP;
CREATE TEMPORARY TABLE new_objects (id uuid, connection uuid, account text, external_id text, type ad_object_type,
    name text, status ad_object_status, parent text, platform_data jsonb) ON COMMIT DROP;
"""
SQL_TAIL = r"""ANALYZE new_objects;
INSERT INTO platform_connections (id, platform, credentials)
    SELECT id, platform, '{}' FROM new_connections ON CONFLICT DO NOTHING;
INSERT INTO ad_accounts (id, platform_connection_id, external_id, name, currency, timezone)
    SELECT * FROM new_accounts ON CONFLICT DO NOTHING;
""" + "".join(
    f"""INSERT INTO ad_objects (id, ad_account_id, external_id, type, name, status, parent_id, platform_data)
    SELECT n.id, a.id, n.external_id, n.type, n.name, n.status, p.id, n.platform_data
    FROM new_objects n
    JOIN ad_accounts a ON a.platform_connection_id = n.connection AND a.external_id = n.account
    LEFT JOIN ad_objects p ON p.ad_account_id = a.id AND p.external_id = n.parent
    WHERE n.type = '{level}' ON CONFLICT DO NOTHING;
"""
    for level in ("CAMPAIGN", "AD_SET", "AD")
) + "COMMIT;\n"


def account_row(a: Account) -> str:
    return copy_line(a.id, a.connection.id, a.external_id, a.name, a.currency, a.zone.name)


def account_fields(a: Account) -> dict[str, Any]:
    return {
        "kind": "adAccount",
        "connectionId": str(a.connection.id),
        "externalId": a.external_id,
        "name": a.name,
        "currency": a.currency,
        "timezone": a.zone.name,
    }


def object_row(a: Account, o: AdObject) -> str:
    id = uuid.uuid5(a.id, o.external_id)
    data = o.platform_data and json.dumps(o.platform_data)
    return copy_line(id, a.connection.id, a.external_id, o.external_id, o.type, o.name, o.status, o.parent, data)


def object_fields(a: Account, o: AdObject) -> dict[str, Any]:
    return {
        "kind": "adObject",
        "platform": a.connection.platform,
        "connectionId": str(a.connection.id) if a.shared else None,
        "accountExternalId": a.external_id,
        "externalId": o.external_id,
        "type": o.type,
        "name": o.name,
        "status": o.status,
        "parentExternalId": o.parent,
        "platformData": o.platform_data,
    }


def write_hierarchy(out: str, seed: int, accounts: list[Account]) -> list[list[str]]:
    """Writes the three files of the hierarchy; returns the external ids of every account's objects."""
    rng = random.Random(f"{seed} escapes")
    connections = dict.fromkeys(account.connection for account in accounts)
    ids: list[list[str]] = []
    with (
        open(f"{out}/connections.tsv", "w", encoding="utf-8") as tsv,
        open(f"{out}/hierarchy.jsonl", "w", encoding="utf-8") as jsonl,
        open(f"{out}/hierarchy.sql", "w", encoding="utf-8", newline="\n") as sql,
    ):
        tsv.writelines("\t".join(map(str, connection)) + "\n" for connection in connections)
        sql.write(SQL_HEAD + "COPY new_connections FROM stdin;\n")
        sql.writelines(copy_line(connection.id, connection.platform) for connection in connections)
        sql.write("\\.\nCOPY new_accounts FROM stdin;\n")
        for account in accounts:
            sql.write(account_row(account))
            jsonl.write(json_line(rng, account_fields(account)))
        sql.write("\\.\nCOPY new_objects FROM stdin;\n")
        for account in accounts:
            ids.append([])
            for ad_object in ad_objects(seed, account):
                ids[-1].append(ad_object.external_id)
                sql.write(object_row(account, ad_object))
                jsonl.write(json_line(rng, object_fields(account, ad_object)))
        sql.write("\\.\n" + SQL_TAIL)
    return ids
