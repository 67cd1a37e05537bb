"""Reads every column of `kinds` as drivers decode it, and prints a line of JSON for each: what the values are.

asyncpg speaks binary only; psycopg both, so that what it reads in one must be what it reads in the other. Types that it
has no reader for in binary arrive as their bytes."""

import asyncio
import json
import sys

# This folder has files with the drivers' own names.
sys.path.pop(0)
import asyncpg
import psycopg
from psycopg.types.composite import CompositeInfo

URL, COLUMNS = sys.argv[1], sys.argv[2].split(",")


def plain(value):
    """The value as it is compared: the drivers have types of their own for some."""
    if value is None:
        return None
    if isinstance(value, (list, set, frozenset)):
        return [plain(one) for one in value]
    if isinstance(value, tuple) or type(value).__name__ == "Record":
        return [plain(one) for one in value]
    if isinstance(value, (bytes, memoryview)):
        return {"bytes": bytes(value).decode("latin-1")}
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return str(value)


def ask(column):
    return f"select {column} from kinds order by id"


async def asyncpg_values():
    connection = await asyncpg.connect(URL)
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(kind, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    values = {}
    for column in COLUMNS:
        values[column] = [plain(row[0]) for row in await connection.fetch(ask(column))]
    await connection.close()
    return values


def psycopg_values(binary):
    with psycopg.connect(URL) as connection:
        CompositeInfo.fetch(connection, "place").register(connection)
        return {
            column: [plain(row[0]) for row in connection.execute(ask(column), binary=binary).fetchall()]
            for column in COLUMNS
        }


for name, values in [
    ("asyncpg", asyncio.run(asyncpg_values())),
    ("psycopg, text", psycopg_values(False)),
    ("psycopg, binary", psycopg_values(True)),
]:
    print(json.dumps({"driver": name, "values": values}))
