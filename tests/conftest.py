import os
from typing import Any

# Before any test imports a framework: which backend Keras has, no notes of TensorFlow's about this machine, and one
# thread a process, since the models are tiny and there is a process for each core.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say in one line what became of the real files."""
    passed = [dict(report.user_properties) for report in terminalreporter.stats.get("passed", [])]
    outcomes = [properties["real file"] for properties in passed if "real file" in properties]
    if outcomes:
        counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in sorted(set(outcomes)))
        terminalreporter.write_line(f"real files: {len(outcomes)}, of which {counts}")
