"""One request on its way: its route, who sends it, the batch, the answer."""
