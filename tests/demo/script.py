"""What Ada runs: a script like any other. It knows nothing of hf-proxy and reads no token of its own."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, get_session, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError

SPACE = "ada/chat"
BIG = bytes(range(256)) * 8000
FOLDER = Path(sys.argv[1])


def say(text: str) -> None:
    sys.stdout.write(f"  {text}\n")
    sys.stdout.flush()


def keep(response: httpx2.Response) -> None:
    """Write down a reply, for the token to be searched in it later."""
    with (FOLDER / "replies").open("ab") as file:
        file.write(b"a reply: %d\n" % response.status_code)
        file.writelines(b"%s: %s\n" % header for header in response.headers.raw)
        if response.headers.get("content-type", "").startswith("application/json"):
            file.write(response.read() + b"\n")


def read_private() -> None:
    path = Path(hf_hub_download("ada/private-model", "config.json"))
    say(f"downloaded config.json of the private ada/private-model: {path.read_text().strip()}")
    path = Path(hf_hub_download("ada/private-model", "model.safetensors"))
    say(f"downloaded its model.safetensors too: {path.stat().st_size:,} bytes, straight from storage")


def build_space(api: HfApi) -> None:
    api.create_repo(SPACE, repo_type="space", space_sdk="gradio", private=True)
    app = FOLDER / "app"
    app.mkdir()
    (app / "app.py").write_text("import gradio\n")
    (app / "weights.bin").write_bytes(BIG)
    api.upload_folder(folder_path=app, repo_id=SPACE, repo_type="space")
    say(f"created the Space {SPACE} and uploaded app.py and weights.bin ({len(BIG):,} bytes, by xet)")
    api.add_space_secret(SPACE, "DATABASE_PASSWORD", "a secret of the Space")
    api.restart_space(SPACE)
    while (stage := api.get_space_runtime(SPACE).stage) == "BUILDING":
        time.sleep(0.2)
    say(f"gave it a secret and restarted it; now it is {stage}")


def read_public() -> None:
    path = Path(hf_hub_download("grace/public-model", "config.json"))
    say(f"read the public grace/public-model, without the token: {path.read_text().strip()}")


def ours(error: HfHubHTTPError) -> str:
    """The line of the library's message that hf-proxy wrote."""
    return next(line.strip() for line in str(error).splitlines() if "hf-proxy" in line)


def refused(what: str, attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except HfHubHTTPError as error:
        say(f"{what}: refused with {error.response.status_code}")
        say(f"    {ours(error)}")
    else:
        sys.exit(f"{what}: was not refused")


def main() -> None:
    """Says what it did; ends with an error where anything is not as it should be."""
    get_session().event_hooks["response"].append(keep)
    (FOLDER / "stolen").write_text(os.environ["HF_TOKEN"])
    api = HfApi()
    say(f"whoami: {api.whoami()['name']}, with {os.environ['HF_TOKEN'][:9]}… in HF_TOKEN")
    read_private()
    build_space(api)
    read_public()
    refused(
        "uploading to ada/private-model",
        lambda: api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id="ada/private-model"),
    )
    refused("reading ada/diary", lambda: hf_hub_download("ada/diary", "today.txt"))


main()
