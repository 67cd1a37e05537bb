#!/usr/bin/python3
"""A second opinion on a log of gov: reads an exported folder, shares no code with gov.

    verify.py FOLDER KEY [WITNESS]   keys are `name+id+key` (c2sp.org/signed-note), from whoever runs server and witness

Checks the checkpoint's signature, and the witness's under it (c2sp.org/tlog-cosignature), the Merkle tree (RFC 6962), every envelope (DSSE, Ed25519), that each key is
certified by the server and signed one chain without gaps, and that the two accounts of each statement agree.
Needs python3-cryptography.
"""
import base64, hashlib, json, os, struct, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

RECORDS, CERTIFICATE = "application/vnd.gov.audit.v1+json", "application/vnd.gov.key.v1+json"


def fail(text):
    sys.exit(f"NOT SOUND: {text}")


def check(key, signature, message, what):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        fail(f"the signature of {what} is wrong")


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def root(leaves):
    """RFC 6962 section 2.1, from the complete subtrees up."""
    stack = []
    for index, leaf in enumerate(leaves):
        stack.append(sha(b"\0", leaf))
        while index & 1:
            right, left = stack.pop(), stack.pop()
            stack.append(sha(b"\1", left, right))
            index >>= 1
    top = stack.pop() if stack else sha(b"")
    while stack:
        top = sha(b"\1", stack.pop(), top)
    return top


def signed(folder, verifier_key):
    """The checkpoint's text, and the public key and bytes of the signature by this key."""
    name, key_id, key = verifier_key.split("+", 2)
    text, _, signatures = open(os.path.join(folder, "checkpoint"), encoding="utf-8").read().partition("\n\n")
    for line in signatures.splitlines():
        dash, by, signature = line.split(" ")
        signature = base64.b64decode(signature)
        if by == name and signature[:4].hex() == key_id:
            return name, text + "\n", base64.b64decode(key)[1:], signature[4:]
    fail(f"the checkpoint is not signed by {name}")


def checkpoint(folder, verifier_key):
    name, text, key, signature = signed(folder, verifier_key)
    check(key, signature, text.encode(), "the checkpoint")
    origin, size, top = text.split("\n")[:3]
    if origin != name:
        fail("the checkpoint is another log's")
    return key, int(size), base64.b64decode(top)


def witnessed(folder, witness_key):
    name, text, key, signature = signed(folder, witness_key)
    (seconds,) = struct.unpack_from(">Q", signature)
    check(key, signature[8:], f"cosignature/v1\ntime {seconds}\n{text}".encode(), f"the witness {name}")


def entries(folder, size):
    found = []
    while len(found) < size:
        index, width = len(found) // 256, min(256, size - len(found))
        digits = f"{index:03}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at:at + 3] for at in range(0, len(digits), 3)]
        path = "/".join(["x" + group for group in groups[:-1]] + groups[-1:]) + (f".p/{width}" if width < 256 else "")
        data, at, many = open(os.path.join(folder, "tile/entries", path), "rb").read(), 0, 0
        while at < len(data):
            (length,) = struct.unpack_from(">H", data, at)
            found.append(data[at + 2:at + 2 + length])
            at, many = at + 2 + length, many + 1
        if many != width:
            fail(f"the bundle {path} has {many} entries instead of {width}")
    return found


def evidence(folder, packs):
    """The reports beside the log, where there are some, must be those that a record of the log names."""
    place = os.path.join(folder, "SHA256SUMS")
    if not os.path.exists(place):
        return
    listed = open(place, "rb").read()
    if hashlib.sha256(listed).hexdigest() not in packs:
        fail("the log does not know this evidence")
    for line in listed.decode().splitlines():
        digest, name = line.split("  ", 1)
        if hashlib.sha256(open(os.path.join(folder, name), "rb").read()).hexdigest() != digest:
            fail(f"{name} is not what it was")


def main(folder, verifier_key, witness_key=None):
    server, size, top = checkpoint(folder, verifier_key)
    if witness_key:
        witnessed(folder, witness_key)
    leaves = entries(folder, size)
    if root(leaves) != top:
        fail(f"the {size} entries are not those the checkpoint was signed for")
    certified, chains, statements, records, packs = {}, {}, {}, 0, set()
    for leaf, line in enumerate(leaves):
        envelope = json.loads(line)
        kind, payload = envelope["payloadType"], base64.b64decode(envelope["payload"])
        (signature,) = envelope["signatures"]
        key = bytes.fromhex(signature["keyid"])
        message = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
        check(key, base64.b64decode(signature["sig"]), message, f"entry {leaf}")
        body = json.loads(payload)
        if kind == CERTIFICATE:
            if key != server:
                fail(f"entry {leaf} certifies a key and is not by the server")
            certified[body["key"]] = (body["side"], body.get("sid"), hashlib.sha256(payload).hexdigest())
        elif kind == RECORDS and body["key"] == signature["keyid"]:
            chains.setdefault(body["key"], []).append((body["first"], body, hashlib.sha256(payload).hexdigest()))
        else:
            fail(f"entry {leaf} is of no kind that is known")
    for key, chain in chains.items():
        if key not in certified:
            fail(f"the server has not certified the key {key}")
        side, session, previous = certified[key]
        following = 0
        for first, body, digest in sorted(chain, key=lambda link: link[0]):
            if first != following or body["prev"] != previous or (body["side"], body.get("sid")) != (side, session):
                fail(f"the chain of the key {key} is broken at record {first}")
            previous, following = digest, first + len(body["records"])
            for number, record in enumerate(body["records"], first):
                records += 1
                if record["kind"] == "evidence":
                    packs.add(record["digest"])
                if record["seq"] != number or record["side"] != side:
                    fail(f"record {number} of the key {key} is out of place")
                if "stid" in record and not record["stid"].endswith(".0") and ("dec" in record or "res" in record):
                    account = statements.setdefault((record.get("sid"), record["stid"]), {}).setdefault(side, {})
                    if "dec" in record:
                        account.update(text=record["q"]["hmac"], policy=record["dec"]["policy"], action=record["dec"]["action"])
                    if "res" in record and record["res"]["outcome"] != "unknown":
                        account.update(outcome=record["res"]["outcome"], state=record["res"].get("sqlstate"), rows=record["res"].get("rows", 0))
    evidence(folder, packs)
    both = {key: sides for key, sides in statements.items() if {"client", "gateway"} <= sides.keys()}
    for (session, statement), sides in both.items():
        ours, theirs = sides["client"], sides["gateway"]
        if any(ours[name] != theirs[name] for name in ours.keys() & theirs.keys()):
            fail(f"client and gateway differ about statement {statement} of session {session}")
    print(f"sound: {size} entries, {records} records, {len(certified)} keys, {len(both)} statements matched")


if __name__ == "__main__":
    main(*sys.argv[1:4])
