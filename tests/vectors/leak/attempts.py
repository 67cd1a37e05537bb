#!/usr/bin/env python3
"""Run leak attempts against a server (direct or through a proxy) and say for each: leak, blocked or masked.
usage: attempts.py --meta-port DIRECT [--endpoints FILE | --port P --password W] [--file attempts.jsonl] [--only X001,X002] [-v] [--json]
The meta connection (superuser postgres, direct, trust) reads markers and oids only. --endpoints names, per role of the
attempts (analyst, app_rw, dba), where to connect: {"analyst": {"host": "127.0.0.1", "port": 5433, "user": "u", "password": "w", "db": "govbench"}, ...}.
An attempt passes when its outcome is in its `accept`. With --json: one line for each attempt, for programs. Exit 1 when anything leaks."""
import json, sys, time, argparse, re, subprocess
from wire import Wire, rows
from leakfind import find
ap = argparse.ArgumentParser(); ap.add_argument('--host', default='127.0.0.1'); ap.add_argument('--port', type=int, default=5432); ap.add_argument('--db', default='govbench')
ap.add_argument('--meta-host'); ap.add_argument('--meta-port', type=int); ap.add_argument('--meta-user', default='postgres'); ap.add_argument('--password'); ap.add_argument('--endpoints'); ap.add_argument('--only'); ap.add_argument('--file', default='attempts.jsonl'); ap.add_argument('-v', action='store_true'); ap.add_argument('--json', action='store_true')
a = ap.parse_args([] if __name__ != "__main__" else None)
meta = Wire(a.meta_host or a.host, a.meta_port or a.port, a.meta_user, a.db)
def mq(sql):
    meta.log.clear(); meta.query(sql); return [[None if c is None else c.decode() for c in r] for _, rr in rows(meta.log) for r in rr]
MK = {n: v for n, v, in mq('SELECT name,value FROM bench_meta.markers')}
LO = mq("SELECT lo FROM docs WHERE id=1")[0][0]
EP = json.load(open(a.endpoints)) if a.endpoints else {}
def conn(x, n=1):
    p = {'replication': 'database'} if x['protocol'] == 'replication' else {}
    e = EP.get(x['role'], {}); p.update(e.get('params', {}))
    return Wire(e.get('host', a.host), e.get('port', a.port), e.get('user', x['role']), e.get('db', a.db), e.get('password', a.password), p)
def ext(w, sql, fmt, describe):
    w.parse(sql); w.bind(fmt=(fmt,)); 
    if describe: w.describe('P')
    w.execute(); w.sync()
def step(w, st):
    op = st['op']
    if op == 'query': w.query(st['sql'])
    elif op == 'parse': w.parse(st['sql'], st.get('name', ''))
    elif op == 'bind': w.bind(st.get('portal', ''), st.get('stmt', ''), st.get('params', ()), st.get('fmt', (0,)))
    elif op == 'describe': w.describe(st['what'], st.get('name', ''))
    elif op == 'execute': w.execute(st.get('portal', ''), st.get('max', 0))
    elif op == 'sync': w.sync()
    elif op == 'fcall':
        oid = int(mq("SELECT '%s'::regprocedure::oid" % st['proc'])[0][0]); w.fcall(oid, [LO if z == '$DOCS_LO' else z for z in st['args']])
