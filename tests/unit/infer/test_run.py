"""`infer.run`: a network on ONNX Runtime. What it computes is in test_export.py."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "tests/support/export_0_1/model.onnx"


def test_nothing_is_sent_or_kept_of_what_is_opened(tmp_path):
    """Before it sends anything ONNX Runtime writes an identifier of the machine at home."""
    open_it = f"from darkroom.infer.run import open_session; open_session({str(MODEL)!r}, 1)"
    subprocess.run(
        [sys.executable, "-c", open_it], cwd=ROOT, env={"HOME": str(tmp_path)}, check=True
    )
    assert list(tmp_path.iterdir()) == []
