#!/bin/sh
# Builds the dashboard page into aggregator/web/dist, from where the aggregator embeds it.
# Does nothing when neither the sources nor the result changed since the last build, so that the
# aggregator is not compiled again for the same page.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/.tools/bin:$PATH
export PATH
cd aggregator/web

# fingerprint FIND-ARGUMENTS...: one hash over the names and contents of the files found.
fingerprint() {
    find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum | sha256sum | cut -d' ' -f1
}
key() {
    printf '%s %s\n' "$(fingerprint . \( -name node_modules -o -name dist \) -prune -o)" "$(fingerprint dist)"
}

# Kept outside of dist: everything in there is embedded and served.
stamp=node_modules/.cairn-build
if [ -f dist/index.html ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(key)" ]; then
    exit 0
fi

printf 'web: building the page\n'
began=$(date +%s)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! npm run --silent build >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    printf 'web: the build of the page failed (above)\n' >&2
    exit 1
fi
key >"$stamp"
printf 'web: done in %s s\n' "$(($(date +%s) - began))"
