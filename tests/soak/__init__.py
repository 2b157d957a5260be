"""The soak: everything that may change a collection, at random and at once, against a model of what should be visible.

model.py     what a collection is, and how each command changes it: dictionaries and sets
library.py   documents with words of their own, and the folders that hold them
world.py     the real thing: commands in child processes, a running server, what lies on disk and in the database
clients.py   threads that ask the server all the while, and keep what it said
judge.py     a response, and the states that it may show -> nothing, or what is wrong
chance.py    which commands come next, alone, two at once, or killed
run.py       the whole on one screen
"""
