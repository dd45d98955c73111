"""A dataset and a child of it, found by ID and by name. Writes what it saw to the file it is given."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from clearml import Dataset

folder = Path(sys.argv[1])
NAME = {"dataset_project": "two versions", "dataset_name": "pairs"}


def publish(files: dict[str, str], parents: list[str]) -> Dataset:
    source = folder / f"source {len(parents)}"
    source.mkdir()
    for name, text in files.items():
        (source / name).write_text(text)
    dataset = Dataset.create(**NAME, parent_datasets=parents, dataset_tags=["small"])
    dataset.add_files(source)
    dataset.upload(show_progress=False)
    dataset.finalize()
    return dataset


def contents(dataset: Dataset) -> dict[str, str]:
    return {path.name: path.read_text() for path in Path(dataset.get_local_copy()).iterdir() if not path.name.startswith(".")}


parent = publish({"a.txt": "a", "b.txt": "b"}, [])
child = publish({"b.txt": "changed", "c.txt": "c"}, [parent.id])
newest = Dataset.get(**NAME)
found = {
    "parent": parent.id,
    "child": child.id,
    "parent_contents": contents(Dataset.get(dataset_id=parent.id)),
    "child_contents": contents(Dataset.get(dataset_id=child.id)),
    "newest": newest.id,
    "by_version": Dataset.get(**NAME, dataset_version="1.0.0").id,
    "by_tag": Dataset.get(**NAME, dataset_tags=["small"]).id,
    "parents": newest.get_dependency_graph()[child.id],
    "listed": [(each["id"], each["version"], each["project"]) for each in Dataset.list_datasets(dataset_project=NAME["dataset_project"])],
    "all": [each["id"] for each in Dataset.list_datasets()],
}
Dataset.delete(dataset_id=child.id)
found["left"] = [each["id"] for each in Dataset.list_datasets(dataset_project=NAME["dataset_project"])]
(folder / "found.json").write_text(json.dumps(found))
