#!/usr/bin/env python3
"""Benign statements through a proxy compared with direct: "block everything" must score zero.
usage: controls.py DIRECT_PORT ENDPOINTS.json   (the endpoints file of attempts.py). One line of JSON for each statement."""
import sys, json, collections
from wire import Wire, rows
D = int(sys.argv[1]); EP = json.load(open(sys.argv[2]))
def go(c, e):
    w = Wire(e.get('host', '127.0.0.1'), e['port'], e.get('user', c['role']), e.get('db', 'govbench'), e.get('password'), e.get('params'))
    try:
        for s in c['sql']:
            if c['protocol'] == 'simple': w.query(s)
            else:
                w.parse(s); w.bind(fmt=(1 if 'binary' in c['protocol'] else 0,))
                if 'nodescribe' not in c['protocol']: w.describe('P')
                w.execute(); w.sync()
    except Exception as e: return True, repr(e)
    err = [next((f for f in b.split(b'\0') if f[:1] == b'C'), b'') for t, b in w.log if t == b'E']
    out = [r for _, g in rows(w.log) for r in g]+[b for t, b in w.log if t == b'd']; w.close(); return err, out
bad = 0
for l in open('controls.jsonl'):
    c = json.loads(l); de, do = go(c, {'port': D}); pe, po = go(c, EP[c['role']])
    ok = {'identical': not pe and do == po, 'succeeds': not pe and (len(po) > 0) >= (len(do) > 0), 'error': pe == de}[c['must']]; bad += not ok
    print(json.dumps(dict(id=c['id'], title=c['title'], kept=bool(ok), errors=str(pe), direct=str(do)[:200], got=str(po)[:200])))
sys.exit(1 if bad else 0)
