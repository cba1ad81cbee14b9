"""The clients: what each does in a day, what it must have seen and made then, and how it asks for what it may not have."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from real_client import FILES, SCRIPT

HERE = Path(__file__).parent
NODE = HERE / "node" / "hub.js"
SMALL, LARGE = b"small\n", b"".join(b"%d\n" % number for number in range(1, 20_001))
MADE = {"small.txt": SMALL, "large.bin": LARGE}
NOISE = b"".join(hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(100_000))

Words = tuple[Path | str, ...]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


READ = {"small": digest(FILES["config.json"]), "large": digest(FILES["model.bin"])}


@dataclass(frozen=True)
class Row:
    """One client. A script that is a path is run, one that is text is code for the program."""

    program: str
    work: Words
    """A day's work, and its arguments; `FOLDER` is one of its own. Prints RESULT and JSON, once or more."""
    read: Words
    """Reads `me/secret-model`, or a dataset of that name, which the credential does not allow."""
    write: Words
    """Writes there."""
    seen: Mapping[str, object]
    """What is among the results of the day's work."""
    made: Mapping[tuple[str, str], Mapping[str, bytes]] = field(default_factory=dict)
    """Of each repository (type, id): what is among its files then."""
    environment: str | None = None
    """The name of the Python environment that comes first on its PATH."""


def hub_row(environment: str) -> Row:
    """`huggingface_hub`, whatever its version."""
    return Row(
        "python",
        (SCRIPT, "FOLDER"),
        ('from huggingface_hub import *; hf_hub_download("me/secret-model", "config.json")',),
        (
            'from huggingface_hub import *; HfApi().upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id="me/secret-model")',
        ),
        {},
        {("model", "me/new-model"): {"config.json": b"{}", "v1/sub/notes.txt": b"notes\n"}},
        environment,
    )


ROWS = {
    "huggingface_hub-0.36.2": hub_row("hub036"),
    "huggingface_hub-1.33.0": hub_row("hub133"),
    "huggingface_hub-2.4.0": hub_row("hub24"),
    "hf-2.4.0": Row(
        "bash",
        (HERE / "hf.sh", "FOLDER"),
        ("hf download me/secret-model config.json",),
        ("echo x >x; hf upload me/secret-model x",),
        READ | {"whoami": "me", "info": "me/made", "back": digest(LARGE)},
        {("model", "me/made"): MADE},
        "hub24",
    ),
    "hf_xet-1.8.0": Row(
        "python",
        (HERE / "xet.py", "FOLDER"),
        ('from huggingface_hub import *; hf_hub_download("me/secret-model", "model.bin")',),
        (
            "from huggingface_hub import *\n"
            'HfApi().upload_file(path_or_fileobj=b"x" * 100_000, path_in_repo="x.bin", repo_id="me/secret-model")',
        ),
        {"one.bin": digest(NOISE), "two.bin": digest(NOISE + b"and some more")},
        {("model", "me/large"): {"one.bin": NOISE, "two.bin": NOISE + b"and some more"}},
        "hub24",
    ),
    "datasets-5.2.0": Row(
        "python",
        (HERE / "push_and_load.py",),
        ('from datasets import load_dataset; load_dataset("me/table")',),
        ('from datasets import Dataset; Dataset.from_dict({"a": [1]}).push_to_hub("me/table")',),
        {"loaded": True, "streamed": True, "skipped": ["word 2", "word 3"]},
        environment="libraries",
    ),
    "transformers-5.23.0": Row(
        "python",
        (HERE / "config_and_tokenizer.py",),
        ('from transformers import AutoConfig; AutoConfig.from_pretrained("me/secret-model")',),
        ('from transformers import BertConfig; BertConfig().push_to_hub("me/secret-model")',),
        {"hidden": 24, "ids": [1, 2, 3], "more": [1, 4]},
        environment="libraries",
    ),
    "@huggingface/hub-2.17.5": Row(
        "node",
        (NODE, "work"),
        (NODE, "read", "me/secret-model"),
        (NODE, "write", "me/secret-model"),
        READ
        | {"whoami": "me", "largeWithoutXet": READ["large"], "back": digest(LARGE), "backFromSpace": digest(LARGE)},
        {("model", "me/made"): MADE, ("space", "me/made-too"): MADE},
    ),
    "git-and-git-lfs": Row(
        "bash",
        (HERE / "git.sh", "FOLDER"),
        ("git clone https://huggingface.co/me/secret-model",),
        (
            "git init made && git -C made -c user.name=me -c user.email=me@example.com commit --allow-empty -m x"
            " && git -C made push https://huggingface.co/me/secret-model HEAD:refs/heads/x",
        ),
        READ
        | {
            "back": digest(LARGE),
            "same": "yes",
            "remote": "https://huggingface.co/me/secret-model",
            "password": "again/.git/config:0 model/.git/config:0 ",
        },
        {("model", "me/secret-model"): MADE},
    ),
    "curl": Row(
        "bash",
        (HERE / "curl.sh",),
        (
            'curl -sS --fail-with-body -H "Authorization: Bearer $HF_TOKEN" "$HF_ENDPOINT/me/secret-model/resolve/main/config.json"',
        ),
        (
            'curl -sS --fail-with-body -H "Authorization: Bearer $HF_TOKEN" --json "{}" "$HF_ENDPOINT/api/models/me/secret-model/preupload/main"',
        ),
        READ | {"part": digest(FILES["model.bin"][100:150]), "private": "1", "back": digest(SMALL)},
        {("model", "me/made"): {"small.txt": SMALL}},
    ),
}
