#!/usr/bin/env bash
# From a bare checkout to spending in a hypertable: installs what is missing, builds, starts a private TimescaleDB,
# migrates, runs the daemon, streams a day of spending through its socket, shows what arrived, cleans up.
# With DATABASE_URL set that database is used; the demo's own rows are removed from it in the end.
# demo.sh --nats: the same day goes through a stream of NATS JetStream and boris-ingestd-relay, past kill -9.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
-h | --help) exec sed -n '/^set /q; s/^# \{0,1\}//; 2,$p' tests/demo.sh ;;
esac

step() {
        printf '\n\033[1m%s\033[0m\n' "$*"
}

step "1. Packages and build"
# shellcheck source=tests/lib/setup.sh
source tests/lib/setup.sh
timed build release
ingestd=build/release/src/boris-ingestd

dir=$(mktemp -d "${TMPDIR:-/tmp}/ingestd-XXXXXX")
daemon=
relays=()
connections= # made by this run: with DATABASE_URL, these and what hangs on them are removed, and nothing else
cleanup() {
        for pid in "${relays[@]}"; do
                kill "$pid" 2>/dev/null || true
        done
        [ -z "$daemon" ] || { kill "$daemon" 2>/dev/null && wait "$daemon"; } || true
        [ -n "$private" ] || [ -z "$connections" ] ||
                sql -c "DELETE FROM platform_connections WHERE id IN ($connections)" || true
        database_stop
        rm -rf "$dir"
}
trap cleanup EXIT

sql() {
        psql -Xqd "$DATABASE_URL" -v ON_ERROR_STOP=1 --pset footer=off "$@"
}

step "2. TimescaleDB"
database_start
if [ -n "$private" ]; then
        echo "a private one: $DATABASE_URL"
else
        echo "the database of DATABASE_URL: the tables stay in it, the demo's rows are removed in the end"
fi
"$ingestd" migrate
"$ingestd" migrate --status

step "3. Connections"
tests/load/generate --out "$dir" --records 100000
while IFS=$'\t' read -r id platform _; do
        echo '{"accessToken":"a token that nobody gets to see"}' | "$ingestd" connection create --id "$id" "$platform" >/dev/null
        connections+="${connections:+, }'$id'"
done <"$dir/connections.tsv"
"$ingestd" connection list

if [ "${1:-}" = --nats ]; then
        # shellcheck source=tests/lib/demo_nats.sh
        source tests/lib/demo_nats.sh
        exit
fi

step "4. The daemon"
"$ingestd" run --config /dev/null --set listen.unix="$dir/ingest.sock" --set http.listen= 2>"$dir/log" &
daemon=$!
for _ in $(seq 100); do
        [ ! -S "$dir/ingest.sock" ] || break
        sleep 0.05
done
cat "$dir/log"
[ -S "$dir/ingest.sock" ]

step "5. Ad accounts and ad objects, then a day of spending, through the socket"
tests/load/replay --socket "$dir/ingest.sock" --quiet "$dir/hierarchy.jsonl"
tests/load/replay --socket "$dir/ingest.sock" --connections 4 "$dir/spending.jsonl"

step "6. What arrived: spending per platform and day, each currency for itself"
sql -c "SELECT platform, time_bucket('1 day', period_start)::date AS day, s.currency, count(*) AS records,
               sum(amount_cents) AS amount_cents, sum(impressions) AS impressions, sum(clicks) AS clicks
        FROM spending s
        JOIN ad_objects o ON o.id = s.ad_object_id
        JOIN ad_accounts a ON a.id = o.ad_account_id
        JOIN platform_connections c ON c.id = a.platform_connection_id
        WHERE c.id IN ($connections)
        GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"

step "   and as a report on one account, in which nothing counts twice: neither hours and their day, nor ads and their campaign"
read -r connection account < <(
        sed -nE 's/.*"kind":"adAccount".*"connectionId":"([^"]*)".*"externalId":"([^"]*)".*/\1 \2/p' "$dir/hierarchy.jsonl")
"$ingestd" report --account "$account" --connection "$connection" --from 2026-10-29 --to 2026-11-03

step "7. The same records again: nothing is stored twice"
tests/load/replay --socket "$dir/ingest.sock" --connections 4 "$dir/spending.jsonl" | grep -E 'stored|duplicate|rejected|records/s'

step "8. A rejected line, and its reply"
line='{"platform":"META","accountExternalId":"act_1","externalId":"7","periodStart":"2026-11-01T00:00:00Z","periodEnd":"2026-11-02T00:00:00Z","amountCents":12.5,"currency":"USD"}'
echo "> $line"
echo "$line" | socat -t 10 - UNIX:"$dir/ingest.sock"

step "9. SIGTERM"
kill "$daemon"
wait "$daemon"
daemon=
tail -n 1 "$dir/log"
