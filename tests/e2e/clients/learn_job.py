"""A script of a user, to be learned from: builds a Space and opens a pull request on somebody else's model.

Whatever it is refused ends it.
"""

import sys
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

folder = Path(sys.argv[1])
folder.mkdir(exist_ok=True)
(folder / "app.py").write_text("print('hello')\n")
(folder / "weights.bin").write_bytes(b"weights " * 20_000)
api = HfApi()
snapshot_download("me/table", repo_type="dataset")
api.model_info("you/public-model")
name = api.create_repo("me/learned", repo_type="space", space_sdk="gradio", private=True).repo_id
api.upload_folder(folder_path=folder, repo_id=name, repo_type="space")
api.add_space_secret(name, "API_KEY", "a secret of the Space")
api.add_space_variable(name, "MODE", "test")
api.restart_space(name)
api.upload_file(path_or_fileobj=b"{}", path_in_repo="new.json", repo_id="you/public-model", create_pr=True)
print(sorted(api.list_repo_files(name, repo_type="space")))
