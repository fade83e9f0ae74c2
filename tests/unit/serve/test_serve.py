"""The web application: its page, its API, what it refuses, and what it shields from."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import json
import logging
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from PIL import Image

from darkroom.__main__ import main
from darkroom.errors import UserError
from darkroom.features.predictions import read_predictions
from darkroom.models import trained
from darkroom.predict import unseen
from darkroom.serve import command, pages, site
from darkroom.serve import service as serving
from darkroom.serve.counts import Rate
from darkroom.serve.middleware import POLICY
from darkroom.serve.models import Served, card, names_of, places
from darkroom.serve.service import Service
from tests.support.small_chain import Chain
from tests.unit.serve.conftest import MODEL

PREDICT = "/api/v1/predict"
ROOT = Path(__file__).parents[3]
EXPORT = ROOT / "tests/support/export_0_1"


def files(*paths: str | Path) -> list[SimpleUploadedFile]:
    return [SimpleUploadedFile(Path(p).name, Path(p).read_bytes()) for p in paths]


def some(chain: Chain, n: int = 3) -> list[Path]:
    return sorted((chain.root / "pictures").rglob("*.png"))[:: 48 // n][:n]


def post(client: Client, *paths: str | Path, to: str = PREDICT, **fields: str) -> Any:
    return client.post(to, {"pictures": files(*paths), **fields})


# ---------------------------------------------------------------- the same to the bit


def test_page_api_and_command_agree_to_the_bit(
    client: Client, chain: Chain, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = some(chain, 12)
    answer = post(client, *pictures)
    assert answer.status_code == 200
    assert main(["predict", MODEL, *map(str, pictures), "--csv"]) == 0
    table = capsys.readouterr().out.replace(f"{pictures[0].parents[1]}/", "")
    expected = pandas.read_csv(io.StringIO(table))
    found = answer.json()["pictures"]
    assert [one["predicted"] for one in found] == expected["predicted"].tolist()
    for name in ("cross", "disc"):
        ours = [f"{one['probabilities'][name]:.7g}" for one in found]
        assert ours == [f"{p:.7g}" for p in expected[f"p:{name}"]]
        same = [np.float32(one["probabilities"][name]) for one in found]
        assert [float(p) for p in same] == [one["probabilities"][name] for one in found]
    page = post(client, *pictures, to="/").content.decode()
    data = re.search(r'href="data:text/csv;base64,([^"]+)"', page)
    assert data is not None
    own = pandas.read_csv(io.StringIO(base64.b64decode(data[1]).decode()))
    columns = [c for c in own if c != "file"]
    pandas.testing.assert_frame_equal(own[columns], expected[columns])


def test_the_images_of_the_data_set_get_the_predictions_that_they_have(
    client: Client, chain: Chain
) -> None:
    said, _ = read_predictions(f"{MODEL}/predictions.parquet")
    paths = pandas.read_parquet(chain.results("manifest.parquet")).set_index("row")["path"]
    own = [chain.root / "pictures" / path for path in paths[said["row"]]]
    found = post(client, *own).json()["pictures"]
    one_by_one = [post(client, path).json()["pictures"][0] for path in own[:6]]
    for name in ("cross", "disc"):
        expected = said[f"p:{name}"].tolist()
        assert [one["probabilities"][name] for one in found] == expected
        assert [one["probabilities"][name] for one in one_by_one] == expected[:6]


# ---------------------------------------------------------------- the page


def test_threads_side_by_side_get_the_same_bits(service: Service) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 3)).astype(np.uint8)
    ask = service.models["shapes"].ask
    expected = ask(pixels)
    with ThreadPoolExecutor(8) as pool:
        for at, found in enumerate(pool.map(lambda i: ask(pixels[i : i + 1]), range(64))):
            assert np.array_equal(found[0], expected[at])


def test_the_page_works_without_a_script(
    client: Client, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (pages, serving):  # however busy the machine is
        monkeypatch.setattr(module, "HEAT_SECONDS", 60.0)
    form = client.get("/")
    assert form.status_code == 200 and "<form" in form.content.decode()
    turned = Image.open(some(chain)[0]).convert("L")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    (tmp_path / "note.png").write_text("no picture")
    page = post(
        client, some(chain)[0], tmp_path / "turned.jpg", tmp_path / "note.png", to="/", looked="1"
    ).content.decode()
    assert page.count("<article") == 3
    assert page.count('aria-label="Probability of each class"') == 2
    assert "EXIF orientation 6: applied" in page
    assert "This picture cannot be used: not an image: text." in page
    assert 'class="heat"' in page and "<rect" in page
    assert "<script>" not in page and "style=" not in page and " on" + "click" not in page


def test_a_part_alone_is_for_the_script(client: Client, chain: Chain) -> None:
    part = post(client, some(chain)[0], to="/?part=1").content.decode()
    assert "<html" not in part and part.count("<article") == 1
    refused = client.post("/?part=1", {})
    assert refused.status_code == 400
    assert (
        "<html" not in refused.content.decode()
        and "No picture was sent" in refused.content.decode()
    )


def test_a_probability_below_the_limit_is_marked(told: Callable[..., Client], chain: Chain) -> None:
    client = told(unsure_below=1.0, notice="Not for medical use.")
    page = post(client, some(chain)[0], to="/").content.decode()
    assert "<b>Unsure.</b> The probability is below 1.0." in page
    assert "Not for medical use." in page
    answer = post(client, some(chain)[0]).json()
    assert answer["pictures"][0]["unsure"] is True
    assert answer["notice"] == "Not for medical use."
    sure = post(told(unsure_below=0.0), some(chain)[0])
    assert sure.json()["pictures"][0]["unsure"] is False


def test_a_picture_unlike_all_training_images_is_marked(
    client: Client, chain: Chain, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = some(chain)[0]
    distance = post(client, own).json()["pictures"][0]["unlikeness"]
    assert 0 <= distance <= 2
    ask = service.models["shapes"].ask
    for limit, unlike in ((distance - 1e-6, True), (distance + 1e-6, False)):
        there = dataclasses.replace(ask, limit=limit)
        monkeypatch.setattr(service.models["shapes"], "ask", there)
        assert post(client, own).json()["pictures"][0]["unlike"] is unlike
        page = post(client, own, to="/").content.decode()
        assert ("<b>Unlike anything this model learned from.</b>" in page) is unlike


def test_the_set_of_a_picture_has_each_class_that_is_probable_enough(
    client: Client, chain: Chain, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = some(chain)[0]
    ask = service.models["shapes"].ask
    probable = post(client, own).json()["pictures"][0]["probabilities"]
    first, second = sorted(probable, key=lambda name: -probable[name])
    for least, names in ((0.0, [first, second]), (probable[first], [first]), (1.1, []), (None, [])):
        there = dataclasses.replace(ask, set_from=least)
        monkeypatch.setattr(service.models["shapes"], "ask", there)
        assert post(client, own).json()["pictures"][0]["set"] == names
    for least, words in ((0.0, f"one of: {first}, {second}"), (probable[first], first)):
        there = dataclasses.replace(ask, set_from=least)
        monkeypatch.setattr(service.models["shapes"], "ask", there)
        page = post(client, own, to="/").content.decode()
        assert f"With 95 % probability it is {words}." in page


def test_the_notice_of_a_data_set_is_above_its_predictions(
    client: Client, service: Service, chain: Chain, tmp_path: Path
) -> None:
    shutil.copytree("results/shapes", tmp_path / "shapes")
    summary = tmp_path / "shapes/summary.parquet"
    table = pandas.read_parquet(summary)
    assert table.attrs["notice"] == ""  # as the evaluation wrote it
    table.attrs["notice"] = "Not for medical use."
    table.to_parquet(summary, index=False)
    model = Served.load(str(tmp_path / "shapes/fold-1/tiny-seed0/svm"))
    service.names, service.models = ["shapes"], {"shapes": model}
    assert "Not for medical use." in client.get("/").content.decode()
    assert post(client, some(chain)[0]).json()["notice"] == "Not for medical use."


def test_names_of_files_are_text(client: Client, chain: Chain) -> None:
    data = some(chain)[0].read_bytes()
    upload = SimpleUploadedFile("a.png", data)
    upload._name = '../<img src=x onerror="alert(1)">.png'  # type: ignore[attr-defined]
    page = client.post("/", {"pictures": [upload]}).content.decode()
    assert "<img" not in page and "&lt;img" in page


def test_the_card(client: Client, service: Service, chain: Chain) -> None:
    post(client, *some(chain, 4))
    page = client.get("/model/shapes").content.decode()
    assert "fold-1/tiny-seed0/svm, trained on the data set shapes" in page
    assert "balanced accuracy" in page and "test images" in page
    assert "<dt>16 bits</dt><dd>scale</dd>" in page and "given" not in page
    assert "By class, over all seeds and folds" in page  # of which this model is one
    assert "one of 2 classes: cross, disc." in client.get("/").content.decode()
    card = client.get("/api/v1/model").json()["models"][0]
    metrics = pandas.read_parquet(chain.results("metrics.parquet"))
    own = metrics[
        (metrics["fold"] == "fold-1")
        & (metrics["feature_set"] == "tiny-seed0")
        & (metrics["classifier"] == "svm")
        & (metrics["part"] == "test")
    ].iloc[0]
    assert card["scores"]["accuracy"]["value"] == own["accuracy"]
    assert card["test_images"] == own["n"]
    assert card["classes"] == ["cross", "disc"]
    day = card["days"][0]
    assert day["pictures"] >= 4
    assert 0 <= day["mean_unlikeness"] < 0.5 and 0 <= day["unlike"] <= day["pictures"]
    assert f"<td>{day['mean_unlikeness']:.3f}</td>" in page
    assert client.get("/model/other").status_code == 404


def test_the_card_of_all_folds_has_their_scores_together(chain: Chain) -> None:
    served = Served.open(trained.named(chain.results(), "pixels/svm"), "shapes")
    assert served.model.name == "folds/pixels/svm"
    told = card(served)
    summary = pandas.read_parquet(chain.results("summary.parquet"))
    own = summary.query("model == 'pixels' and classifier == 'svm' and part == 'test'").iloc[0]
    assert told["scores"]["accuracy"]["value"] == own["accuracy"]
    assert told["test_images"] == own["images"]
    assert told["by_class"] and "mean of the probabilities of 2 folds" in told["model"]


def test_several_models_are_chosen_by_name(client: Client, service: Service, chain: Chain) -> None:
    other = Served.load(str(chain.root / "results/shapes/fold-2/pixels/svm"))
    service.names, service.models = ["shapes", "other"], {**service.models, "other": other}
    assert "<option>other</option>" in client.get("/").content.decode()
    for ask in (
        post(client, some(chain)[0], model="other"),
        post(client, some(chain)[0], to=f"{PREDICT}?model=other"),
    ):
        assert ask.json()["model"]["model"] == "fold-2/pixels/svm"
    missing = post(client, some(chain)[0], to=f"{PREDICT}?model=none")
    assert missing.status_code == 404
    assert missing.json()["error"] == "There is no model 'none'; there are: shapes, other."


def test_an_export_has_its_threshold_with_it(chain: Chain, tmp_path: Path) -> None:
    folder = tmp_path / "shipped"
    shutil.copytree("results/shapes/fold-1/tiny-seed0", folder)
    said = {"threshold": 0.25, "threshold_chosen_for": "f1"}
    (folder / "preprocessing.json").write_text(json.dumps(said))
    served = Served.load(str(folder))
    assert (served.threshold, served.how) == (0.25, "f1")


def test_what_is_served_of_a_path(chain: Chain) -> None:
    assert places("results") == ["results/shapes"]
    assert places("results/shapes") == ["results/shapes"]
    with pytest.raises(UserError, match="no such model"):
        places("nowhere")
    two = [Served.load(MODEL).model, Served.load("results/shapes/fold-2/pixels/svm").model]
    assert names_of(two[:1]) == ["shapes"]
    assert names_of(two) == ["shapes-fold-1-tiny-seed0-svm", "shapes-fold-2-pixels-svm"]


# ---------------------------------------------------------------- the API


def test_a_bare_picture(client: Client, chain: Chain) -> None:
    path = some(chain)[0]
    for kind in ("image/png", "application/octet-stream"):
        answer = client.post(PREDICT, path.read_bytes(), content_type=kind).json()
        assert answer["pictures"][0]["probabilities"] == pytest.approx(
            post(client, path).json()["pictures"][0]["probabilities"], abs=0
        )


@pytest.mark.parametrize(
    ("ask", "status", "sentence"),
    [
        (lambda c: c.get(PREDICT), 405, "takes POST, not GET"),
        (lambda c: c.post(PREDICT, {}), 400, "No picture was sent"),
        (
            lambda c: c.post(PREDICT, b"{}", content_type="application/json"),
            415,
            "application/json",
        ),
        (lambda c: c.post(PREDICT, b"text", content_type="image/png"), 422, "not an image: text"),
        (
            lambda c: c.post(PREDICT, b"x", content_type="multipart/form-data"),
            400,
            "cannot be read",
        ),
        (lambda c: c.get("/api/v1/other"), 404, "no such page"),
        (lambda c: c.get("/healthz", SERVER_NAME="evil.example"), 400, "does not go by that name"),
        (lambda c: c.post("/api/v1/model"), 405, "takes GET and HEAD"),
    ],
)
def test_refusals_are_sentences(
    client: Client, ask: Callable[[Client], Any], status: int, sentence: str
) -> None:
    answer = ask(client)
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/json"
    assert sentence in answer.json()["error"]


def test_limits_of_a_request(told: Callable[..., Client], chain: Chain) -> None:
    many = some(chain, 4)
    assert "4 pictures are too many" in post(told(pictures=3), *many).json()["error"]
    large = post(told(request_bytes=1000), *many)
    assert large.status_code == 413 and "are allowed" in large.json()["error"]
    client = told(picture_bytes=many[0].stat().st_size)
    (chain.root / "large.png").write_bytes(many[0].read_bytes() + b"\0")
    found = post(client, many[0], "large.png").json()["pictures"]
    assert [one["status"] for one in found] == ["ok", "unusable"]
    assert found[1]["error"].startswith("too large: ")
    bare = client.post(PREDICT, Path("large.png").read_bytes(), content_type="image/png")
    assert bare.status_code == 422


def test_a_token(told: Callable[..., Client], chain: Chain) -> None:
    client = told(token="s" * 20)
    answer = post(client, some(chain)[0])
    assert answer.status_code == 401 and answer["WWW-Authenticate"] == "Bearer"
    with_it = client.post(
        PREDICT,
        {"pictures": files(some(chain)[0])},
        headers={"Authorization": "Bearer " + "s" * 20},
    )
    assert with_it.status_code == 200
    assert client.get("/").status_code == 200  # the page is for persons


def test_a_rate(service: Service, client: Client, chain: Chain, monkeypatch: Any) -> None:
    monkeypatch.setattr(service, "rate", Rate(4))
    assert post(client, *some(chain, 3)).status_code == 200
    again = post(client, *some(chain, 3))
    assert again.status_code == 429 and int(again["Retry-After"]) > 0
    rate = Rate(60)
    assert rate.wait("a", 60, 0.0) == 0
    assert rate.wait("a", 30, 0.0) == pytest.approx(30)
    assert rate.wait("b", 60, 0.0) == 0  # each address has its own
    assert rate.wait("a", 30, 31.0) == 0
    for number in range(Rate.MOST + 5):
        rate.wait(str(number), 1, 40.0)
    assert len(rate.left) == Rate.MOST


def test_health_and_metrics(
    service: Service, client: Client, chain: Chain, monkeypatch: Any
) -> None:
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/readyz").status_code == 200
    post(client, some(chain)[0])
    text = client.get("/metrics").content.decode()
    assert re.search(r'darkroom_pictures_total\{model="shapes",status="ok"\} [1-9]', text)
    monkeypatch.setattr(service, "models", {})
    service.loaded.clear()
    loading = client.get("/readyz")
    assert loading.status_code == 503 and "being opened" in loading.json()["error"]
    assert post(client, some(chain)[0]).status_code == 503
    service.loaded.set()


def test_the_form_of_an_only_model_is_there_before_the_model(
    service: Service, client: Client, chain: Chain, monkeypatch: Any
) -> None:
    names, models = service.names, service.models
    monkeypatch.setattr(service, "names", [])
    monkeypatch.setattr(service, "models", {})
    monkeypatch.setattr(service, "places", ["results/shapes"])
    service.loaded.clear()
    try:
        assert 'id="form"' in client.get("/").content.decode()
        assert client.get("/?model=shapes").status_code == 503
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(post, client, some(chain)[0], to="/")
            time.sleep(0.3)
            assert not waiting.done()
            service.names, service.models = names, models
            service.loaded.set()
            answer = waiting.result(timeout=20)
        assert answer.status_code == 200 and "About shapes" in answer.content.decode()
    finally:
        service.loaded.set()


def test_until_the_models_are_found_pages_and_programs_are_told_so(
    service: Service, client: Client, chain: Chain, monkeypatch: Any
) -> None:
    monkeypatch.setattr(service, "names", [])
    monkeypatch.setattr(service, "models", {})
    service.loaded.clear()
    try:
        assert client.get("/healthz").status_code == 200
        for path in (
            "/readyz",
            "/api/v1/model",
            "/api/v1/model?model=shapes",
            "/",
            "/model/shapes",
        ):
            answer = client.get(path)
            assert answer.status_code == 503 and answer.headers["Retry-After"] == "2"
            assert "being opened" in answer.content.decode()
            assert ("Refresh" in answer.headers) is not path.startswith(("/readyz", "/api/"))
        assert post(client, some(chain)[0]).status_code == 503
        assert post(client, some(chain)[0], to="/").headers.get("Refresh") is None
    finally:
        service.loaded.set()


# ---------------------------------------------------------------- shields


def test_headers(client: Client) -> None:
    for path in ("/", "/healthz", "/nowhere"):
        headers = client.get(path).headers
        assert headers["Content-Security-Policy"] == POLICY
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
    assert "unsafe" not in POLICY and "frame-ancestors 'none'" in POLICY
    page = client.get("/").content.decode()
    assert not re.search(r'(src|href)="(https?:)?//', page)
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        static = client.get(address)
        assert static.status_code == 200 and "immutable" in static["Cache-Control"]
    assert client.get("/static/000000000000/style.css").status_code == 404


def test_a_form_from_elsewhere_is_refused(service: Service, chain: Chain) -> None:
    client = Client(enforce_csrf_checks=True, SERVER_NAME="127.0.0.1")
    refused = post(client, some(chain)[0], to="/")
    assert refused.status_code == 403 and "did not come from this page" in refused.content.decode()
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', client.get("/").content.decode())
    assert token is not None
    assert post(client, some(chain)[0], to="/", csrfmiddlewaretoken=token[1]).status_code == 200


def test_django_has_nothing_to_object_for_deployment(told: Callable[..., Client]) -> None:
    told(https=True)
    call_command("check", deploy=True, fail_level="WARNING", stdout=io.StringIO())


def test_https(told: Callable[..., Client]) -> None:
    client = told(https=True)
    page = client.get("/", secure=True)
    assert page["Strict-Transport-Security"].startswith("max-age=31536000")
    assert page.cookies["csrftoken"]["secure"] and page.cookies["csrftoken"]["httponly"]
    assert client.get("/").status_code == 301
    assert client.get("/healthz").status_code == 200  # asked from inside


def test_the_secret_key_is_private_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "state/key"
    key = site.secret_key(path)
    assert len(key) >= 50 and site.secret_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_log_has_no_names(client: Client, chain: Chain) -> None:
    stream = io.StringIO()
    logger = logging.getLogger("darkroom.serve.requests")
    before = (logger.handlers, logger.propagate)
    site.log_to(stream)
    try:
        post(client, some(chain)[0])
    finally:
        logger.handlers, logger.propagate = before
    line = json.loads(stream.getvalue())
    assert (line["status"], line["pictures"], line["model"]) == (200, 1, "shapes")
    assert some(chain)[0].name not in stream.getvalue()


def test_options_of_the_command(tmp_path: Path) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())

    def options(*words: str) -> Any:
        return command.options_of(parser.parse_args(["serve", "results", *words]))

    assert options().host == "127.0.0.1" and options().workers >= 1
    (tmp_path / "token").write_text("t" * 20 + "\n")
    given = options("--token-file", str(tmp_path / "token"), "--host", "::", "--allow", "a.org")
    assert given.may_ask("Bearer " + "t" * 20) and not given.may_ask("Bearer x")
    assert given.allowed == ("a.org",)
    (tmp_path / "short").write_text("t")
    for words, sentence in {
        ("--host", "0.0.0.0"): "--allow",
        ("--unsure-below", "2"): "between 0 and 1",
        ("--port", "99999"): "between 0 and 65535",
        ("--rate", "0"): "at least 1",
        ("--token-file", str(tmp_path / "none")): "No such file",
        ("--token-file", str(tmp_path / "short")): "16 characters",
    }.items():
        with pytest.raises(UserError, match=sentence):
            options(*words)


def test_a_model_that_cannot_be_opened_is_said(chain: Chain, monkeypatch: Any) -> None:
    def broken(*_: object) -> Served:
        raise UserError("model.keras is damaged")

    monkeypatch.setattr(Served, "open", broken)
    service = Service([MODEL], command.DEFAULT)
    with contextlib.closing(service):
        service.find()
        service.load()
        assert not service.ready and service.failure == "model.keras is damaged"


def test_an_export_of_the_first_release_is_served_as_it_was() -> None:
    """`tests/support/export_0_1` is a stored one, without the files that only its own code reads."""
    served = Served.load(str(EXPORT))
    assert served.model.fitted is None and served.notice == ""
    expected = json.loads((EXPORT / "pictures/expected.json").read_text())
    for name, said in expected.items():
        pixels = np.zeros((1, 8, 8, 1), np.uint8)
        data = (EXPORT / "pictures" / name).read_bytes()
        found = unseen.examine_bytes(
            data, name, pixels[0], view=served.model.view, policy=served.model.policy
        )
        (one,) = served.predict([name], pixels, [found])
        assert one.predicted == said["predicted"]
        assert dict(zip(served.model.classes, one.probabilities.tolist(), strict=True)) == (
            pytest.approx(said["probabilities"], abs=1e-5)
        )


def test_an_export_is_served_by_the_packages_of_the_container() -> None:
    """Of `envs/serve.lock`, which the others are not in, less what the container leaves out."""
    others = {"tensorflow", "keras", "sklearn", "scipy", "pandas", "pyarrow", "h5py", "skops"}
    others |= {"onnx", "snakemake", "matplotlib", "yaml", "tqdm", "psutil", "pydantic", "jinja2"}
    lock = (ROOT / "envs/serve.lock").read_text()
    assert not [name for name in others if f"\n{name}==" in lock]
    parts = ("backend", "datasets", "quantization", "tools", "transformers")
    others |= {"django.contrib", *(f"onnxruntime.{part}" for part in parts)}
    script = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name in {others!r}: raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from darkroom.serve import server, site\n"
        "from darkroom.serve.models import Served, card\n"
        "from darkroom.serve.options import Options\n"
        "from darkroom.serve.service import Service\n"
        f"print(card(Served.load({str(EXPORT)!r}))['classes'])\n"
        "assert 'libonnxruntime.so' not in open('/proc/self/maps').read()\n"
        "service = Service([], Options(workers=1))\n"
        "site.application(service, 50 * 'k')\n"
        "import darkroom.serve.urls\n"
        "service.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "['cross', 'disc']\n", done.stderr


@pytest.mark.parametrize(
    "path",
    ["/api/v1/model", "/api/v1/openapi.json", "/healthz", "/readyz", "/metrics", "/api/v1/predict"],
)
def test_a_method_that_an_address_does_not_take_is_405_to_a_program(
    service: Service, path: str
) -> None:
    strict = Client(SERVER_NAME="127.0.0.1", enforce_csrf_checks=True)
    assert strict.generic("QUERY", path).status_code == 405
