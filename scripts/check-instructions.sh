#!/bin/sh
# Counts what the codec and the agent cost in instructions, which hardly differ from machine to machine, and
# holds them against tests/bench/instructions.txt. Needs valgrind; says so when it is not there, and ends well
# all the same on a developer's machine. With CI set, as .ci/run does, it fails.
#
# Shows besides that who reads one field touches nothing of the others: ten times as many other fields,
# with samples in every row, add no more than the entry of each in a directory. The codec shows it of a
# chunk and of a row, the store of a whole question.
set -eu
cd "$(dirname "$0")/.."

if ! command -v valgrind >/dev/null 2>&1; then
    if [ -n "${CI:-}" ]; then
        echo 'check-instructions: valgrind is not installed and CI is set, so nothing may be skipped: run scripts/deps.sh test as root, or apt-get install valgrind' >&2
        exit 1
    fi
    echo 'check-instructions: valgrind is not installed, skipped: apt-get install valgrind'
    exit 0
fi

budgets=tests/bench/instructions.txt
chunk=proto/testdata/mix-c-30-pods.chunk
blocks=proto/testdata/mix-c-30-pods-4-blocks.chunk
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# In one call, so that what they share is built once.
# shellcheck disable=SC2086 # a list of arguments
${CARGO:-cargo} build ${CARGO_ARGS:-} --quiet --release -p cairn-proto -p cairn-aggregator -p cairn-tests \
    --example codec-work --example reads --example row-work
examples=${CARGO_TARGET_DIR:-target}/release/examples

# count WORK [CHUNK]: sets `instructions` within the work and `pieces`, what it was about.
count() {
    counted '*work::measured*' "$examples/codec-work" "$1" "${2:-$chunk}"
}

# counted FUNCTION PROGRAM ARGUMENTS: the same of any program. glibc keeps what was freed: memory that it
# gave back and got anew is clear, and what it kept has to be cleared, so the count would depend on the
# sizes of pieces that were there before.
counted() {
    function=$1
    shift
    if ! pieces=$(MALLOC_TRIM_THRESHOLD_=1000000000 MALLOC_MMAP_THRESHOLD_=1000000000 \
        valgrind --tool=callgrind --callgrind-out-file="$scratch/out" \
        --toggle-collect="$function" "$@" 2>"$scratch/log"); then
        cat "$scratch/log" >&2
        exit 1
    fi
    instructions=$(sed -n 's/^totals: *//p' "$scratch/out")
    if [ "${instructions:-0}" -eq 0 ]; then
        echo "check-instructions: valgrind counted nothing of $*" >&2
        exit 1
    fi
}

# per_sample NAME WORK [CHUNK]
per_sample() {
    count "$2" "${3:-$chunk}"
    awk -v name="$1" -v all="$instructions" -v pieces="$pieces" \
        'BEGIN { printf "%s %.1f\n", name, all / pieces }' >>"$scratch/measured"
}

# per_other_field NAME FEW MANY READS: the same of a question to the store.
per_other_field() {
    counted '*reads::once::read*' "$examples/reads" once "$2"
    few=$instructions few_fields=$pieces
    counted '*reads::once::read*' "$examples/reads" once "$3"
    awk -v name="$1" -v more="$((instructions - few))" -v entries="$(((pieces - few_fields) * $4))" \
        'BEGIN { printf "%s %.1f\n", name, more / entries }' >>"$scratch/measured"
}

# per_entry NAME FEW MANY READS: what one more field adds to each of so many reads.
per_entry() {
    count "$2"
    few=$instructions few_fields=$pieces
    count "$3"
    awk -v name="$1" -v more="$((instructions - few))" -v entries="$(((pieces - few_fields) * $4))" \
        'BEGIN { printf "%s %.1f\n", name, more / entries }' >>"$scratch/measured"
}

# per_tick NAME WORK: millions of instructions a tick of what the agent makes of a kubelet's answers, or a text of cAdvisor's.
per_tick() {
    counted '*row_work::node::measured*' "$examples/row-work" "$2"
    awk -v name="$1" -v all="$instructions" -v ticks="$pieces" \
        'BEGIN { printf "%s %.2f\n", name, all / ticks / 1000000 }' >>"$scratch/measured"
}

# per_pod NAME FORM: instructions a pod of a list of metrics.k8s.io.
per_pod() {
    counted '*metrics_api::list::Part::make*' "$examples/reads" list "$2"
    awk -v name="$1" -v all="$instructions" -v pods="$pieces" \
        'BEGIN { printf "%s %.0f\n", name, all / pods }' >>"$scratch/measured"
}

per_tick agent_summary_to_row row
per_tick agent_resource resource
per_tick agent_cadvisor cadvisor
per_sample codec_row_encode encode_row
per_sample codec_keyframe keyframe
per_sample codec_row_decode decode_row
per_sample codec_row_next next_row
per_sample codec_row_of_block block_row
per_sample codec_seal seal
per_sample codec_check check
per_sample codec_scan_column scan
per_sample codec_seal_wire seal_wire
per_sample codec_cut cut
per_sample codec_join join "$blocks"
# An entity and a row; an entity and a chunk.
per_sample codec_follow_row follow
per_sample codec_seek_chunk seek
per_entry codec_chunk_entry one_of_few_columns one_of_many_columns 1
per_entry codec_row_entry one_of_few_in_a_row one_of_many_in_a_row 16
# A chunk of two blocks, and an open block of eight rows.
per_other_field store_other_field 8 80 9
per_pod list_json json
per_pod list_protobuf protobuf

awk -v file="$budgets" '
    FNR == NR { measured[$1] = $2; next }
    /^#/ || NF == 0 { next }
    {
        budgets[$1] = 1
        if (!($1 in measured)) {
            printf "%s: %s is not measured\n", file, $1; bad = 1; next
        }
        value = measured[$1]
        printf "check-instructions: %-20s %7.2f of %s\n", $1, value, $2
        if (value > $2) {
            printf "%s is over its limit: undo what made it grow, or raise the limit in %s and say there why\n", $1, file
            bad = 1
        } else if (value < $2 / 2) {
            printf "%s is less than half of its limit: lower the limit in %s to keep what was won\n", $1, file
            bad = 1
        }
    }
    END {
        for (name in measured) if (!(name in budgets)) {
            printf "%s: no limit for %s\n", file, name; bad = 1
        }
        exit bad
    }
' "$scratch/measured" "$budgets"
