#!/usr/bin/env bash
# A day with the `hf` command: who am I, down, a repository of my own, up, and a look at what is there now.
set -euo pipefail
cd "$1"

seen() { printf 'RESULT{"%s": "%s"}\n' "$1" "$2"; }
digest() { sha256sum | cut -d ' ' -f 1; }

seen whoami "$(hf auth whoami --format quiet)"
hf download me/secret-model --local-dir model --quiet >/dev/null
seen small "$(digest <model/config.json)"
seen large "$(digest <model/model.bin)"
seen dataset "$(digest <"$(hf download me/table a.csv --repo-type dataset --quiet)")"

mkdir made
echo 'small' >made/small.txt
seq 20000 >made/large.bin
hf repos create me/made --private --quiet
hf upload me/made made --quiet >/dev/null
hf upload me/made made/small.txt pull.txt --create-pr --quiet >/dev/null
hf repos branch create me/made other --quiet >/dev/null
seen info "$(hf models info me/made --format json | python -c 'import json, sys; print(json.load(sys.stdin)["id"])')"
seen back "$(digest <"$(hf download me/made large.bin --quiet)")"
