"""A day with `datasets`: push a private one as parquet, load it, stream it."""

import json
import sys

from datasets import Dataset, load_dataset

ROWS = {"number": list(range(3000)), "word": [f"word {number % 7}" for number in range(3000)]}


def main() -> None:
    Dataset.from_dict(ROWS).push_to_hub("me/numbers", private=True)
    loaded = load_dataset("me/numbers", split="train")
    streamed = load_dataset("me/numbers", split="train", streaming=True)
    seen = {
        "loaded": loaded.to_dict() == ROWS,
        "features": {name: feature.dtype for name, feature in loaded.features.items()},
        "streamed": [row["number"] for row in streamed] == ROWS["number"],
        "skipped": [row["word"] for row in streamed.skip(2998)],
    }
    sys.stdout.write("RESULT" + json.dumps(seen, sort_keys=True) + "\n")


main()
