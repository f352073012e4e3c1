"""The shapes that public data sets have, and how each is read as a prompt and responses.

`names` lists the columns that are known, `find` decides which of them a file's rows use, `transcripts` reads dialogues
that are one text, `implied` finds the prompt that both texts of a pair begin with, `lists` reads rows with several
responses, and `suggestions` says what to do about rows that have no shape that is known.
"""
