"""Uploads the model of a run, with its card, to the Hugging Face Hub.

The token is the one that `hf auth login` or the variable HF_TOKEN gives; it is never read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agents.ppo.atomic_replacement import CHECKPOINTS
from agents.ppo.kept_checkpoints import check_whole
from agents.training.checked_files import check_run_files
from agents.training.looks import BEST
from textenv.errors import ConfigError

# What of a run's folder is a model of its own, or unfinished.
_HIDDEN = [".*", "**/.*"]
_NOT_OF_THE_RUN = ["model/*", f"{BEST}/*", f"{CHECKPOINTS}/*", *_HIDDEN]


@dataclass(frozen=True)
class Upload:
    """What would be uploaded.

    Attributes:
        model: Folder of the model, whose files come to the top of the repository.
        run: Folder of the run, whose other files come to `run/`; None to leave them out.
        files: Path in the repository and number of bytes of every file.
    """

    model: Path
    run: Path | None
    files: tuple[tuple[str, int], ...]

    @property
    def n_bytes(self) -> int:
        """Number of bytes of all files."""
        return sum(size for _, size in self.files)


def find_upload(run: Path, best: bool = False, with_run: bool = False) -> Upload:
    """Finds what there is to upload of a run.

    Args:
        run: Folder of `textenv train`, `textenv sft` or `TextPPO.save`.
        best: Whether to take the agent of the best look instead of the last one.
        with_run: Whether the run's other files, with the optimizer's state, go along.

    Raises:
        ConfigError: There is no such model, or a link leads out of the folder: what it leads to
            would be uploaded.
        DamagedError: A file of it is damaged.
    """
    check_whole(run)
    if best:
        check_whole(run / BEST)
    if with_run:
        check_run_files(run)
    model = (run / BEST if best else run) / "model"
    if not (model / "config.json").is_file():
        if best and (run / "model").is_dir():
            raise ConfigError(
                f"'{run}' has kept no best agent (validation_every=0 takes no looks). Leave out "
                "--best to upload the last one."
            )
        raise ConfigError(
            f"'{run}' holds no model: there is no {model.relative_to(run)}/config.json. Name the "
            "folder of a run of textenv train."
        )
    files = [(path.relative_to(model).as_posix(), path.stat().st_size) for path in _files(model)]
    if with_run:
        apart = ("model", BEST, CHECKPOINTS)
        others = [p for p in _files(run) if p.relative_to(run).parts[0] not in apart]
        files += [(f"run/{p.relative_to(run).as_posix()}", p.stat().st_size) for p in others]
    return Upload(model, run if with_run else None, tuple(files))


def upload(found: Upload, repo: str, private: bool = False) -> str:
    """Makes a repository on the Hub, if it is not there yet, and uploads a model.

    Args:
        found: What to upload.
        repo: "NAME/REPO", or "REPO" for one of the user's own.
        private: Whether a new repository is private; one that exists stays as it is.

    Returns:
        Address of the repository.

    Raises:
        ConfigError: Nobody is logged in, the name is not valid, or the Hub refused or did not
            answer.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if get_token() is None:
        raise ConfigError(
            "You are not logged in to the Hugging Face Hub. Run 'hf auth login', or set HF_TOKEN "
            "to a token that may write."
        )
    api = HfApi()
    try:
        made = api.create_repo(repo, private=private or None, exist_ok=True)
        api.upload_folder(
            repo_id=made.repo_id,
            folder_path=found.model,
            # What was listed: no hidden files.
            ignore_patterns=_HIDDEN,
            commit_message="Upload a model trained with textenv",
        )
        if found.run is not None:
            api.upload_folder(
                repo_id=made.repo_id,
                folder_path=found.run,
                path_in_repo="run",
                ignore_patterns=_NOT_OF_THE_RUN,
                commit_message="Upload the files of the run",
            )
    except HFValidationError as error:
        raise ConfigError(f"'{repo}' is no name of a repository: {error}") from error
    except HfHubHTTPError as error:
        raise ConfigError(_refusal(repo, error.response.status_code, str(error))) from error
    except Exception as error:  # its type depends on the HTTP library that the hub's version uses
        raise ConfigError(
            f"The Hub could not be reached ({type(error).__name__}: {error}). Nothing is lost: run "
            "the command again."
        ) from error
    return str(made)


def _refusal(repo: str, status: int, message: str) -> str:
    if status in (401, 403):
        return (
            f"The Hub does not let you write to '{repo}'. Check the name, and that your token may "
            "write: hf auth whoami, hf auth login."
        )
    return f"The Hub refused the upload to '{repo}' (status {status}): {message}"


def _files(folder: Path) -> list[Path]:
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )
    for path in files:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(
                f"'{path}' leads out of the folder, to '{path.resolve()}', which would be uploaded "
                "with it. Remove the link, or put the file itself there."
            )
    return files
