"""The main job, as a script of a user: all that issue-worthy code does with the Hub in a day.

Runs in the environment of the real `huggingface_hub`, once straight at the Hub with the token and once under
`hf-proxy exec`; it knows nothing of either. Prints what it saw as JSON, for the two to be compared.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

from huggingface_hub import HfApi, HfFileSystem, auth_check, hf_hub_download, snapshot_download

FOLDER = Path(sys.argv[1])
BIG = bytes(range(256)) * 2000 + b"the same every time" * 5000


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def files_below(folder: str) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): digest(path.read_bytes())
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and ".cache" not in path.parts
    }


def write_folder(name: str) -> Path:
    folder = FOLDER / name
    (folder / "sub").mkdir(parents=True)
    (folder / "app.py").write_text("print('hello')\n")
    (folder / "sub" / "notes.txt").write_text("notes\n")
    (folder / "weights.bin").write_bytes(BIG + name.encode())
    return folder


def reading(api: HfApi) -> dict[str, object]:
    """Downloads, listings, the file system."""
    seen: dict[str, object] = {"whoami": api.whoami()["name"]}
    auth_check("me/secret-model")
    seen["small"] = digest(Path(hf_hub_download("me/secret-model", "config.json")).read_bytes())
    seen["large"] = digest(Path(hf_hub_download("me/secret-model", "model.bin")).read_bytes())
    seen["snapshot"] = files_below(snapshot_download("me/secret-model"))
    seen["dataset"] = files_below(snapshot_download("me/table", repo_type="dataset"))
    info = api.repo_info("me/secret-model", files_metadata=True)
    seen["info"] = sorted(str(sibling.rfilename) for sibling in info.siblings or [])
    seen["revision"] = api.model_info("me/secret-model", revision="main").sha == info.sha
    seen["tree"] = sorted(item.path for item in api.list_repo_tree("me/secret-model", recursive=True))
    seen["below"] = sorted(item.path for item in api.list_repo_tree("me/secret-model", "deep/er"))
    seen["files"] = sorted(api.list_repo_files("me/table", repo_type="dataset"))
    seen["commits"] = len(api.list_repo_commits("me/secret-model"))
    seen["refs"] = [branch.name for branch in api.list_repo_refs("me/secret-model").branches]
    seen["paths"] = [item.path for item in api.get_paths_info("me/secret-model", ["config.json"])]
    seen["exists"] = api.file_exists("me/secret-model", "config.json")
    seen["models"] = sorted(model.id for model in api.list_models(author="me"))
    return seen


def filesystem() -> dict[str, object]:
    """Reads through fsspec."""
    fs = HfFileSystem()
    with fs.open("me/secret-model/model.bin") as file:
        file.seek(100)
        part = file.read(50)
    return {
        "ls": sorted(str(name) for name in fs.ls("me/secret-model", detail=False)),
        "find": sorted(fs.find("me/secret-model")),
        "cat": digest(fs.cat("me/secret-model/config.json")),
        "part": digest(part),
        "glob": sorted(str(name) for name in fs.glob("datasets/me/table/*.csv")),
        "size": fs.info("me/secret-model/config.json")["size"],
    }


def writing(api: HfApi) -> dict[str, object]:
    """Uploads, regular and large, into a new private model."""
    api.create_repo("me/new-model", private=True)
    api.create_repo("me/new-model", private=True, exist_ok=True)
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="me/new-model")
    api.upload_folder(folder_path=write_folder("model"), repo_id="me/new-model", path_in_repo="v1")
    pull = api.upload_file(path_or_fileobj=b"[]", path_in_repo="pr.json", repo_id="me/new-model", create_pr=True)
    files = files_below(snapshot_download("me/new-model"))
    return {"files": files, "pull": pull.pr_num}


def space(api: HfApi) -> dict[str, object]:
    """A Space's whole build."""
    name = "me/new-space"
    api.create_repo(name, repo_type="space", space_sdk="gradio", private=True)
    api.upload_folder(folder_path=write_folder("space"), repo_id=name, repo_type="space")
    api.add_space_secret(name, "API_KEY", "a secret of the Space")
    api.add_space_variable(name, "MODE", "test")
    seen: dict[str, object] = {}
    if hasattr(api, "get_space_secrets"):  # not in 0.36
        seen["secrets"] = sorted(api.get_space_secrets(name))
    seen["variables"] = {key: value.value for key, value in api.get_space_variables(name).items()}
    api.restart_space(name)
    seen["stages"] = [api.get_space_runtime(name).stage for _ in range(4)]
    if hasattr(api, "fetch_space_logs"):  # nor this
        seen["build"] = list(api.fetch_space_logs(name, build=True))
    api.delete_space_secret(name, "API_KEY")
    api.delete_space_variable(name, "MODE")
    seen["files"] = sorted(api.list_repo_files(name, repo_type="space"))
    return seen


def main() -> None:
    """Do all of it; nothing is printed unless all of it worked."""
    api = HfApi()
    seen = {"reading": reading(api), "filesystem": filesystem(), "writing": writing(api), "space": space(api)}
    sys.stdout.write("RESULT" + json.dumps(seen, sort_keys=True) + "\n")


os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
main()
