# psql through gov: prints one line per thing that drivers do. Arguments: the URL that writes, the URL that reads.
write=$1 read=$2
sql() { psql -XqAt -d "$write" "$@" 2>&1; }
check() { # check NAME EXPECTED FOUND
  if [ "$2" = "$3" ]; then echo "$1: ok"; else echo "$1: $(printf '%s' "$3" | tr '\n' ' ')"; fi
}

check simple '1 2' "$(sql -c 'select id from orders where id < 3 order by 1' | xargs)"
check prepared '7 8' "$(sql -c 'prepare one(int) as select id from orders where id = $1' -c 'execute one(7)' \
  -c 'execute one(8)' -c 'deallocate one' | xargs)"
check binary 'PGCOPY' "$(sql -c '\copy (select 1 as a limit 1) to stdout (format binary)' | head -c 6)"
check copy '3 1,x 2,y 3,' "$(printf '1,x\n2,y\n3,\n' | sql -c 'create temp table copied (a int, b text)' \
  -c '\copy copied from stdin (format csv)' -c 'select count(*) from copied' \
  -c '\copy (select * from copied order by a limit 9) to stdout (format csv)' | xargs)"
# Ctrl-C, as the terminal sends it, once the statement runs. Job control keeps SIGINT from being ignored.
set -m
psql -XqAt -d "$write" -c "select 'begun'" -c 'select pg_sleep(60)' >"$TMPDIR/cancelled" 2>&1 &
until grep -q begun "$TMPDIR/cancelled"; do sleep 0.2; done
sleep 0.5
kill -INT $!
wait $!
check cancel 'canceling statement due to user request' "$(grep -o 'canceling.*' "$TMPDIR/cancelled")"
check error '22012 42601 42P01 1' "$(printf '%s\n' 'select 1/0;' '\echo :SQLSTATE' 'selec;' '\echo :SQLSTATE' \
  'select 1 from nowhere;' '\echo :SQLSTATE' 'select 1;' | psql -XqAt -d "$write" 2>/dev/null | xargs)"
check notice 'NOTICE: relation "noticed" already exists, skipping' \
  "$(sql -c 'create temp table noticed (a int)' -c 'create temp table if not exists noticed (a int)' | tr -s ' ')"
check large '20000 4000001' "$(sql -c "select i, repeat('x', 100) from generate_series(1, 20000) i" | wc -l) $(
  sql -c "select repeat('x', 4000000)" | wc -c)"
check transaction 'kept open' "$(sql -c 'begin' -c "update orders set status = 'kept' where id = 1" -c 'savepoint s' \
  -c "update orders set status = 'lost' where id = 1" -c 'rollback to s' -c 'select status from orders where id = 1' \
  -c 'rollback' -c 'select status from orders where id = 1' | xargs)"
check masked 0 "$(psql -XAt -d "$read" -c 'select email from customers' | grep -c 'mail.example.org')"
# What a script saves and loads again: as text, in a statement, as COPY data.
sql -c '\copy (select * from customers limit 10) to '"$TMPDIR/customers" >/dev/null
check returned '42501 42501 a value in this was made by a mask ERROR: COPY from stdin failed: a value in this was made by a mask' "$(printf '%s\n' \
  'select email, born from customers where id = 1 \gset' "update customers set born = :'born' where id = 1;" \
  '\echo :SQLSTATE' "update customers set email = :'email' where id = 1;" \
  '\echo :SQLSTATE' '\echo :LAST_ERROR_MESSAGE' "\copy customers from $TMPDIR/customers" |
  psql -XqAt -d "$write" 2>&1 | grep -oE '^42501|^a value in this was made by a mask|ERROR:  COPY from stdin failed: a value in this was made by a mask' |
  tr -s ' ' | xargs)"
# The whole family. What the role may not see by itself (\db+, \dRs+) and mappings of users, which hold secrets, are not
# in it.
described=$(for what in d d+ 'd customers' 'd+ orders' 'd pg_class' 'd information_schema.tables' dt+ di+ dv+ dm+ ds+ dE+ \
  da dA+ db dc+ dC+ dd dD+ ddp des+ det+ dew+ dF+ dFd+ dFp+ dFt+ 'df+ abs' dfn dfw dg+ dL+ dl dn+ do+ dO+ dp dP+ drds \
  dRp+ dT+ du+ dx+ dX dy+ l+ z 'sf abs(int)' 'sv information_schema.tables' dconfig; do printf '\\%s\n' "$what"; done |
  psql -XAt -d "$read" 2>&1)
check introspection 'customers orders' "$(printf '%s\n' "$described" | grep -E 'ERROR|DETAIL' || printf '%s\n' "$described" |
  grep -oE '^public\|(customers|orders)\|table' | cut -d'|' -f2 | sort -u | xargs)"
check reconnect 'different' "$(printf '%s\n' 'select pg_backend_pid() as one \gset' '\c' \
  "select case when pg_backend_pid() <> :one then 'different' else 'the same' end;" | psql -XqAt -d "$write" 2>&1 | tail -n 1)"
