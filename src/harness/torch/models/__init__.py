"""Names of models: small CLIP models for a CPU, each a JSON file in open_clip's format, and open_clip's own models.

`open_clip.txt` lists the models of the open_clip version in the images, so that a name can be checked without open_clip or PyTorch.
"""

from pathlib import Path

from harness.settings import nearest

FOLDER = Path(__file__).parent
SMALL = sorted(path.stem for path in FOLDER.glob("*.json"))
"""Names of the small models."""


def plain(name: str) -> str:
    """The paper's names in open_clip's spelling: ViT-L/14-336px and ViT-L/14@336px become ViT-L-14-336."""
    return name.replace("/", "-").replace("@", "-").removesuffix("px")


def names() -> list[str]:
    return [*(FOLDER / "open_clip.txt").read_text().split(), *SMALL]


def problem_of_model(name: str | None) -> str | None:
    """What is wrong with the name of a model, for checking settings. A JSON file or an empty name is checked where it is used."""
    if not name or name.endswith(".json") or plain(name) in (known := names()):
        return None
    return f"neither open_clip nor this project has this model{nearest(plain(name), known)}"
