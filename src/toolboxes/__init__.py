"""What the detection and segmentation toolboxes share. `toolboxes.data` is free of torch, mm* and paddle."""
