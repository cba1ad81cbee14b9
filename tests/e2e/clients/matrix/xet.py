"""Large files by `hf_xet`: up, a second version of which most is there already, and down to another cache."""

import hashlib
import json
import sys
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download

FOLDER = Path(sys.argv[1])
NOISE = b"".join(hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(100_000))


def main() -> None:
    api = HfApi()
    api.create_repo("me/large", private=True)
    seen = {}
    for name, data in (("one.bin", NOISE), ("two.bin", NOISE + b"and some more")):
        api.upload_file(path_or_fileobj=data, path_in_repo=name, repo_id="me/large")
        path = hf_hub_download("me/large", name, cache_dir=FOLDER / "cache")
        seen[name] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    sys.stdout.write("RESULT" + json.dumps(seen, sort_keys=True) + "\n")


main()
