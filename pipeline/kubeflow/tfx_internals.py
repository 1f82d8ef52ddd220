"""The interfaces of TFX that are not public and that a container needs all the same, in this one place.

TFX offers no public way to run one node outside its own images' entrypoint.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor
from tfx.orchestration.kubeflow.v2.file_based_example_gen import driver


def run_file_based_driver(invocation: str, inputs_spec: str) -> None:
    """Run ExampleGen's driver, which writes span and fingerprint to the invocation's output file.

    Parameters
    ----------
    invocation
        `ExecutorInput` as JSON.
    inputs_spec
        `ComponentInputsSpec` as JSON, for the parameters' types.
    """
    driver.main(
        argparse.Namespace(json_serialized_invocation_args=invocation, json_serialized_inputs_spec_args=inputs_spec)
    )


def run_executor(executor_class_path: str, invocation: str, inputs_spec: str, beam_args: Sequence[str]) -> None:
    """Run a node's executor; its output goes to the invocation's output file.

    Parameters
    ----------
    executor_class_path
        Dotted path of the executor's class.
    invocation, inputs_spec
        As for the driver.
    beam_args
        Options for Beam.
    """
    arguments = argparse.Namespace(
        executor_class_path=executor_class_path,
        json_serialized_invocation_args=invocation,
        json_serialized_inputs_spec_args=inputs_spec,
    )
    kubeflow_v2_run_executor.main((arguments, list(beam_args)))
