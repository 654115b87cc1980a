"""Models that say which entry signals to take (meta-labelling), and the proof whether that helps.

A `Dataset` has a row an entry signal; a `Recipe` says how a model is made of it; `training.train` makes a `Trained`,
which predicts one row like a thousand, to the bit; `judging` asks it at the raw entries of a member, and what it says
goes through the same simulation as everything else. Nothing here imports pandas, polars or sklearn before it needs it:
the executor asks a `Trained` too.
"""
