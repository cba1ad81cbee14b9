"""A Hub for the run through the proxy, and one just like it for the run without."""

import json
from collections.abc import Iterator

import pytest
from fakehub import FakeHub
from fixtures import seeded

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


def add_words(hub: FakeHub) -> None:
    """A small private model."""
    hub.add_repo(
        "model", "me/words", private=True, files={name: json.dumps(data).encode() for name, data in WORDS.items()}
    )


@pytest.fixture
def hub(hub: FakeHub) -> FakeHub:
    """The Hub of all end-to-end tests, with the small model."""
    add_words(hub)
    return hub


@pytest.fixture
def plain_hub() -> Iterator[FakeHub]:
    """One just like it."""
    with seeded() as hub:
        add_words(hub)
        yield hub
