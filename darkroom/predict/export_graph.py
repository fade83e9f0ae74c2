"""The graph of an export, and what tells how unlike a picture is to all that its model learned from.

Whatever the model is, the graph gives the features and the probabilities of a picture at once.
"""

from __future__ import annotations

import math
from pathlib import Path

from darkroom import unlikeness
from darkroom.errors import UserError
from darkroom.images import resize
from darkroom.infer.cut import cut
from darkroom.infer.run import Network, read_about
from darkroom.models.trained import Trained
from darkroom.unlikeness import Known


def write(found: Trained, out: Path) -> None:
    """Write `model.onnx` and, where the model can tell, `unlike.npz`.

    Raises
    ------
    UserError
        A classifier, or features, that have no form in ONNX.
    """
    known, layer = _learned_from(found)
    (out / "model.onnx").write_bytes(_graph(found, layer))
    if known is not None:
        features = read_about(out / "model.onnx")["features"]
        unlikeness.write(str(out / "unlike.npz"), known, features)


def _learned_from(found: Trained) -> tuple[Known | None, str | None]:
    """What it learned from, and of a network the layer whose features these are."""
    if found.fitted is not None:
        return found.fitted.learned_from, None
    assert found.network is not None
    read = unlikeness.read(Path(found.network).with_name("unlike.npz"))
    return (None, None) if read is None else read


def _graph(found: Trained, layer: str | None) -> bytes:
    """The content of `model.onnx`: pixels in, features and probabilities out.

    Parameters
    ----------
    layer : of a network, whose output the features are to be; None: as its file has them.
    """
    if found.fitted is None:
        assert found.network is not None
        if layer is None or layer == read_about(found.network)["features"]:
            return Path(found.network).read_bytes()
        return cut(found.network, layer, embedded=False)
    from darkroom.classify import model_file, onnx_graph

    made = found.fitted.about["made"]
    if found.network is not None:
        network = Network(found.network, threads=1, layer=found.layer)
        name, shape = network.layer, network.about["layers"][network.layer]
        features = cut(found.network, name, embedded=False)
    elif made["kind"] == "pixels":
        size = resize.size_of(found.view)
        name, shape, features = "pixels", [math.prod(size)], onnx_graph.pixels_model(size)
    else:
        raise UserError(
            f"{found.name} reads features of kind {made['kind']}, which have no form in ONNX: name "
            "another classifier"
        )
    run = found.run
    about = {
        "format": 1,
        "dataset": found.dataset,
        "model": run.model,
        "seed": run.seed,
        "fold": run.fold,
        "feature_set": run.feature_set,
        "classifier": run.classifier,
        "classes": found.classes,
        "view": found.view,
        "decode": found.policy,
        "digest": found.digest(),
        "features": name,
        "layers": {name: shape},
    }
    fitted = model_file.load(found.files[0])
    return bytes(onnx_graph.continued(features, fitted, about).SerializeToString())
