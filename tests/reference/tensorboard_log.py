"""Reads a run's event files with TensorBoard itself and compares them with its log.jsonl.

    python tests/reference/tensorboard_log.py RUN      (pip install tensorboard)

RUN is the folder of `fathom train --out RUN`. Every finite number of the log must be there, at its
step, rounded to the float32 that TensorBoard stores, and nothing else.
"""

import json
import math
import sys

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def main(run):
    wanted = {}
    with open(f"{run}/log.jsonl") as log:
        for line in map(json.loads, log):
            for name, value in line.items():
                if name not in ("step", "time_s") and value is not None and math.isfinite(value):
                    wanted[name, line["step"]] = np.float32(value)
    events = EventAccumulator(f"{run}/tensorboard", size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    found = {}
    for tag in events.Tags()["scalars"]:
        for event in events.Scalars(tag):
            assert (tag, event.step) not in found, f"{tag} at {event.step} stands twice"
            found[tag, event.step] = np.float32(event.value)
    missing, extra = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    differing = [key for key in wanted.keys() & found.keys() if wanted[key] != found[key]]
    print(f"{len(wanted)} numbers in the log, {len(found)} in TensorBoard: "
          f"{len(missing)} missing, {len(extra)} extra, {len(differing)} differ")
    return int(bool(missing or extra or differing or not wanted))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
