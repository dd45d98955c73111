"""The embedded server: one process on the loopback interface that implements the part of ClearML's API used by its SDK, `clearml-task`
and the agent.

It serves a single machine, and was built from the SDK's schemas and traffic. A team should use a ClearML server. Start it with
`registry up`, or directly with `python -m local_server --data FOLDER --port PORT`.
"""
