"""Just enough of PostgreSQL's protocol to time it: log in with SCRAM, ask, and throw the answer away.

psql spends more time on printing a million rows than any relay spends on moving them, so it cannot show what a relay
costs. This reads as fast as a socket gives.
"""

import base64
import hashlib
import hmac
import os
import socket
import struct
import time

READY = b"Z\0\0\0\5I"


class Refused(Exception):
    """The other side said no, in its own words."""


class Client:
    """One connection. `address` has host, port, user, password and database."""

    def __init__(self, address, patience=60):
        self.socket = socket.create_connection((address["host"], address["port"]), timeout=patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.kept = b""
        words = ["user", address["user"], "database", address["database"], "application_name", "bench", ""]
        body = struct.pack("!i", 196608) + b"".join(word.encode() + b"\0" for word in words)
        self.socket.sendall(struct.pack("!i", len(body) + 4) + body)
        self.log_in(address)

    def log_in(self, address):
        scram = None
        while True:
            tag, body = self.message()
            if tag == b"Z":
                return
            if tag != b"R":
                continue
            (kind,) = struct.unpack("!i", body[:4])
            if kind == 10:
                scram = Scram(address["password"])
                first = scram.first()
                self.send(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first)
            elif kind == 11:
                self.send(b"p", scram.final(body[4:]))
            elif kind not in (0, 12):
                raise Refused(f"login kind {kind} is not spoken here")

    def send(self, tag, body):
        self.socket.sendall(tag + struct.pack("!i", len(body) + 4) + body)

    def message(self):
        while True:
            if len(self.kept) >= 5:
                length = struct.unpack("!i", self.kept[1:5])[0] + 1
                if len(self.kept) >= length:
                    tag, body, self.kept = self.kept[:1], self.kept[5:length], self.kept[length:]
                    if tag == b"E":
                        raise Refused(body.replace(b"\0", b" ").decode(errors="replace"))
                    return tag, body
            more = self.socket.recv(65536)
            if not more:
                raise Refused("the connection was closed")
            self.kept += more

    def ask(self, sql):
        """Asks, and reads messages until the answer is complete. For small answers."""
        self.send(b"Q", sql.encode() + b"\0")
        rows = 0
        while True:
            tag, _ = self.message()
            rows += tag == b"D"
            if tag == b"Z":
                return rows

    def drain(self, sql, buffer=bytearray(256 * 1024)):
        """Asks, and throws the answer away. Gives its length in bytes and how long it took."""
        started = time.perf_counter()
        self.send(b"Q", sql.encode() + b"\0")
        total, tail = 0, b""
        while True:
            count = self.socket.recv_into(buffer)
            if count == 0:
                raise Refused("the connection was closed in the middle of an answer")
            if total == 0 and buffer[0:1] == b"E":
                raise Refused(bytes(buffer[:count]).replace(b"\0", b" ").decode(errors="replace"))
            total += count
            # The texts in the answer hold no zero byte, so this cannot be one of them.
            tail = (tail + bytes(buffer[max(0, count - 6) : count]))[-6:]
            if tail == READY:
                return total, time.perf_counter() - started

    def close(self):
        try:
            self.send(b"X", b"")
        except OSError:
            pass
        self.socket.close()


class Scram:
    """The client's half of SCRAM-SHA-256 (RFC 7677), without checking the server: it is ours."""

    def __init__(self, password):
        self.password = password.encode()
        self.bare = b"n=,r=" + base64.b64encode(os.urandom(18))

    def first(self):
        return b"n,," + self.bare

    def final(self, challenge):
        fields = dict(part.split(b"=", 1) for part in challenge.split(b","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields[b"s"]), int(fields[b"i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        unproved = b"c=biws,r=" + fields[b"r"]
        text = self.bare + b"," + challenge + b"," + unproved
        signature = hmac.digest(hashlib.sha256(key).digest(), text, "sha256")
        proof = bytes(ours ^ theirs for ours, theirs in zip(key, signature))
        return unproved + b",p=" + base64.b64encode(proof)
