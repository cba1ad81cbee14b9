"""Every failure and every refusal names what to do next: a command, an option, or what to set."""

import re

from toolchain.messages import UNKNOWN, Message, all_messages

NEXT = re.compile(
    r"hf-proxy [a-z{-]"  # a command of ours
    r"|(?:^|[ :(])--[a-z]|^\{\} (?:needs|must) |(?:use|run|then|see|once more): \{"  # an option; a command that is known only when it runs
    r"|config\.toml|\[vault\]|\b(?:listen|upstream|vault|grants|accounts|profiles)\.[a-z{]"  # a setting
    r"|\b(?:HFPROXY|HTTPS|LISTEN|HF)_[A-Z]+|systemd/|ListenStream="  # a variable, a file of ours
    r"|: (?:pip|mv|rm|chmod|ls|ip|env|git|head|unset|man|mount|sudo) |https://"  # a command that is not ours, a place
    r"|\bagain\b"  # the same command once more
    r"|: write [0-9]|(?:like|example) read:"  # what to type in the place of what was typed
)
# What need not name one, and why.
HANDED_ON = "what was said elsewhere is handed on, and is looked at where it is made"
PART = "a part of a message: who catches it says where it was found, and adds what to do"
ALLOWED = {
    "cli/journal/verify.py": PART,
    "cli/journal/chain.py": PART,
    "cli/journal/macs.py": PART,
    "core/audit/chain.py": PART,
    "core/policy/grant_codec.py": PART,
    "cli/doctor/token_checks.py": HANDED_ON,
    "control_client.py": HANDED_ON,
    "config.py": HANDED_ON,
    "core/policy/decision.py": HANDED_ON,
    "daemon/proxy/forward.py": HANDED_ON,
    "daemon/proxy/handler.py": HANDED_ON,
    "core/hub/relay_plan.py": HANDED_ON,
}
NOTHING_OF_ITS_OWN = re.compile(r"[{}: ]+")


def allowed(message: Message) -> bool:
    why = ALLOWED.get(message.file)
    return why is PART or (why is HANDED_ON and NOTHING_OF_ITS_OWN.fullmatch(message.text) is not None)


def test_every_message_names_the_next_step() -> None:
    silent = [one for one in all_messages() if not NEXT.search(one.text) and not allowed(one)]
    assert not silent, "\n".join(f"{one.file}:{one.line}: {one.text}" for one in silent)


def test_every_message_is_one_line_and_begins_in_the_middle_of_one() -> None:
    for one in all_messages():
        assert "\n" not in one.text, one
        assert not one.text.endswith("."), one


def test_what_is_allowed_is_still_needed() -> None:
    needed = {one.file for one in all_messages() if not NEXT.search(one.text)}
    assert set(ALLOWED) <= needed


def test_most_messages_are_found() -> None:
    """Or all of this would say nothing."""
    found = list(all_messages())
    assert len(found) > 150
    assert sum(one.text == UNKNOWN for one in found) < 20
