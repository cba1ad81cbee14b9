#!/usr/bin/env bash
# A day with git and git-lfs: clone, commit, push, a large file too, and clone what is there then.
set -euo pipefail
cd "$1"

seen() { printf 'RESULT{"%s": "%s"}\n' "$1" "$2"; }
digest() { sha256sum | cut -d ' ' -f 1; }
export GIT_AUTHOR_NAME=me GIT_AUTHOR_EMAIL=me@example.com GIT_COMMITTER_NAME=me GIT_COMMITTER_EMAIL=me@example.com

git lfs install --skip-repo >/dev/null
git clone --quiet https://huggingface.co/me/secret-model model
seen small "$(digest <model/config.json)"
seen large "$(digest <model/model.bin)"

cd model
echo 'small' >small.txt
seq 20000 >large.bin
git add .
git commit --quiet --message 'small and large'
git push --quiet origin HEAD:main
git push --quiet origin HEAD:refs/heads/other
cd ..

git clone --quiet https://huggingface.co/me/secret-model again
seen back "$(digest <again/large.bin)"
seen same "$(diff <(git -C model rev-parse HEAD) <(git -C again rev-parse HEAD) && echo yes)"
seen remote "$(git -C again config remote.origin.url)"
seen password "$(grep --count --recursive "$HF_TOKEN" again/.git/config model/.git/config | tr '\n' ' ')"
git clone --quiet https://huggingface.co/datasets/me/table table
seen dataset "$(digest <table/a.csv)"
