"""What a check finds: errors, which make training or its scores wrong, and warnings, each with a count and examples.

A reader does not stop at the first fault: it notes it here and goes on, so that one pass tells everything.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning"]
EXAMPLES = 3
"""How many examples a finding keeps."""
LONGEST = 160
"""Characters of one example."""


@dataclass(frozen=True)
class Kind:
    """A kind of finding: what is counted, and what would be right."""

    severity: Severity
    what: str
    remedy: str = ""


def error(what: str, remedy: str = "") -> Kind:
    return Kind("error", what, remedy)


def warning(what: str, remedy: str = "") -> Kind:
    return Kind("warning", what, remedy)


KINDS: dict[str, Kind] = {
    # files
    "file-unreadable": error("annotation files that cannot be read"),
    "file-odd": error("annotation files without what they must have"),
    "split-without-images": error("splits without an image"),
    "split-without-annotations": error(
        "splits without a usable annotation", "training and scoring on them ends in an error, or in nothing"
    ),
    # classes
    "no-classes": error("annotation files without a class", "list the classes, in order"),
    "class-count": error("numbers of classes that are not the data's", "the background is no class of a detector"),
    "class-name-odd": error("class names that are empty, no text, or have blanks at their ends"),
    "class-names-equal": error("names that several classes have", "a toolbox finds a class by its name, and takes the first"),
    "class-names-alike": warning("class names that differ in nothing but case or blanks"),
    "class-names-unknown": warning(
        "data sets without a list of classes", "names are then in alphabetical order, or numbers; add classes.txt"
    ),
    "class-lists-differ": error(
        "classes that one split lists and another does not", "write the same list, in the same order, in all files"
    ),
    "class-ids-differ": error("classes that have another id in another split", "write the same list, in the same order, in all files"),
    "class-order-differs": error("splits that list the classes in another order", "a class's index is its place in the list"),
    "class-ids-gaps": warning("class ids that are not 1, 2, 3, ..", "the number of classes is their count, not the highest id"),
    "class-background": error(
        "objects that are annotated as background", "a detector's background is where no object is: remove class and boxes"
    ),
    "class-background-listed": warning("classes that are called background and have no object", "remove it: it would count as a class"),
    "class-unseen": warning("classes without an object in any split"),
    "class-in-one-split": warning("classes with objects in some splits only"),
    # ids
    "id-is-text": error("ids that are text", 'write them as numbers: 1, not "1"'),
    "image-id-twice": error("image ids that several images have"),
    "annotation-id-twice": error("annotation ids that several annotations have", "the readers keep the last one"),
    "class-id-twice": error("class ids that several classes have"),
    # annotations
    "annotation-odd": error("annotations that cannot be read"),
    "annotation-without-image": error("annotations of an image that is not listed"),
    "annotation-without-class": error("annotations of a class that is not listed"),
    "annotation-twice": warning("annotations that repeat another one's box and class"),
    "annotation-without-size": error("annotations whose `area` is missing", "COCO's scores need it"),
    "box-negative": error("boxes whose end is before their start", "a COCO box is [x, y, width, height]"),
    "box-without-area": warning("boxes without area", "the toolboxes leave them out"),
    "box-outside": error("boxes that lie outside of their image"),
    "box-over-edge": warning("boxes that reach over their image's edge by more than a pixel", "they are cut at the edge"),
    "boxes-are-corners": error("boxes that are corners", "a COCO box is [x, y, width, height], not [x1, y1, x2, y2]"),
    "boxes-are-relative": error("boxes in parts of the image", "a COCO box is in pixels"),
    "mask-odd": error("masks of objects that cannot be read"),
    "mask-partial": warning("objects without a mask among those with one", "they are left out where masks are trained"),
    # images
    "image-missing": error("images that are missing"),
    "image-unreadable": error("images that cannot be read"),
    "image-path": error("images whose stated path is not where they are", "state it relative to the folder of the images, with /"),
    "image-size": error("images whose size is not the annotation's"),
    "image-turned": warning("images that their EXIF data turns", "OpenCV turns them, Pillow does not; store them as they are seen"),
    "image-mode": warning("images that are neither RGB nor grey", "the toolboxes convert them, or fail"),
    "image-twice": error("images that are listed more than once"),
    "image-without-annotations": warning("images without annotations", "training leaves them out, or takes them as background"),
    "image-unlisted": warning("images in the folder that no annotation lists"),
    "image-in-two-splits": error("images of one split that are in another, too", "scores on images that were trained on say nothing"),
    # masks of classes, one per image
    "label-missing": error("images whose mask is missing"),
    "label-unreadable": error("masks that cannot be read"),
    "label-size": error("masks whose size is not their image's"),
    "label-colours": error("masks of colours", "a mask holds a class's number in each pixel: grey, or with a palette"),
    "label-value": error("values in masks that no class has"),
    "label-black-white": error("masks of 0 and 255 alone", "255 is void, which is left out: write the class's number, 1"),
    "label-without-image": warning("masks without an image"),
    "label-empty": warning("masks of one value, background or void, alone"),
}


@dataclass
class Finding:
    """One kind of finding in one split."""

    code: str
    severity: Severity
    split: str
    """Empty if it is about the whole data set."""
    count: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        kind = KINDS[self.code]
        more = ", .." if self.count > len(self.examples) else ""
        told = f" ({'; '.join(self.examples)}{more})" if self.examples else ""
        return (
            f"{self.split + ': ' if self.split else ''}{kind.what}: {self.count:,}{told}{'. ' + upper(kind.remedy) if kind.remedy else ''}"
        )


def printable(text: str) -> str:
    """A text that any terminal takes: what is no Unicode is written in signs."""
    return text.encode(errors="backslashreplace").decode()


def upper(text: str) -> str:
    return text[:1].upper() + text[1:]


class Findings:
    """The findings so far, by code and split."""

    def __init__(self, allow: Collection[str] = ()) -> None:
        """Errors whose code is in `allow` are warnings."""
        self.allow = allow
        self.found: dict[tuple[str, str], Finding] = {}

    def add(self, code: str, example: object = "", split: str = "", count: int = 1) -> None:
        """Count a finding, and keep the example if there are few."""
        severity: Severity = "warning" if code in self.allow else KINDS[code].severity
        finding = self.found.setdefault((code, split), Finding(code, severity, split))
        finding.count += count
        text = printable(str(example))
        text = text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
        if text and len(finding.examples) < EXAMPLES and text not in finding.examples:
            finding.examples.append(text)

    def has(self, code: str, split: str = "") -> bool:
        return (code, split) in self.found

    def listed(self) -> list[Finding]:
        """Errors first, each in the order of KINDS."""
        order = list(KINDS)
        return sorted(self.found.values(), key=lambda finding: (finding.severity, order.index(finding.code)))
