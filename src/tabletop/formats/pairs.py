"""Image-text pairs: folders of images and captions with equal file stems, and instance masks.

train/images/000000.png     train/captions/000000.txt      one caption per line
heldout/images/000500.png   heldout/captions/000500.txt    combinations of objects that never occur in train
masks/000000.png            instance numbers in uint8; 0 is the table
"""

from __future__ import annotations

from typing import Any

from PIL import Image

from harness.torch.pictures import Line, captioned

from .format import Format, Sample


class Pairs(Format):
    def write(self, sample: Sample) -> tuple[dict[str, str], None]:
        files = {"image": f"{sample.part}/images/{sample.stem}.png", "mask": f"masks/{sample.stem}.png"}
        photograph = sample.scene.photograph
        Image.fromarray(photograph.image).save(self.file(files["image"]), compress_level=4)
        Image.fromarray(photograph.mask).save(self.file(files["mask"]))
        self.file(f"{sample.part}/captions/{sample.stem}.txt").write_text("\n".join(sample.captions()) + "\n")
        return files, None

    def picture(self, image: Image.Image, record: dict[str, Any], note: None) -> Image.Image:
        return captioned(image, [Line(f"- {text}") for text in record["captions"]])
