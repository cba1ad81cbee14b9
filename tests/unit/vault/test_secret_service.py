"""What is met on the way to the keyring: no bus, no service, a lock, a prompt, and one that does not answer."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prompter import Prompter
from secret_service import SecretService

from hfproxy.errors import VaultAbsentError, VaultError, VaultLockedError
from hfproxy.secret import Secret
from hfproxy.vault import secret_service
from hfproxy.vault.keyring_item import KeyringItem


@contextmanager
def prompter(service: SecretService, *, dismisses: bool) -> Iterator[Prompter]:
    prompter = Prompter(service.address, dismisses=dismisses)
    yield prompter
    prompter.close()


@pytest.fixture
def item(keyring: SecretService) -> KeyringItem:
    """With a text in it."""
    item = KeyringItem()
    item.write(Secret("kept"))
    return item


class TestNoKeyring:
    """One line each, which says what is missing and offers the sealed file."""

    def test_without_the_address_of_a_bus(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
        self.said("DBUS_SESSION_BUS_ADDRESS is not set")

    @pytest.mark.parametrize("address", ["unix:path=/nonexistent/bus", "nonsense", "tcp:host=localhost,port=1"])
    def test_with_an_address_where_nothing_answers(self, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        self.said(f"the session bus does not answer ({address.split(',')[0]})")

    def test_with_a_bus_and_no_service_on_it(self, service: SecretService) -> None:
        self.said("the session bus has no Secret Service; start one")

    def said(self, what: str) -> None:
        for attempt in (KeyringItem().read, lambda: KeyringItem().write(Secret("x"))):
            with pytest.raises(VaultAbsentError) as caught:
                attempt()
            text = str(caught.value)
            assert what in text
            assert 'set backend = "sealed-file" under [vault] in config.toml' in text
            assert "\n" not in text


class TestALockedOne:
    def test_that_nobody_can_be_asked_about_says_so(self, keyring: SecretService, item: KeyringItem) -> None:
        keyring.lock()
        with pytest.raises(VaultLockedError, match="no program here can show its prompt"):
            item.read()

    def test_whose_prompt_is_dismissed_does_not_ask_again_by_itself(
        self, keyring: SecretService, item: KeyringItem
    ) -> None:
        keyring.lock()
        with prompter(keyring, dismisses=True) as asked:
            with pytest.raises(
                VaultLockedError, match="its prompt was dismissed; to be prompted again: hf-proxy unlock"
            ):
                item.read()
            for attempt in (item.read, lambda: item.write(Secret("x")), item.read):
                with pytest.raises(VaultLockedError, match=r"shown a moment ago\), then: hf-proxy unlock"):
                    attempt()
            assert asked.prompts == 1
            item.user_is_present()
            with pytest.raises(VaultLockedError, match="dismissed"):
                item.read()
            assert asked.prompts == 2

    def test_that_was_unlocked_meanwhile_is_read_without_asking(
        self, keyring: SecretService, item: KeyringItem
    ) -> None:
        keyring.lock()
        with prompter(keyring, dismisses=True) as asked:
            with pytest.raises(VaultLockedError):
                item.read()
            keyring.restart()
            assert item.read() == Secret("kept")
            assert asked.prompts == 1

    def test_whose_prompt_nobody_answers_is_given_up(
        self, keyring: SecretService, item: KeyringItem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(secret_service, "PROMPT_SECONDS", 1.0)
        keyring.lock()
        with prompter(keyring, dismisses=False) as asked:
            with pytest.raises(
                VaultLockedError, match="not answered within 1 seconds; to be prompted again: hf-proxy unlock"
            ):
                item.read()
            with pytest.raises(VaultLockedError, match="shown a moment ago"):
                item.read()
            assert asked.prompts == 1


class TestOneThatHangs:
    def test_is_given_up_and_goes_on_when_it_answers_again(
        self, keyring: SecretService, item: KeyringItem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with keyring.stopped(), monkeypatch.context() as hurried:
            hurried.setattr(secret_service, "ANSWER_SECONDS", 0.5)
            for attempt in (item.read, lambda: item.write(Secret("x"))):
                with pytest.raises(VaultError, match="the keyring does not answer") as caught:
                    attempt()
                assert not isinstance(caught.value, VaultAbsentError | VaultLockedError)
        assert item.read() == Secret("kept")

    def test_leaves_no_connection_behind(
        self, keyring: SecretService, item: KeyringItem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(secret_service, "ANSWER_SECONDS", 0.2)
        before = len(os.listdir("/proc/self/fd"))
        with keyring.stopped():
            for _ in range(5):
                with pytest.raises(VaultError):
                    item.read()
        assert len(os.listdir("/proc/self/fd")) <= before


def test_a_bus_that_hangs_is_given_up(service: SecretService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_service, "CONNECT_SECONDS", 0.3)
    service.bus.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(VaultAbsentError, match="the session bus does not answer"):
            KeyringItem().read()
    finally:
        service.bus.send_signal(signal.SIGCONT)
