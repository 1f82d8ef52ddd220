"""The audit as a step of the pipeline."""

import logging

from tfx import v1 as tfx
from tfx.utils import path_utils

from components.artifacts import AuditRecord
from components.audit.figures import AUDIT_FILE, PASSED
from components.audit.run_audit import asker, run_audit
from components.audit.windows import ExampleFolder
from components.gate_settings import AuditSettings
from serving.export_record import read_record
from serving.recommender import Recommender

logger = logging.getLogger("next_movie.audit")


@tfx.dsl.components.component
def Audit(  # noqa: N802
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    model: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model],
    record: tfx.dsl.components.OutputArtifact[AuditRecord],
    settings: tfx.dsl.components.Parameter[str],
    code_digest: tfx.dsl.components.Parameter[str],
) -> None:
    """Write what data, split and answers are like, and mark a model that the settings keep from being published.

    `settings` is an `AuditSettings` as JSON. `code_digest` only tells TFX's cache when this code changes.
    """
    chosen = AuditSettings.model_validate_json(settings)
    data = ExampleFolder.load(examples.uri)
    export = path_utils.serving_model_path(model.uri)
    recommender = Recommender.load(export)
    reads_histories = read_record(export).reads == "history"
    result = run_audit(data, asker(recommender, data.catalogue), chosen, reads_histories=reads_histories)
    record.set_int_custom_property(PASSED, int(not result.stops))
    with tfx.dsl.io.fileio.open(f"{record.uri}/{AUDIT_FILE}", "w") as file:
        file.write(result.model_dump_json(indent=2))
    for finding in result.findings if chosen.mode != "note" else []:
        logger.warning("audit: %s", finding.sentence)
