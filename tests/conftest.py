import os
from typing import Any

# Before any test imports a framework: which backend Keras has, no notes of TensorFlow's about this machine, and one
# thread a process, since the models are tiny and there is a process for each core.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say in a line each what became of the real files, and on what the full disks were."""
    passed = [dict(report.user_properties) for report in terminalreporter.stats.get("passed", [])]
    for told in ("real file", "full disk"):
        outcomes = [properties[told] for properties in passed if told in properties]
        if outcomes:
            counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in sorted(set(outcomes)))
            terminalreporter.write_line(f"{told}s: {len(outcomes)}, of which {counts}")
