#!/usr/bin/env bash
# What people do with curl: read, large files too, list, and commit.
set -euo pipefail

seen() { printf 'RESULT{"%s": "%s"}\n' "$1" "$2"; }
digest() { sha256sum | cut -d ' ' -f 1; }
hub() { curl --silent --show-error --fail-with-body --location --header "Authorization: Bearer $HF_TOKEN" "$@"; }

seen small "$(hub "$HF_ENDPOINT/me/secret-model/resolve/main/config.json" | digest)"
seen large "$(hub "$HF_ENDPOINT/me/secret-model/resolve/main/model.bin" | digest)"
seen part "$(hub --range 100-149 "$HF_ENDPOINT/me/secret-model/resolve/main/model.bin" | digest)"
seen dataset "$(hub "$HF_ENDPOINT/datasets/me/table/resolve/main/a.csv" | digest)"
seen private "$(hub "$HF_ENDPOINT/api/models/me/secret-model" | grep --count '"private": *true')"
hub --head "$HF_ENDPOINT/me/secret-model/resolve/main/model.bin" >/dev/null

hub --json '{"name": "made", "private": true}' "$HF_ENDPOINT/api/repos/create" >/dev/null
{
    printf '{"key": "header", "value": {"summary": "by hand"}}\n'
    printf '{"key": "file", "value": {"path": "small.txt", "encoding": "base64", "content": "%s"}}\n' \
        "$(echo small | base64)"
} | hub --header 'Content-Type: application/x-ndjson' --data-binary @- "$HF_ENDPOINT/api/models/me/made/commit/main" >/dev/null
seen back "$(hub "$HF_ENDPOINT/me/made/resolve/main/small.txt" | digest)"
