"""A day with `transformers`: a configuration and a tokenizer from a private repository, and both into one's own."""

import json
import sys

from transformers import AutoConfig, AutoTokenizer


def main() -> None:
    config = AutoConfig.from_pretrained("me/words")
    tokenizer = AutoTokenizer.from_pretrained("me/words")
    seen = {"hidden": config.hidden_size, "ids": tokenizer("the cat sat")["input_ids"]}
    config.push_to_hub("me/more-words", private=True)
    tokenizer.add_tokens(["mat"])
    tokenizer.push_to_hub("me/more-words", private=True)
    again = AutoTokenizer.from_pretrained("me/more-words")
    seen["more"] = again("the mat")["input_ids"]
    sys.stdout.write("RESULT" + json.dumps(seen, sort_keys=True) + "\n")


main()
