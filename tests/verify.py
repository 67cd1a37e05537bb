#!/usr/bin/python3
"""A second opinion on a log of gov: reads an exported folder, shares no code with gov.

    verify.py FOLDER KEY [WITNESS]   keys are `name+id+key` (c2sp.org/signed-note), from whoever runs server and witness

Checks the checkpoint's signature, and the witness's under it (c2sp.org/tlog-cosignature), the Merkle tree (RFC 6962), every envelope (DSSE, Ed25519), that each key is
certified by the server and signed one chain without gaps, that the two accounts of each statement agree, and that the
encrypted raw texts that records name are there, unless the server's own records say that their key was destroyed;
that what needed approval ran by one on record, and that masked columns were shown to sessions opened for that only.
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


def differ(client, gateway):
    same = lambda name: name not in client or name not in gateway or client[name] == gateway[name]
    if client.get("action") == "allow" and gateway.get("action") in ("deny", "hold"):
        # Handed on and turned away: all the client may have had of it is an error. What is not even read has no text.
        read = gateway["action"] == "hold" or gateway["text"] != "00" * 32
        told = client.get("outcome", "error") == "error" and client.get("rows", 0) == 0
        return (read and not same("text")) or not same("policy") or "outcome" in gateway or not told
    return not all(map(same, client))


def raw_texts(folder, named, destroyed):
    """The raw texts beside the log, by the SHA-256 under which they stand there: whether each is what it should be."""
    found, part = {}, 0
    while os.path.exists(place := os.path.join(folder, f"sealed/{part:06}")):
        data, at, part = open(place, "rb").read(), 0, part + 1
        while at + 36 <= len(data):
            name, (length,) = data[at:at + 32], struct.unpack_from(">I", data, at + 32)
            sealed, at = data[at + 36:at + 36 + length], at + 36 + length
            found[name.hex()] = found.get(name.hex(), False) or hashlib.sha256(sealed).digest() == name
    counts = {"intact": 0, "erased": 0}
    for name, key in named.items() if part else ():
        if key in destroyed:
            counts["erased"] += 1
        elif name not in found:
            fail(f"the raw text {name} is missing, and nobody has erased it")
        elif not found[name]:
            fail(f"the raw text {name} is not the one that was recorded")
        else:
            counts["intact"] += 1
    return counts


def main(folder, verifier_key, witness_key=None):
    server, size, top = checkpoint(folder, verifier_key)
    if witness_key:
        witnessed(folder, witness_key)
    leaves = entries(folder, size)
    if root(leaves) != top:
        fail(f"the {size} entries are not those the checkpoint was signed for")
    certified, chains, statements, records, packs, named, destroyed = {}, {}, {}, 0, set(), {}, set()
    approved, revealing, consents, latest = set(), {}, [], ""
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
                recovered = record.get("of", {}).get("record")
                for told in [record] + [recovered] * isinstance(recovered, dict):
                    if "pay" in told:
                        named[told["pay"]["cid"]] = told["pay"]["kid"]
                    if told["side"] == "gateway" and told.get("dec", {}).get("action") == "allow":
                        consents.append((told, dict(told["dec"]["rules"])))
                if side == "server":
                    latest = max(latest, record["ts"])
                    if record["kind"] == "approval" and record["what"] == "approved":
                        approved.add(record["appr"]["id"])
                    if record["kind"] == "session.open":
                        revealing[record["sid"]] = "reveal" in record
                if record["kind"] == "erase" and side == "server":
                    destroyed.update(record["kids"])
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
    texts = raw_texts(folder, named, destroyed)
    for told, rules in consents:
        by, statement = told.get("appr", {}).get("id"), f"statement {told['stid']} of session {told['sid']}"
        if "hold" in rules.values() and by not in approved and (by is None or told["ts"] < latest):
            fail(f"{statement} needed approval and ran; nobody approved it on record")
        if "revealed_column" in rules and not revealing.get(told["sid"], True):
            fail(f"{statement} showed masked columns as they are, and the session was not opened for that")
    both = {key: sides for key, sides in statements.items() if {"client", "gateway"} <= sides.keys()}
    for (session, statement), sides in both.items():
        ours, theirs = sides["client"], sides["gateway"]
        if differ(ours, theirs):
            fail(f"client and gateway differ about statement {statement} of session {session}")
    print(f"sound: {size} entries, {records} records, {len(certified)} keys, {len(both)} statements matched, {texts['intact']} raw texts, {texts['erased']} erased")


if __name__ == "__main__":
    main(*sys.argv[1:4])
