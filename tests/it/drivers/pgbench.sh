# pgbench through gov: prints one line per thing that drivers do. The fourth argument is the URL of a
# database that may be filled.
bench=$4
pgbench=$(ls -d /usr/lib/postgresql/*/bin/pgbench | sort -V | tail -n 1)
check() { # check NAME COMMAND…
  name=$1; shift
  if said=$("$@" 2>&1); then echo "$name: ok"; else echo "$name: $(printf '%s' "$said" | tail -n 4 | tr '\n' ' ')"; fi
}
bench() { "$pgbench" --no-vacuum "$@" "$bench"; }

# Its tables, filled with COPY.
check copy bench -i -s 1 -q
check simple bench -S -M simple -c 4 -t 100
check prepared bench -S -M prepared -c 4 -t 100
check extended bench -S -M extended -c 4 -t 100
# Its own TPC-B: five statements in a transaction.
check transaction bench -N -M prepared -c 4 -t 50
check reconnect bench -S -C -c 2 -t 10