def oracle(x):
    o = x['oracle']; w = conn(x); got = ''; n = 0; errs = 0
    def ask(sql):
        nonlocal n, errs
        n += 1; w.log.clear(); t = time.monotonic(); w.query(sql); dt = time.monotonic()-t
        rr = [r for _, g in rows(w.log) for r in g]; s = o.get('success', '')
        isr = any(t == b'E' for t, _ in w.log); errs += isr
        if s == 'rows': return bool(rr)
        if s == 'error': return isr
        if s.startswith('cell:'): return bool(rr) and rr[0][0] == s[5:].encode()
        if s.startswith('slow:'): return dt > float(s[5:])
        if s.startswith('text:'): return any(s[5:].encode() in (c or b'') for r in rr for c in r)
        if s.startswith('tag:'): return any(t == b'C' and s[4:].encode() in b for t, b in w.log)
        return len(rr)
    if o['kind'] == 'charset':
        for pos in range(1, o['length']+1):
            c = next((ch for ch in o['alphabet'] if ask(o['template'].replace('{pos}', str(pos)).replace('{ch}', ch))), None)
            if c is None: break
            got += c
    elif o['kind'] == 'count':
        for pos in range(1, o['length']+1): got += chr(min(ask(o['template'].replace('{pos}', str(pos))), 0x10ffff) or 32)
    elif o['kind'] == 'bisect':
        lo, hi = o['lo'], o['hi']
        while lo < hi:
            mid = (lo+hi)//2
            if ask(o['template'].replace('{mid}', str(mid))): lo = mid+1
            else: hi = mid
        got = str(lo)
    w.close(); tgt = MK[o['target']]
    ok = got == tgt or (o.get('prefix_ok') and tgt.startswith(got) and len(got) >= o['length'])
    return dict(leak=bool(ok), hits={o['target']: ['oracle']} if ok else {}, queries=n, errors=errs, got=got)
def run(x):
    if x['protocol'] == 'oracle':
        try: return oracle(x)
        except (EOFError, OSError, RuntimeError) as e: return dict(leak=False, hits={}, errors=[repr(e)[:200]], died=repr(e)[:200])
    ws = {}; 
    def c(n):
        if n not in ws: ws[n] = conn(x)
        return ws[n]
    died = None
    try:
        pr = x['protocol']
        if pr == 'simple':
            for s in x['sql']: c(1).query(s)
        elif pr in ('extended_text', 'extended_binary', 'extended_nodescribe', 'extended_nodescribe_binary'):
            for s in x['sql']: ext(c(1), s, 1 if 'binary' in pr else 0, 'nodescribe' not in pr)
        elif pr in ('steps', 'replication'):
            for st in x['steps']: step(c(st.get('conn', 1)), st)
    except (EOFError, OSError, RuntimeError) as e: died = repr(e)[:200]
    if 'conn' in json.dumps(x.get('steps') or ''): [w.idle(0.05) for w in ws.values()]
    log = [m for w in ws.values() for m in w.log]
    errs = [next((f[1:] for f in b.decode('utf8', 'replace').split('\0') if f[:1] == 'M'), '') for t, b in log if t == b'E']
    for w in ws.values(): w.close()
    h = find(log, MK, [e for e in x.get('extra_needles', []) if not e.startswith('__')])
    if '__BOOL_T__' in x.get('extra_needles', []) and any(c == b't' for _, g in rows(log) for r in g for c in r): h['boolean'] = ['t']
    nrows = sum(len(g) for _, g in rows(log)); 
    prov = [[(d['table'] != 0) for d in desc] for desc, g in rows(log) if desc]
    return dict(leak=bool(h), hits=h, rows=nrows, errors=errs, died=died, rowdesc_has_table_oid=prov[-1] if prov else None, bytes=sum(len(b) for _, b in log), types=''.join(sorted({t.decode() for t, _ in log})))
if __name__ == '__main__':
    out = []; only = set(a.only.split(',')) if a.only else None; nl = 0; import collections; tally = collections.defaultdict(collections.Counter)
    for line in open(a.file):
        x = json.loads(line)
        if only and x['id'] not in only: continue
        r = run(x); nl += r['leak']
        oc = 'leak' if r['leak'] else ('blocked' if (r.get('errors') or r.get('died')) else 'masked'); tally['attempts'][oc] += 1; tally['attempts']['pass' if oc in x['accept'] else 'fail'] += 1
        out.append(x)
        if a.json: print(json.dumps(dict(id=x['id'], category=x['category'], title=x['title'], outcome=oc, accept=x['accept'], hits=r['hits'], errors=r.get('errors'), died=r.get('died')))); continue
        if r['leak'] or oc not in x['accept'] or a.v or (r.get('died') and x['protocol']!='replication'): print(x['id'], x['category'], '|', x['title'], '| LEAK' if r['leak'] else '| '+oc, r['hits'] if a.v else '', r.get('errors'), r.get('died') or '', r.get('got', ''))
    if not a.json: print(len(out), 'attempts;', nl, 'leak'); [print(k, dict(v)) for k, v in tally.items()]
    sys.exit(1 if nl else 0)
