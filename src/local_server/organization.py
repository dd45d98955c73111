"""What concerns the whole server: all tags, its version, its one user."""

from __future__ import annotations

import sqlite3

from .auth import API_VERSION, SERVER_VERSION
from .documents import COMPANY, USER, Json
from .endpoints import endpoint


@endpoint("organization.get_tags")
def get_tags(db: sqlite3.Connection, include_system: bool = False) -> Json:
    answers = {}
    for field in ("tags", "system_tags") if include_system else ("tags",):
        sql = " UNION ".join(
            f"SELECT item.value FROM {table}, json_each({table}.doc, '$.{field}') item" for table in ("task", "model", "project")
        )
        answers[field] = sorted(tag for (tag,) in db.execute(sql))
    return answers


@endpoint("server.info")
@endpoint("debug.ping")
def info(db: sqlite3.Connection) -> Json:
    return {"version": SERVER_VERSION, "api_version": API_VERSION, "build": "embedded", "commit": ""}


@endpoint("users.get_current_user")
def get_current_user(db: sqlite3.Connection) -> Json:
    return {"user": {**USER, "company": COMPANY}}


@endpoint("users.get_all")
@endpoint("users.get_all_ex")
def get_all(db: sqlite3.Connection) -> Json:
    return {"users": [{**USER, "company": COMPANY["id"]}]}
