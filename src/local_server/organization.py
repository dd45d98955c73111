"""The server as a whole: all tags, its version, its only user."""

from __future__ import annotations

import sqlite3

from .auth import API_VERSION, SERVER_VERSION
from .documents import COMPANY, USER, Json


def get_tags(db: sqlite3.Connection, include_system: bool = False) -> Json:
    answers = {}
    for field in ("tags", "system_tags") if include_system else ("tags",):
        sql = " UNION ".join(
            f"SELECT item.value FROM {table}, json_each({table}.doc, '$.{field}') item" for table in ("task", "model", "project")
        )
        answers[field] = sorted(tag for (tag,) in db.execute(sql))
    return answers


def info(db: sqlite3.Connection) -> Json:
    return {"version": SERVER_VERSION, "api_version": API_VERSION, "build": "embedded", "commit": ""}


def get_current_user(db: sqlite3.Connection) -> Json:
    return {"user": {**USER, "company": COMPANY}}


def get_all(db: sqlite3.Connection) -> Json:
    return {"users": [{**USER, "company": COMPANY["id"]}]}
