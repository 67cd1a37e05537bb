"""psycopg 3 through gov: prints one line per thing that drivers do."""

import sys
import threading

# This file has the driver's own name.
sys.path.pop(0)
import psycopg
from psycopg.types import TypeInfo
from psycopg.types.composite import CompositeInfo
from psycopg.types.enum import EnumInfo
from psycopg.types.range import RangeInfo

WRITE, READ = sys.argv[1], sys.argv[2]


def simple(connection):
    cursor = psycopg.ClientCursor(connection)
    assert cursor.execute("select id from orders where id < %s order by 1", [3]).fetchall() == [(1,), (2,)]


def prepared(connection):
    for number in range(1, 11):
        row = connection.execute("select id from orders where id = %s", [number], prepare=True).fetchone()
        assert row == (number,)
    assert connection.execute("select count(*) > 0 from pg_prepared_statements").fetchone() == (True,)


def binary(connection):
    row = connection.execute("select 1::int8, 1.5::numeric, now(), '{1,2}'::int4[]", binary=True).fetchone()
    assert row[0] == 1 and str(row[1]) == "1.5" and row[3] == [1, 2], row


def copy(connection):
    connection.execute("create temp table copied (a int, b text)")
    with connection.cursor().copy("copy copied from stdin") as copy:
        for number in range(1000):
            copy.write_row((number, "text"))
    with connection.cursor().copy("copy copied (a, b) from stdin (format binary)") as copy:
        copy.set_types(["int4", "text"])
        copy.write_row((1000, "binary"))
    with connection.cursor().copy("copy (select a from copied order by a limit 1000) to stdout") as copy:
        assert sum(1 for _ in copy.rows()) == 1000
    try:
        with connection.cursor().copy("copy copied from stdin") as copy:
            copy.write_row((1001, "lost"))
            raise KeyError("changed our mind")
    except psycopg.errors.QueryCanceled:
        pass
    assert connection.execute("select count(*) from copied").fetchone() == (1001,)


def cancel(connection):
    timer = threading.Timer(0.5, connection.cancel)
    timer.start()
    try:
        connection.execute("select pg_sleep(60)")
        raise AssertionError("it slept")
    except psycopg.errors.QueryCanceled:
        pass
    timer.join()
    assert connection.execute("select 1").fetchone() == (1,)


def error(connection):
    for statement, state in [("select 1/0", "22012"), ("selec", "42601"), ("select 1 from nowhere", "42P01")]:
        try:
            connection.execute(statement)
            raise AssertionError(statement)
        except psycopg.Error as error:
            assert error.sqlstate == state, (statement, error.sqlstate)
    assert connection.execute("select 1").fetchone() == (1,)


def notice(connection):
    heard = []
    connection.add_notice_handler(lambda diagnostic: heard.append(diagnostic.message_primary))
    connection.execute("create temp table if not exists noticed (a int)")
    connection.execute("create temp table if not exists noticed (a int)")
    assert any("already exists" in message for message in heard), heard


def large(connection):
    rows = connection.execute("select i, repeat('x', 100) from generate_series(1, 20000) i")
    assert sum(1 for row in rows if len(row[1]) == 100) == 20000
    assert len(connection.execute("select repeat('x', 4000000)").fetchone()[0]) == 4000000


def transaction(connection):
    try:
        with connection.transaction():
            connection.execute("update orders set status = 'lost' where id = 1")
            with connection.transaction():
                connection.execute("update orders set status = 'lost too' where id = 1")
            raise KeyError("undo")
    except KeyError:
        pass
    assert connection.execute("select status from orders where id = 1").fetchone() == ("open",)
    with connection.pipeline():
        for number in range(100):
            connection.execute("select %s::int", [number])


def reconnect(connection):
    process = connection.info.backend_pid
    connection.close()
    with psycopg.connect(WRITE, autocommit=True) as again:
        assert again.info.backend_pid != process
        assert again.execute("select 1").fetchone() == (1,)


def masked(_):
    with psycopg.connect(READ, autocommit=True) as connection:
        for binary in (False, True):
            rows = connection.execute("select email from customers where id = 1", binary=binary).fetchall()
            assert len(rows) == 1 and "mail.example.org" not in rows[0][0], rows


def returned(connection):
    """A row is read, one column of it is changed, and all of it is saved."""
    for binary in (False, True):
        row = connection.execute("select * from customers where id = 2", binary=binary).fetchone()
        save = "update customers set full_name = %s, email = %s, country = %s, born = %s, credit_card = %s where id = %s"
        try:
            connection.execute(save, [*row[1:3], "SE", *row[4:], row[0]], binary=binary)
            raise AssertionError("saved")
        except psycopg.errors.InsufficientPrivilege as problem:
            assert "made by a mask" in str(problem), problem
        # A date that was shown as the first of its month, and nothing else of what was shown.
        try:
            connection.execute("update customers set born = %s where id = %s", [row[4], row[0]], binary=binary)
            raise AssertionError("saved")
        except psycopg.errors.InsufficientPrivilege as problem:
            assert "may be a mask over `customers.born`" in str(problem), problem
    try:
        with connection.cursor().copy("copy customers from stdin") as copy:
            copy.write_row((1000, *row[1:]))
        raise AssertionError("copied")
    except psycopg.Error as problem:
        assert "made by a mask" in str(problem), problem
    connection.execute("update customers set country = %s where id = %s", ["SE", 2])


def introspection(_):
    # What it looks up when somebody registers a type, and so for every type of a database.
    with psycopg.connect(READ, autocommit=True) as connection:
        assert TypeInfo.fetch(connection, "text").oid == 25
        assert CompositeInfo.fetch(connection, "customers").field_names[0] == "id"
        assert EnumInfo.fetch(connection, "no_such_type") is None
        assert RangeInfo.fetch(connection, "numrange").subtype_oid == 1700
        ids = connection.execute("select id from orders where id = any(%s)", [[1, 2, 3]]).fetchall()
        assert len(ids) == 3


CHECKS = [simple, prepared, binary, copy, cancel, error, notice, large, transaction, masked, returned, introspection, reconnect]
with psycopg.connect(WRITE, autocommit=True) as connection:
    for check in CHECKS:
        try:
            check(connection)
            print(f"{check.__name__}: ok", flush=True)
        except Exception as problem:
            print(f"{check.__name__}: {type(problem).__name__} {problem}".replace("\n", " "), flush=True)
