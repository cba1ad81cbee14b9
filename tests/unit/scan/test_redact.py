"""What is left where a token was: valid for whoever reads it, and for git a place to ask somebody else."""

import base64
import configparser
import json
import netrc
import subprocess
from pathlib import Path

import pytest

from seeded_home import made_up

from hfproxy.scan import redact, locations
from hfproxy.detect import find
from hfproxy.detect.kinds import LocationKind
from hfproxy.secret import Secret
from hfproxy.detect import kinds

TOKEN, OTHER = made_up(), made_up()


def without(text: str, path: str = "/home/me/file.txt", *tokens: str) -> str:
    data, kind = text.encode(), kinds.kind_of(path)

    def gone(token: Secret) -> bool:
        return token.reveal() in (tokens or (TOKEN,))

    return redact.remove_tokens(data, find.find_tokens(data, path, kind), kind, gone).decode()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"https://u:{TOKEN}@huggingface.co/x", "https://huggingface.co/x"),
        (f"https://{TOKEN}@huggingface.co/x", "https://huggingface.co/x"),
        (f"https://{TOKEN}:x-oauth-basic@hf.co", "https://hf.co"),
        (f"https://{TOKEN}:{TOKEN}@hf.co", "https://hf.co"),
        (f"https://hf.co/?token={TOKEN}@x", "https://hf.co/?token=@x"),
        (f"'http://a' {TOKEN}@x", "'http://a' @x"),
        # The other one is not to go, so what holds both stays.
        (f"https://{OTHER}:{TOKEN}@hf.co", f"https://{OTHER}:@hf.co"),
        (f"{TOKEN}{TOKEN}", f"{TOKEN}{TOKEN}"),  # one long word is no token
        (f"{TOKEN} {TOKEN},{OTHER}", f" ,{OTHER}"),
    ],
)
def test_text(text: str, left: str) -> None:
    assert without(text) == left


def test_git_reads_what_is_left_of_its_files(tmp_path: Path) -> None:
    config = f'[remote "o"]\n\turl = https://me:{TOKEN}@huggingface.co/m\n[lfs "https://u:{TOKEN}@huggingface.co/m"]\n\ta = b\n'
    file = tmp_path / "config"
    file.write_text(without(config, "/home/me/x/.git/config"))
    shown = subprocess.run(
        ["git", "config", "-f", str(file), "--list"], capture_output=True, text=True, check=True
    ).stdout
    assert shown.splitlines() == ["remote.o.url=https://huggingface.co/m", "lfs.https://huggingface.co/m.a=b"]


def test_git_finds_no_password_where_its_store_had_the_token(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.write_text(
        without(f"https://u:p@example.com\nhttps://u:{TOKEN}@huggingface.co\n", "/home/me/.git-credentials")
    )
    asked = "protocol=https\nhost={}\n\n"
    answers = [
        subprocess.run(
            ["git", "credential-store", "--file", str(store), "get"],
            input=asked.format(host),
            capture_output=True,
            text=True,
            check=True,
        ).stdout  # fmt: skip
        for host in ("example.com", "huggingface.co")
    ]
    assert answers == ["username=u\npassword=p\n", ""]


def test_a_netrc_keeps_its_other_entries(tmp_path: Path) -> None:
    text = (
        f"machine huggingface.co login u password {TOKEN}\nmachine b login c password d\ndefault login e password f\n"
    )
    file = tmp_path / "netrc"
    file.write_text(without(text, "/home/me/.netrc"))
    assert netrc.netrc(str(file)).hosts == {
        "huggingface.co": ("u", "", ""),
        "b": ("c", "", "d"),
        "default": ("e", "", "f"),
    }


def test_an_ini_file_keeps_its_members() -> None:
    parser = configparser.ConfigParser()
    parser.read_string(without(f"[a]\nhf_token = {TOKEN}\nexpires_at = 1\n", "/home/me/hf/stored_tokens"))
    assert dict(parser["a"]) == {"hf_token": "", "expires_at": "1"}


def test_base64_is_put_together_again() -> None:
    def auth(text: str) -> str:
        return json.dumps({"auths": {"r": {"auth": base64.b64encode(text.encode()).decode()}}})

    assert without(auth(f"me:{TOKEN}"), "/home/me/.docker/config.json") == auth("me:")
    assert without(auth(f"{TOKEN}:me"), "/home/me/.docker/config.json") == auth(":me")


def test_the_words_of_a_dockerfile_stay_apart() -> None:
    path = "/src/Dockerfile"
    assert without(f'ENV A {TOKEN}\nENV B={TOKEN}\nenv C "{TOKEN}"\n', path) == 'ENV A ""\nENV B=\nenv C ""\n'


@pytest.mark.parametrize("version", ["hub036", "hub133", "hub24"])
def test_huggingface_hub_is_logged_out_by_what_is_left(interpreter: object, tmp_path: Path, version: str) -> None:
    """An emptied `token` file is none, and an emptied `stored_tokens` is read."""
    hub = tmp_path / "hf"
    hub.mkdir()
    (hub / "token").write_text(without(TOKEN, "/home/me/huggingface/token"))
    (hub / "stored_tokens").write_text(without(f"[a]\nhf_token = {TOKEN}\n\n", "/home/me/huggingface/stored_tokens"))
    script = "from huggingface_hub.utils import get_stored_tokens, get_token\nprint(get_token(), get_stored_tokens())"
    environment = {"HF_HOME": str(hub), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([interpreter(version), "-c", script], env=environment, capture_output=True, text=True)  # type: ignore[operator]
    assert (done.returncode, done.stdout) == (0, "None {'a': ''}\n"), done.stderr


def test_every_kind_of_place_is_known_by_its_path() -> None:
    assert kinds.kind_of("/home/me/x/.git/config") is LocationKind.GIT_CONFIG
    assert kinds.kind_of("/home/me/git/config.py") is LocationKind.FILE
    assert kinds.kind_of("/srv/tokenizers/token") is LocationKind.FILE
