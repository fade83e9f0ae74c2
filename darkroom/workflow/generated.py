"""Files that are made from others, and that a test compares with them.

`schemas/config.schema.json` from the typed settings, for editors, and docs/settings.md, for people; `envs/{part}.yaml`
from the lock, for `--sdm conda`; `envs/Containerfile`, which installs the lock, for
`--sdm apptainer`. `python -m darkroom.workflow.generated` rewrites them.
"""

from __future__ import annotations

import re
from pathlib import Path

from darkroom import ROOT
from darkroom.config.schema import schema
from darkroom.workflow.settings_page import page

PYTHON = "3.12"  # of the conda environments and the container; `make` prefers it too

# What the stages of a part import; everything else comes with it.
EVERY = [
    "snakemake",
    "numpy",
    "opencv-python-headless",
    "h5py",
    "pandas",
    "pyarrow",
    "tqdm",
]
PARTS = {
    "data": [
        *EVERY,
        "pillow",
        "requests",
        "scikit-learn",
        "kaggle",
        "kagglesdk",
        "urllib3",
        "zstandard",
    ],
    "train": [
        *EVERY,
        "tensorflow",
        "keras",
        "onnx",
        "onnxruntime",
        "scikit-learn",
        "optuna",
        "requests",
        "urllib3",
    ],
    "predict": [
        *EVERY,
        "pillow",
        "onnx",
        "onnxruntime",
        "scikit-learn",
        "scipy",
        "skops",
        "threadpoolctl",
        "joblib",
    ],
    "classic": [
        *EVERY,
        "pillow",
        "onnx",
        "onnxruntime",
        "scikit-learn",
        "scipy",
        "skops",
        "pyyaml",
        "threadpoolctl",
        "matplotlib",
        "optuna",
        "jinja2",
        "joblib",
        "markupsafe",
    ],
}


def locked(lock: Path) -> dict[str, str]:
    """Versions by package name; of several for several Pythons, the one for the oldest."""
    found: dict[str, str] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)==(\S+)", lock.read_text(), flags=re.M):
        found.setdefault(name, version)
    return found


def environment(part: str, versions: dict[str, str]) -> str:
    """A conda environment of one part. Packages come by pip inside it, so that conda's and the lock's versions cannot differ."""
    pins = "\n".join(f"      - {name}=={versions[name]}" for name in PARTS[part])
    return (
        f"# Of the {part} stages, for --sdm conda. Made from envs/run.lock by `make generated`.\n"
        "channels:\n  - conda-forge\n  - nodefaults\n"
        f"dependencies:\n  - python={PYTHON}\n  - pip\n  - pip:\n{pins}\n"
    )


def container() -> str:
    """A container file with the whole lock, checked by its hashes, in an environment of its own."""
    return f"""\
# The environment of every stage: what `make` puts into .venv, by the same lock and hashes.
# Made from envs/run.lock by `make generated`. docs/environments.md has the commands.
ARG BASE=python:{PYTHON}-slim-bookworm
FROM ${{BASE}}
COPY envs/run.lock /opt/darkroom/run.lock
RUN python3 -m venv /opt/darkroom \\
 && /opt/darkroom/bin/python -m pip install --no-cache-dir --disable-pip-version-check \\
    --require-hashes --no-deps --prefer-binary -r /opt/darkroom/run.lock
# for a user that the image does not know: docker run --user
ENV PATH=/opt/darkroom/bin:$PATH HOME=/tmp USER=darkroom
CMD ["snakemake", "--help"]
"""


def files() -> dict[Path, str]:
    """Every generated file and what it should hold."""
    versions = locked(ROOT / "envs" / "run.lock")
    made = {ROOT / "envs" / f"{part}.yaml": environment(part, versions) for part in PARTS}
    made[ROOT / "envs" / "Containerfile"] = container()
    made[ROOT / "schemas" / "config.schema.json"] = schema()
    made[ROOT / "docs" / "settings.md"] = page(schema())
    return made


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
