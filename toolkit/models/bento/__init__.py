"""A model as a bento: a folder that BentoML serves elsewhere, with the same application that `toolkit model run` has.

`packing` makes it: the model's bundle, the toolkit's own sources, and what `bentoml build` writes around them.
`service` and `proof` run inside it, in BentoML's environment, and nowhere else.
"""
