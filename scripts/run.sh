#!/bin/sh
# Builds Cairn and runs all of it on this machine until Ctrl-C: two simulated kubelets that replay a
# recording, an agent for each, and the aggregator with its page. State and logs live below .run/
# and are removed at the end. Host figures (load, memory) are this machine's own.
#
#   CAIRN_RUN_PORT=8082     port of the page and the APIs on 127.0.0.1; a free one when it is taken
#   CAIRN_RUN_PODS=N        scales each simulated node to N pods
#   CAIRN_RUN_KEEP=1        keeps state and logs
#   CAIRN_KUBELET=real      one agent at the kubelet on 127.0.0.1:10250 instead of the simulated ones:
#     CAIRN_KUBELET_TOKEN_FILE  a token that may get nodes/stats and nodes/metrics
#     CAIRN_KUBELET_CA          the CA of the kubelet's certificate, or
#     CAIRN_KUBELET_CERT        the kubelet's own certificate, pinned
#     NODE_NAME                 the node's name (default: the host name)
set -eu
cd "$(dirname "$0")/.."

PATH=$PWD/.tools/bin:$PATH
export PATH

trace=tests/fixtures/kubelet-1.36/trace.tar.gz
bin=${CARGO_TARGET_DIR:-target}/debug
interval=2s
port=${CAIRN_RUN_PORT:-8082}
kubelet=${CAIRN_KUBELET:-sim}
# How long a process may take to listen, and the first data to appear, in tenths of a second. The
# recording has a new CPU reading every 10 s and a rate needs two of them.
bind_deadline=200
data_deadline=900

dir=
# "pid:name" of everything started, newest first: the order in which it ends, so that an agent can
# still deliver its last row.
procs=

say() { printf 'run: %s\n' "$*"; }
fail() {
    printf 'run: %s\n' "$*" >&2
    exit 1
}

