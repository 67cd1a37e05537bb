"""asyncpg through gov: prints one line per thing that drivers do. It prepares everything and speaks binary only."""

import asyncio
import io
import sys

# This file has the driver's own name.
sys.path.pop(0)
import asyncpg

WRITE, READ = sys.argv[1], sys.argv[2]


async def simple(connection):
    # Without arguments, `execute` is a simple query.
    assert await connection.execute("select 1; select 2") == "SELECT 1"


async def prepared(connection):
    statement = await connection.prepare("select id from orders where id = $1")
    assert [await statement.fetchval(number) for number in range(1, 11)] == list(range(1, 11))
    await connection.executemany("update orders set status = 'open' where id = $1", [(1,), (2,), (3,)])


async def binary(connection):
    row = await connection.fetchrow("select 1::int8, 1.5::numeric, now(), $1::jsonb", '{"a": 1}')
    assert row[0] == 1 and str(row[1]) == "1.5" and row[3] == '{"a": 1}', row


async def copy(connection):
    await connection.execute("create temp table copied (a int, b text)")
    records = [(number, "text") for number in range(1000)]
    assert await connection.copy_records_to_table("copied", records=records) == "COPY 1000"
    out = io.BytesIO()
    await connection.copy_from_query("select a, b from copied order by a limit 1000", output=out, format="csv")
    assert out.getvalue().count(b"\n") == 1000


async def cancel(connection):
    try:
        await connection.execute("select pg_sleep(60)", timeout=0.5)
        raise AssertionError("it slept")
    except asyncio.TimeoutError:
        pass
    assert await connection.fetchval("select 1") == 1


async def error(connection):
    for statement, state in [("select 1/0", "22012"), ("selec", "42601"), ("select 1 from nowhere", "42P01")]:
        try:
            await connection.fetch(statement)
            raise AssertionError(statement)
        except asyncpg.PostgresError as error:
            assert error.sqlstate == state, (statement, error.sqlstate)
    assert await connection.fetchval("select 1") == 1


async def notice(connection):
    heard = []
    connection.add_log_listener(lambda _, message: heard.append(message.message))
    for _ in range(2):
        await connection.execute("create temp table if not exists noticed (a int)")
    await asyncio.sleep(0)
    assert any("already exists" in message for message in heard), heard


async def large(connection):
    rows = await connection.fetch("select i, repeat('x', 100) from generate_series(1, 20000) i")
    assert len(rows) == 20000
    assert len(await connection.fetchval("select repeat('x', 4000000)")) == 4000000
    count = 0
    async with connection.transaction():
        async for _ in connection.cursor("select generate_series(1, 1000)", prefetch=50):
            count += 1
    assert count == 1000


async def transaction(connection):
    try:
        async with connection.transaction():
            await connection.execute("update orders set status = 'lost' where id = 1")
            async with connection.transaction():
                await connection.execute("update orders set status = 'lost too' where id = 1")
            raise KeyError("undo")
    except KeyError:
        pass
    assert await connection.fetchval("select status from orders where id = 1") == "open"


async def masked(_):
    connection = await asyncpg.connect(READ)
    rows = await connection.fetch("select email from customers where id = 1")
    assert len(rows) == 1 and "mail.example.org" not in rows[0][0], rows
    await connection.close()


async def returned(connection):
    """A row is read, one column of it is changed, and all of it is saved."""
    row = await connection.fetchrow("select * from customers where id = 3")
    save = "update customers set full_name = $2, email = $3, country = $4, born = $5, credit_card = $6 where id = $1"
    try:
        await connection.execute(save, *row[:3], "SE", *row[4:])
        raise AssertionError("saved")
    except asyncpg.InsufficientPrivilegeError as problem:
        assert "made by a mask" in str(problem), problem
    try:
        await connection.copy_records_to_table("customers", records=[(1000, *row[1:])])
        raise AssertionError("copied")
    except asyncpg.PostgresError as problem:
        assert "made by a mask" in str(problem), problem
    await connection.execute("update customers set country = $1 where id = $2", "SE", 3)


async def introspection(_):
    # What it does not know it looks up, with a recursive query over the catalog that takes an array: rows, domains,
    # ranges and arrays of them. In production, where catalogs are watched most closely.
    connection = await asyncpg.connect(READ)
    rows = await connection.fetch("select o, array[o] as all from orders o limit 3")
    assert len(rows) == 3 and rows[0][0]["id"] == rows[0][1][0]["id"], rows[0]
    # A whole row with something sensitive in it is hidden as a whole.
    assert (await connection.fetch("select c, array[c] as all from customers c limit 1"))[0][0] is None
    assert len(await connection.fetch("select table_name from information_schema.tables")) > 2
    assert await connection.fetchval("select array[numrange(1, 2)]") is not None
    ids = await connection.fetch("select id from orders where id = any($1::int[])", [1, 2, 3])
    assert len(ids) == 3
    await connection.set_type_codec("json", encoder=str, decoder=str, schema="pg_catalog")
    await connection.set_builtin_type_codec("sql_identifier", schema="information_schema", codec_name="text")
    await connection.reload_schema_state()
    await connection.close()


async def reconnect(connection):
    process = connection.get_server_pid()
    await connection.close()
    pool = await asyncpg.create_pool(WRITE, min_size=3, max_size=5)
    for _ in range(3):
        async with pool.acquire() as again:
            # A pool resets its connections between uses: DISCARD and its kin.
            assert again.get_server_pid() != process
            assert await again.fetchval("select 1") == 1
    await pool.close()


CHECKS = [simple, prepared, binary, copy, cancel, error, notice, large, transaction, masked, returned, introspection, reconnect]


async def main():
    connection = await asyncpg.connect(WRITE)
    for check in CHECKS:
        try:
            await check(connection)
            print(f"{check.__name__}: ok", flush=True)
        except Exception as problem:
            print(f"{check.__name__}: {type(problem).__name__} {problem}".replace("\n", " "), flush=True)


asyncio.run(main())
