"""Demonstrations on disk: written as a whole, read in random order, at about a hundredth of the size of the camera images.

Import from the modules: `episode.Episode` and `Step`, `store.Store`, `reader.Demonstrations` and `open_demonstrations`,
`pickles` for the layout of CLIPort's own code, `convert` from it. Nothing here needs PyTorch.
"""