# alive PID: a process that ended but was not waited for yet is not alive.
alive() {
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    case ${stat##*) } in [ZX]*) return 1 ;; esac
}

# end_process PID: SIGTERM, and SIGKILL when it has not gone after 6 s (they promise 5).
end_process() {
    kill -TERM "$1" 2>/dev/null || true
    tries=60
    while [ "$tries" -gt 0 ] && alive "$1"; do
        sleep 0.1
        tries=$((tries - 1))
    done
    if alive "$1"; then
        kill -KILL "$1" 2>/dev/null || true
    fi
    wait "$1" 2>/dev/null || true
}

# shellcheck disable=SC2329 # called by the trap
cleanup() {
    trap '' INT TERM HUP
    [ -z "$procs" ] || say 'stopping'
    for proc in $procs; do
        end_process "${proc%%:*}"
    done
    procs=
    if [ -n "$dir" ]; then
        if [ "${CAIRN_RUN_KEEP:-}" = 1 ]; then
            say "state and logs are in $dir"
        else
            rm -rf "$dir"
        fi
    fi
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# start NAME COMMAND...: in the background, with its log and its file of bound addresses in $dir.
start() {
    name=$1
    shift
    CAIRN_BOUND_FILE=$dir/$name.bound CAIRN_SOCKET=$dir/$name.sock "$@" >"$dir/$name.log" 2>&1 </dev/null &
    procs="$!:$name $procs"
}

# Ends the script when one of the processes did.
check_alive() {
    for proc in $procs; do
        if ! alive "${proc%%:*}"; then
            died=${proc#*:}
            code=0
            wait "${proc%%:*}" || code=$?
            printf 'run: %s ended by itself with exit code %s; the end of its log:\n' "$died" "$code" >&2
            tail -n 20 "$dir/$died.log" | sed 's/^/  /' >&2
            exit 1
        fi
    done
}

# bound NAME LISTENER: waits until NAME listens and puts the address (127.0.0.1:4711) in $addr.
bound() {
    tries=$bind_deadline
    while :; do
        check_alive
        addr=$(sed -n "s/^$2=//p" "$dir/$1.bound" 2>/dev/null || true)
        [ -z "$addr" ] || return 0
        tries=$((tries - 1))
        if [ "$tries" -le 0 ]; then
            tail -n 20 "$dir/$1.log" | sed 's/^/  /' >&2
            fail "$1 has no $2 listener after $((bind_deadline / 10)) s; the end of its log is above"
        fi
        sleep 0.1
    done
}

# answers URL PATTERN: waits until the answer, without white space, matches.
answers() {
    tries=$data_deadline
    while :; do
        check_alive
        answer=$(curl -fsS --max-time 2 "$1" 2>"$dir/curl.log" | tr -d ' \t\r\n' || true)
        if printf '%s' "$answer" | grep -Eq "$2"; then
            return 0
        fi
        # A request may have taken its whole 2 s; the deadline is about a living aggregator.
        tries=$((tries - 5))
        [ "$tries" -gt 0 ] ||
            fail "no data after $((data_deadline / 10)) s from $1: $(cat "$dir/curl.log") $(printf '%.200s' "$answer")"
        sleep 0.5
    done
}

# port_taken PORT: does anything on this machine listen there?
port_taken() {
    hex=$(printf '%04X' "$1")
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v port="$hex" '$4 == "0A" { n = split($2, a, ":"); if (a[n] == port) found = 1 } END { exit !found }'
}

secret() { od -An -v -tx1 -N24 /dev/urandom | tr -d ' \n'; }

# admit NODE: a token for NODE's agent, and its line in the aggregator's file.
admit() {
    secret >"$dir/$1.token"
    printf '%s %s\n' "$1" "$(sha256sum <"$dir/$1.token" | cut -d' ' -f1)" >>"$dir/ingest-tokens"
}

start_kubelet() {
    secret >"$dir/$1.kubelet-token"
    mkdir "$dir/$1-pki"
    set -- "$1" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --node "$1" --trace "$trace" \
        --make-pki "$dir/$1-pki" --token "$(cat "$dir/$1.kubelet-token")"
    if [ -n "${CAIRN_RUN_PODS:-}" ]; then
        set -- "$@" --pods "$CAIRN_RUN_PODS" --seed 1
    fi
    node=$1
    shift
    start "kubelet-$node" "$bin/kubelet-sim" "$@"
}

start_aggregator() {
    if [ "$port" != 0 ] && port_taken "$port"; then
        say "port $port is taken, using a free one (CAIRN_RUN_PORT chooses another)"
        port=0
    fi
    mkdir "$dir/pki"
    "$bin/make-pki" --dir "$dir/pki" --dns localhost --ip 127.0.0.1 >"$dir/make-pki.log" 2>&1 ||
        fail "make-pki failed: $(cat "$dir/make-pki.log")"
    start aggregator "$bin/cairn-aggregator" --interval "$interval" \
        --grpc-listen 127.0.0.1:0 --http-listen "127.0.0.1:$port" --https-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 \
        --ingest-auth token-file --ingest-token-file "$dir/ingest-tokens" \
        --tls-cert "$dir/pki/server.pem" --tls-key "$dir/pki/server.key"
    bound aggregator grpc
    ingest=https://127.0.0.1:${addr##*:}
    bound aggregator http
    page=http://$addr
}

# start_agent NODE KUBELET-FLAGS...
start_agent() {
    node=$1
    shift
    start "agent-$node" "$bin/cairn-agent" --node-name "$node" --interval "$interval" \
        --aggregator "$ingest" --aggregator-ca "$dir/pki/ca.pem" --token-file "$dir/$node.token" \
        --kubelet-server-name "$node" --admin-listen 127.0.0.1:0 "$@"
}

start_simulated() {
    first=node1
    namespace=shop
    for node in node1 node2; do
        admit "$node"
        start_kubelet "$node"
    done
    start_aggregator
    for node in node1 node2; do
        bound "kubelet-$node" kubelet
        start_agent "$node" --kubelet "https://$addr" --kubelet-ca "$dir/$node-pki/$node-kubelet-ca.pem" \
            --kubelet-token-file "$dir/$node.kubelet-token"
    done
    bound agent-node1 admin
    bound agent-node2 admin
}

check_real() {
    [ -n "${CAIRN_KUBELET_TOKEN_FILE:-}" ] ||
        fail 'CAIRN_KUBELET=real needs CAIRN_KUBELET_TOKEN_FILE: a file with a token that may get nodes/stats and nodes/metrics'
    [ -n "${CAIRN_KUBELET_CA:-}${CAIRN_KUBELET_CERT:-}" ] ||
        fail 'CAIRN_KUBELET=real needs CAIRN_KUBELET_CA or CAIRN_KUBELET_CERT (often /var/lib/kubelet/pki/kubelet.crt)'
    for file in "$CAIRN_KUBELET_TOKEN_FILE" "${CAIRN_KUBELET_CA:-}" "${CAIRN_KUBELET_CERT:-}"; do
        [ -z "$file" ] || [ -r "$file" ] || fail "cannot read $file: does it exist, and may this user read it?"
    done
}

start_real() {
    first=${NODE_NAME:-$(hostname)}
    namespace=kube-system
    admit "$first"
    start_aggregator
    set -- --kubelet https://127.0.0.1:10250 --kubelet-token-file "$CAIRN_KUBELET_TOKEN_FILE"
    [ -z "${CAIRN_KUBELET_CA:-}" ] || set -- "$@" --kubelet-ca "$CAIRN_KUBELET_CA"
    [ -z "${CAIRN_KUBELET_CERT:-}" ] || set -- "$@" --kubelet-cert "$CAIRN_KUBELET_CERT"
    start_agent "$first" "$@"
    bound "agent-$first" admin
}

case $kubelet in
sim) [ -r "$trace" ] || fail "$trace is missing: is the checkout complete?" ;;
real) check_real ;;
*) fail "CAIRN_KUBELET is $kubelet, and can be sim or real" ;;
esac
case $port in '' | *[!0-9]* | ??????*) fail "CAIRN_RUN_PORT is $port, and must be a port number" ;; esac

scripts/deps.sh run
scripts/web.sh
# shellcheck disable=SC2086 # CARGO_ARGS is a list of arguments
"${CARGO:-cargo}" build ${CARGO_ARGS:-} --workspace --bins

mkdir -p .run
umask 077
dir=$(mktemp -d .run/XXXXXX)

if [ "$kubelet" = real ]; then start_real; else start_simulated; fi

model=$page/api/v1/model
cluster_cpu=$model/metrics/cpu/usage_rate
node_cpu=$model/nodes/$first/metrics/cpu/usage_rate
pods=$model/namespaces/$namespace/pods/
say 'waiting for the first values: a rate takes two readings of the kubelet, up to 30 s'
answers "$pods" '^\["'
answers "$node_cpu" '"value":[0-9]'
answers "$cluster_cpu" '"value":[0-9]'

cat <<END

  page          $page/

  cluster CPU   curl -s $cluster_cpu
  node CPU      curl -s $node_cpu
  pods          curl -s $pods

  logs          $dir/*.log
  Ctrl-C stops everything.

END

trap 'exit 0' INT TERM HUP
while :; do
    check_alive
    # In the background, so that a signal ends the wait at once.
    sleep 1 &
    wait "$!" || true
done
