"""Whatever people have their rows in, opened as one source of rows.

`opening` opens a path, a data set's name or data in memory. `file_kinds` and `compression` say what a file holds,
`json_array`, `separated` and `folders` read what is neither JSON Lines nor an Arrow table, `hub` and `frames` what is
no file. `renamed_source`, `limited_source`, `split_source` and `plain_rows` stand between a source and its reader;
`layout_search` finds the first row that shows how the others are read.
"""
