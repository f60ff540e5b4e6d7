"""Three rows, at once and without an import."""


class Handler:
    def consume(self, event):
        yield {"n": [1, 2, 3]}
