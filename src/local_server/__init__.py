"""The embedded server: one process on loopback that speaks the part of ClearML's API which its SDK, `clearml-task` and agent use.

It is for one machine, made from the SDK's schemas and traffic. A team uses a ClearML server. Start it with `registry up`, or by
hand with `python -m local_server --data FOLDER --port PORT`.
"""
