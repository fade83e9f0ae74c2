# The checked settings, and the functions that the rules share. No rules here.
import sys
from pathlib import Path

# The package stands beside this file, whichever workflow uses it.
if (place := str(Path(workflow.current_basedir).parent)) not in sys.path:
    sys.path.insert(0, place)

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
resources = JobResources(settings, run.gpus, run.engine.gpus_of_profile("train_model"), run.folder)
threads = Threads(settings, run.engine.cores if run.engine.local else None)

# What a source is unpacked to is no rule's output, so without a shared disk it stays where it is read.
SHARED_DISK = run.engine.shared_disk
# Tables and reports of so few images that a cluster would take longer to start their jobs.
SMALL = SHARED_DISK and small(settings, run.folder)


onstart:  # no dry run comes here, nor what only looks
    run.end_leftover_jobs()


if settings.container:

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
