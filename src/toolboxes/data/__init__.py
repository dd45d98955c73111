"""Data sets for detection and segmentation, understood once: what is in a folder, and what is wrong with it.

Needs the standard library, numpy and Pillow; `globox` where a form is read through it. No module here imports torch or a toolbox.

check      a folder -> Report: facts and findings
admit      the same for a run: its report is printed, and an error in it ends the run before anything starts
page       a picture of samples with their boxes, masks and class names
"""

from .dataset import Category, Dataset, Picture, Split, Thing
from .drawing import page, pictures, save
from .findings import KINDS, Finding
from .forms import FORMS
from .report import Report, admit, check

__all__ = [
    "FORMS",
    "KINDS",
    "Category",
    "Dataset",
    "Finding",
    "Picture",
    "Report",
    "Split",
    "Thing",
    "admit",
    "check",
    "page",
    "pictures",
    "save",
]
