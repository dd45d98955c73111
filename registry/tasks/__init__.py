"""Tasks that the server has: finding, watching and comparing them."""
