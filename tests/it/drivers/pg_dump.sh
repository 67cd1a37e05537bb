# pg_dump through gov, with a right to read: prints one line per thing that drivers do. The third argument is the URL of
# a database from which exports need no approval.
dump=$3
check() { # check NAME EXPECTED FOUND
  if [ "$2" = "$3" ]; then echo "$1: ok"; else echo "$1: $(printf '%s' "$3" | tr '\n' ' ')"; fi
}

all=$(pg_dump -d "$dump" 2>&1)
check transaction 'dump complete' "$(printf '%s' "$all" | grep -oE 'dump complete|error.*')"
check introspection '2' "$(pg_dump -d "$dump" --schema-only 2>&1 | grep -cE '^CREATE TABLE public.(customers|orders) ')"
rows() { printf "%s" "$all" | awk -v table="public.$1 " 'index($0, "COPY " table) == 1 { inside = 1; next } /^\\\./ { inside = 0 } inside' | wc -l; }
check copy '20 100' "$(rows customers) $(rows orders)"
check masked '0' "$(printf '%s' "$all" | grep -cE 'mail.example.org|4111 1111')"
check simple '20' "$(pg_dump -d "$dump" --data-only --inserts -t customers 2>&1 | grep -c '^INSERT INTO')"
