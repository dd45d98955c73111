"""Coloured objects on a table, settled by physics and rendered with exact labels and language.

Everyone's small real data, with poses beside it: image-text pairs, boxes and masks as in COCO, classes by pixel as in VOC, clues and
inferences as in Sherlock.
"""
