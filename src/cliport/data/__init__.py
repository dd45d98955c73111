"""Demonstrations on disk: written whole, read at random, about a hundredth of what camera views take.

Import from the modules: `episode.Episode` and `Step`, `store.Store`, `reader.Demonstrations` and `open_demonstrations`,
`pickles` for the layout of CLIPort's own code, `convert` from it. Nothing here needs PyTorch.
"""
