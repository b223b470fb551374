# shellcheck shell=bash disable=SC2154
# demo.sh --nats: a day of spending through a stream of three servers, two relays and the daemon, while a server and a relay are
# killed. Sourced by demo.sh, after its connections.
relay=build/release/src/boris-ingestd-relay
[ -x "$relay" ] || {
        echo "the relay is not built: libnats-dev is missing" >&2
        exit 1
}

step "4. Three NATS servers with JetStream, a stream of three replicas and four partitions"
coproc nats { exec tests/lib/nats_cluster; }
read -r -u "${nats[0]}" ports
echo "ports $ports"
servers=nats://127.0.0.1:${ports//,/,nats:\/\/127.0.0.1:}

step "5. The daemon and two relays: one feeds, the other stands by"
"$ingestd" run --config /dev/null --set listen.unix="$dir/ingest.sock" --set http.listen= 2>"$dir/log" &
daemon=$!
relay_start() {
        "$relay" --config /dev/null --set listen.unix="$dir/ingest.sock" --set relay.servers="$servers" \
                --set relay.http_listen="127.0.0.1:0" 2>"$dir/relay$1" &
        relays[$1]=$!
}
# relay_wait NUMBER WORD: until it has said so of all its partitions
relay_wait() {
        for _ in $(seq 300); do
                [ "$(grep -c "$2" "$dir/relay$1")" -lt 4 ] || return 0
                sleep 0.1
        done
        cat "$dir/relay$1" >&2
        return 1
}
relays=()
relay_start 1
relay_wait 1 feeding
relay_start 2
relay_wait 2 standby
"$relay" check --config /dev/null --set listen.unix="$dir/ingest.sock" --set relay.servers="$servers" || true

step "6. Producers publish ad accounts and ad objects, then a day of spending; meanwhile the stream's leader and the first relay are killed"
tests/load/publish --ports "$ports" "$dir/hierarchy.jsonl" "$dir/spending.jsonl" &
publisher=$!
sleep 1.5
echo "kill leader" >&"${nats[1]}"
read -r -u "${nats[0]}" word && echo "kill -9: NATS server ${word#killed }"
kill -9 "${relays[1]}" && echo "kill -9: relay 1"
wait "${relays[1]}" 2>/dev/null || true
sleep 1
echo start >&"${nats[1]}"
read -r -u "${nats[0]}" word && echo "started again: ${word#started }"
wait "$publisher"

step "7. What the second relay said, and what arrived: each published record once"
want=$(wc -l <"$dir/spending.jsonl")
for _ in $(seq 600); do
        [ "$(sql -Atc "SELECT count(*) >= $want FROM spending")" != t ] || break
        sleep 0.1
done
cat "$dir/relay2"
echo "published: $want"
sql -c "SELECT count(*) AS stored, count(DISTINCT (id, collected_at)) AS different FROM spending"
sql -c "SELECT partition, sequence, updated_at FROM boris_ingestd_relay ORDER BY 1"

step "8. SIGTERM: positions are kept, leases given back"
kill "${relays[2]}"
wait "${relays[2]}"
tail -n 1 "$dir/relay2"
kill "$daemon"
wait "$daemon"
daemon=
# the servers end with their standard input
# shellcheck disable=SC1083,SC2093
exec {nats[1]}>&-
wait "${nats_PID:-}" 2>/dev/null || true
