"""Colored objects on a table, settled by a physics simulation and rendered with exact labels and language.

The small dataset of the other workloads, with the objects' poses: image-text pairs, boxes and masks as in COCO, a class per pixel as in
VOC, or clues and inferences as in Sherlock.
"""
