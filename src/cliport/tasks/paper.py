"""The scores that CLIPort's paper reports (arXiv 2109.12098), to print beside ours.

Mean rewards in percent over 100 scenes, of agents that learned one task from 1000 demonstrations. Language-conditioned tasks: Table 1,
"CLIPort (single)", test scenes. Demo-conditioned ones: Table 6, "CLIPort" without language, validation scenes. Read from two Markdown
copies of the paper, which agree with each other but are not the PDF: a digit may be wrong. A later measurement by its author gives 47.2 for
put-block-in-bowl-unseen-colors (issue 23 of cliport/cliport).
"""

from __future__ import annotations

TABLE_1 = {
    "align-rope": 95.4,
    "packing-shapes": 37.0,
    "assembling-kits-seq-seen-colors": 66.6,
    "assembling-kits-seq-unseen-colors": 34.8,
    "packing-boxes-pairs-seen-colors": 98.2,
    "packing-boxes-pairs-unseen-colors": 71.5,
    "put-block-in-bowl-seen-colors": 100.0,
    "put-block-in-bowl-unseen-colors": 25.0,
    "stack-block-pyramid-seq-seen-colors": 98.8,
    "stack-block-pyramid-seq-unseen-colors": 41.3,
    "separating-piles-seen-colors": 98.0,
    "separating-piles-unseen-colors": 75.2,
    "towers-of-hanoi-seq-seen-colors": 100.0,
    "towers-of-hanoi-seq-unseen-colors": 99.4,
    "packing-seen-google-objects-seq": 96.2,
    "packing-unseen-google-objects-seq": 71.9,
    "packing-seen-google-objects-group": 94.0,
    "packing-unseen-google-objects-group": 81.5,
}
TABLE_6 = {
    "align-box-corner": 99.0,
    "assembling-kits": 97.8,
    "block-insertion": 100.0,
    "manipulating-rope": 100.0,
    "packing-boxes": 100.0,
    "palletizing-boxes": 99.4,
    "place-red-in-green": 100.0,
    "stack-block-pyramid": 97.8,
    "sweeping-piles": 100.0,
    "towers-of-hanoi": 100.0,
}


def published(task: str) -> float | None:
    """The paper's score of a task in percent; None where it has none."""
    return (TABLE_1 | TABLE_6).get(task)
