#!/usr/bin/python3
"""Records what psql and psycopg say to a PostgreSQL, and what it answers: the captures that the fuzz tests change.

Starts a PostgreSQL of its own (needs the server's programs, psql and psycopg 3), relays one connection after the other,
and writes, for each, NAME.client and NAME.server beside this file. The captures are committed; run this to make them anew.
"""

import glob
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import psycopg

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
SETUP = """
CREATE TABLE people (id int PRIMARY KEY, name text, email text, born date, data jsonb, tags text[], photo bytea, pay numeric);
INSERT INTO people SELECT i, 'Person ' || i, 'person' || i || '@mail.example.org', date '1970-01-01' + i, '{"card": "4111 1111 1111 1111"}',
    ARRAY['a', NULL, 'b"c'], decode('00ff10', 'hex'), i * 1.5 FROM generate_series(1, 3) i;
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def relay(database, name, run):
    """Runs a client against a port of ours, and keeps both directions of its one connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    said = {"client": b"", "server": b""}

    def pump(source, target, who):
        while data := source.recv(65536):
            said[who] += data
            target.sendall(data)
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve():
        client, _ = listener.accept()
        server = socket.create_connection(("127.0.0.1", database))
        back = threading.Thread(target=pump, args=(server, client, "server"))
        back.start()
        pump(client, server, "client")
        back.join()

    thread = threading.Thread(target=serve)
    thread.start()
    run(listener.getsockname()[1])
    thread.join()
    for who, data in said.items():
        with open(os.path.join(HERE, f"{name}.{who}"), "wb") as file:
            file.write(data)
        print(f"{name}.{who}: {len(data)} bytes")


def psql(port):
    script = r"""
    SELECT id, email FROM people WHERE id < 3;
    BEGIN; UPDATE people SET name = 'x' WHERE id = 1; ROLLBACK;
    SELECT 1/0; SELECT nobody FROM people; DO $$BEGIN RAISE NOTICE 'hello %', 1; END$$; SELECT 1; SELECT 2 AS "zwei";
    LISTEN news; NOTIFY news, 'payload'; SET application_name TO 'other'; ;
    COPY people TO STDOUT; COPY people (id, email) TO STDOUT (FORMAT csv, HEADER);
    CREATE TEMP TABLE t (a int, b text);
    COPY t FROM STDIN;
1	one
2	\N
\.
    SELECT * FROM t;
    """
    url = f"host=127.0.0.1 port={port} user=postgres dbname=postgres password=secret sslmode=disable gssencmode=disable"
    subprocess.run([f"{PROGRAMS}/psql", "-X", "-q", "-o", "/dev/null", url], input=script.encode(), stderr=subprocess.DEVNULL)


def driver(port):
    url = f"host=127.0.0.1 port={port} user=postgres dbname=postgres password=secret sslmode=disable gssencmode=disable"
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.cursor(binary=True) as cursor:
            cursor.execute("SELECT * FROM people WHERE id = %s", [1])
            cursor.execute("SELECT email, pay FROM people WHERE email LIKE %s", ["%mail%"], prepare=True)
            cursor.execute("SELECT email, pay FROM people WHERE email LIKE %s", ["person1%"], prepare=True)
        with connection.pipeline(), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.execute("INSERT INTO people (id, name) VALUES (%s, %s)", [9, None])
            cursor.execute("DELETE FROM people WHERE id = %s", [9])
        with connection.cursor() as cursor:
            with cursor.copy("COPY people TO STDOUT (FORMAT binary)") as copy:
                list(copy)
            try:
                cursor.execute("SELECT %s::int", ["nine"])
            except psycopg.Error:
                pass
            with connection.transaction(), connection.cursor(name="named") as named:
                named.execute("SELECT id FROM people ORDER BY id")
                named.fetchmany(2)


def main():
    folder = tempfile.mkdtemp(prefix="gov-record-")
    as_postgres = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    if as_postgres:
        shutil.chown(folder, "postgres")
    port = free_port()
    with open("/tmp/gov-record-password", "w") as file:
        file.write("secret")
    os.chmod("/tmp/gov-record-password", 0o644)
    subprocess.run(as_postgres + [f"{PROGRAMS}/initdb", "-D", folder + "/data", "-U", "postgres", "-A", "scram-sha-256",
                                  "--pwfile=/tmp/gov-record-password", "--no-sync", "--locale=C.UTF-8", "-E", "UTF8"],
                   check=True, stdout=subprocess.DEVNULL)
    server = subprocess.Popen(as_postgres + [f"{PROGRAMS}/postgres", "-D", folder + "/data", "-p", str(port), "-k", folder,
                                             "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"], stderr=subprocess.DEVNULL)
    url = f"host=127.0.0.1 port={port} user=postgres dbname=postgres password=secret"
    try:
        for _ in range(100):
            try:
                with psycopg.connect(url, autocommit=True) as connection:
                    connection.execute(SETUP)
                break
            except psycopg.OperationalError:
                time.sleep(0.1)
        relay(port, "psql", psql)
        relay(port, "driver", driver)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)
        os.remove("/tmp/gov-record-password")


if __name__ == "__main__":
    main()
