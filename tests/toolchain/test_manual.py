"""The manual pages: they are of this program, and are read without a complaint by both programs that show them."""

import re
import subprocess

import pytest
from toolchain.manual import KEYS, MAN, PAGES, settings, written

from hfproxy.cli.commands import COMMANDS
from hfproxy.cli.ui.help_pages import pages


@pytest.mark.parametrize("page", PAGES)
def test_what_is_committed_is_what_the_program_says_of_itself(page: str) -> None:
    assert (MAN / page).read_text() == written()[page], "write it anew: make man"


@pytest.mark.needs("mandoc", "groff")
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("reader", [("mandoc", "-Tlint", "-Wwarning"), ("groff", "-mdoc", "-ww", "-Tutf8", "-z")])
def test_no_reader_has_anything_to_say(reader: tuple[str, ...], page: str) -> None:
    done = subprocess.run([*reader, MAN / page], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.needs("mandoc")
def test_every_option_and_every_key_can_be_read_there() -> None:
    shown = {page: render(page) for page in PAGES}
    for command in COMMANDS:
        for name, syntax in pages(command).items():
            assert f"hf-proxy {name}" in shown["hf-proxy.1"]
            assert all(option in shown["hf-proxy.1"] for option, _, _ in syntax.options)
    assert {key for key, _ in settings()} == set(KEYS)
    assert all(key in shown["hf-proxy.toml.5"] for key in KEYS)


def render(page: str) -> str:
    """As a person sees it; bold letters and underlined ones are struck twice."""
    done = subprocess.run(["mandoc", "-Tutf8", "-Owidth=200", MAN / page], capture_output=True, timeout=60, check=True)
    return re.sub(".\b", "", done.stdout.decode())
