"""A Hub for the run through the proxy, and one just like it for the run without."""

import json
from collections.abc import Iterator

import pytest
from real_client import seed
from fakehub import FakeHub
from fixtures import canary, house, no_daemon_is_left, seeded

__all__ = ["canary", "house", "no_daemon_is_left"]

VOCABULARY = {word: number for number, word in enumerate(("[UNK]", "the", "cat", "sat"))}
TOKENIZER = {
    "version": "1.0",
    "added_tokens": [],
    "pre_tokenizer": {"type": "Whitespace"},
    "model": {"type": "WordLevel", "vocab": VOCABULARY, "unk_token": "[UNK]"},
}
# What `transformers` needs of a model to know its configuration and its tokenizer.
WORDS = {
    "config.json": {"model_type": "bert", "hidden_size": 24, "num_attention_heads": 2, "vocab_size": 4},
    "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"},
    "tokenizer.json": TOKENIZER,
}


def sow(hub: FakeHub) -> None:
    """The world of all end-to-end tests, and a small private model."""
    seed(hub)
    hub.add_repo(
        "model", "me/words", private=True, files={name: json.dumps(data).encode() for name, data in WORDS.items()}
    )


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with seeded(sow) as hub:
        yield hub


@pytest.fixture
def plain_hub() -> Iterator[FakeHub]:
    with seeded(sow) as hub:
        yield hub
