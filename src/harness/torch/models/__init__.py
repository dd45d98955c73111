"""Models by name: small CLIP models for a CPU, a file in open_clip's form for each, and the names that open_clip itself has.

`open_clip.txt` lists those of the version that the images hold, so that a name can be checked where there is neither open_clip nor PyTorch.
"""

from pathlib import Path

from harness.settings import nearest

FOLDER = Path(__file__).parent


def plain(name: str) -> str:
    """open_clip's spelling of the paper's names: ViT-L/14-336px and ViT-L/14@336px are its ViT-L-14-336."""
    return name.replace("/", "-").replace("@", "-").removesuffix("px")


def names() -> list[str]:
    return [*(FOLDER / "open_clip.txt").read_text().split(), *sorted(path.stem for path in FOLDER.glob("*.json"))]


def problem_of_model(name: str | None) -> str | None:
    """What is wrong with the name of a model, for settings; a file of one's own and no name at all are checked where they are used."""
    if not name or name.endswith(".json") or plain(name) in (known := names()):
        return None
    return f"open_clip has no such model{nearest(plain(name), known)}, nor has this project"
