"""Coloured objects on a table, settled by physics and rendered with exact labels and language.

Everyone's small real data: image-text pairs for contrastive training, with instance masks and poses beside them.
"""
