"""Files that go to the Hugging Face Hub, each by a commit of its own.

The hub's filesystem would copy a file to the temporary folder first, and leave it there where the hub refuses it.
"""

import random
import time
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

_ANOTHER_COMMIT = 412  # was made at the same moment, of which the hub lets only one be
_PATIENCE = (1, 2, 4, 8, 16, 16, 16, 16)  # seconds to wait then, at most, before each further try


def upload(system: Any, made: Path, path: str) -> None:
    """Upload a file, over what is there.

    Args:
        system: the hub's filesystem.
        made: the file.
        path: where to, in a repository.
    """
    hub, place = HfApi(system.endpoint, system.token), system.resolve_path(path)
    for seconds in (*_PATIENCE, None):
        try:
            hub.upload_file(
                path_or_fileobj=made,
                path_in_repo=place.path_in_repo,
                repo_id=place.repo_id,
                repo_type=place.repo_type,
                revision=place.revision,
            )
        except HfHubHTTPError as error:
            if seconds is None or error.response.status_code != _ANOTHER_COMMIT:
                raise
            time.sleep(seconds * random.random())  # noqa: S311 (two that wait as long would meet again)
        else:
            return
