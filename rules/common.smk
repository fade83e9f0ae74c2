# The validated settings and the functions that all rules share.
import io
import sys
import tarfile
from pathlib import Path

# The package is beside this folder. From a workflow on GitHub, Snakemake fetches single files, but
# Python imports a whole folder: the repository is unpacked beside them.
here = workflow.current_basedir
if here.is_local:
    place = Path(here).parent
else:
    place = Path(workflow.source_path("../darkroom/__init__.py")).parents[1].resolve()
    if not (place / "darkroom/workflow").exists():
        archive = here.hosted_repo.repo.git.archive(here.ref, stdout_as_string=False)
        tarfile.open(fileobj=io.BytesIO(archive)).extractall(place, filter="data")
sys.path.insert(0, str(place))

from darkroom.workflow.calls import one_of
from darkroom.workflow.code import code
from darkroom.workflow.inputs import Inputs
from darkroom.workflow.params import Params
from darkroom.workflow.resources import JobResources, small
from darkroom.workflow.stages import STAGES
from darkroom.workflow.start import start
from darkroom.workflow.threads import Threads

run = start(workflow, config)
config, settings = run.config, run.settings
inputs, params = Inputs(settings, run.folder), Params(settings, run.folder)
resources = JobResources(
    settings,
    run.gpus,
    run.engine.gpus_of_profile("train_model"),
    run.folder,
    run.engine.limits_jobs,
)
threads = Threads(settings, run.engine.cores if run.engine.local else None)

# Unpacked sources are no rule's output: without a shared disk they must be on the machine of the jobs.
SHARED_DISK = run.engine.shared_disk
# Tables and reports of few images run locally: a cluster would take longer to start their jobs.
SMALL = SHARED_DISK and small(settings, run.folder)


onstart:  # not in dry runs
    run.begin()


onsuccess:
    run.answer()


container: settings.container


WHOLE = one_of([name for name in settings.datasets if name not in settings.sharded])
SHARDED = one_of(settings.sharded)


wildcard_constraints:
    dataset=one_of(settings.datasets),
    fold=r"holdout|fold-[0-9]+",
    model=one_of(settings.models),
    seed="[0-9]+",
    view="[^/]+",
    shard="[1-9][0-9]*",
    features="[^/]+",
    classifier=one_of(settings.classifiers),
