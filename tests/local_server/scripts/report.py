"""A run that reports everything the SDK knows, then reads it back through the SDK. Writes what it saw to the file it is given."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objects as go
from clearml import InputModel, OutputModel, Task

folder = Path(sys.argv[1])
matplotlib_figure, axes = plt.subplots()
axes.plot([1, 2, 3])

task = Task.init("sdk", "a run", output_uri=True, tags=["first"], auto_connect_frameworks=False, auto_resource_monitoring=False)
task.connect({"lr": 0.1, "optim.name": "adam", "nested": {"deep": 1}}, name="Settings")
task.connect_configuration({"layers": [1, 2]}, name="Model")
task.set_user_properties(dataset_id="abc")
task.set_comment("a comment")
logger = task.get_logger()
for step in range(50):
    logger.report_scalar("loss", "train", 1 / (step + 1), step)
    logger.report_scalar("loss", "val", 2 / (step + 1), step)
for step in range(1100):  # the SDK reads a thousand at a time
    logger.report_scalar("long", "curve", step, step)
logger.report_single_value("score", 0.875)
logger.report_text("a line of text with ünïcode")
logger.report_image("samples", "noise", 1, image=np.zeros((8, 8, 3), np.uint8))
logger.report_matplotlib_figure("curves", "matplotlib", matplotlib_figure, iteration=1)
logger.report_plotly("curves", "plotly", go.Figure(go.Scatter(y=[1, 2, 3])), iteration=1)
logger.report_histogram("weights", "layer", [1.0, 2.0, 3.0], iteration=1)
logger.report_table("table", "rows", 1, table_plot=[["a", "b"], [1, 2]])
task.upload_artifact("numbers", {"answer": 42}, wait_on_upload=True)
(folder / "file.bin").write_bytes(b"\0\1" * 1000)
task.upload_artifact("file", folder / "file.bin", wait_on_upload=True)
weights = folder / "weights.bin"
weights.write_bytes(b"weights")
model = OutputModel(task, name="the weights", framework="PyTorch", tags=["best"])
model.update_weights(str(weights), auto_delete_file=False, iteration=49)
model.set_metadata("accuracy", "0.9", "float")
task.close()
weights.unlink()

seen = Task.get_task(task_id=task.id)
found = {
    "task": task.id,
    "project": seen.project,
    "status": seen.status,
    "tags": seen.get_tags(),
    "comment": seen.comment,
    "parameters": seen.get_parameters(),
    "configuration": seen.get_configuration_object_as_dict("Model"),
    "properties": seen.get_user_properties(value_only=True),
    "scalars": seen.get_reported_scalars(),
    "all_scalars": seen.get_all_reported_scalars(),
    "last": seen.get_last_scalar_metrics(),
    "iteration": seen.get_last_iteration(),
    "single": seen.get_reported_single_values(),
    "plots": sorted(f"{plot['metric']}/{plot['variant']}" for plot in seen.get_reported_plots()),
    "console": "".join(seen.get_reported_console_output(100)),
    "artifact": seen.artifacts["numbers"].get(),
    "file": Path(seen.artifacts["file"].get_local_copy()).read_bytes().hex(),
    "weights": Path(InputModel(model.id).get_local_copy()).read_bytes().decode(),
    "model": {"name": model.name, "tags": model.tags, "metadata": model.get_all_metadata()},
    "images": seen.get_debug_samples("samples", "noise"),
    "link": seen.get_output_log_web_page(),
}
(folder / "found.json").write_text(json.dumps(found, default=str))
