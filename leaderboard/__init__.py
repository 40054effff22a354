"""The leaderboard: records → boards → statistics → charts → pages → site. No torch, no training.

A board (`boards.py`) holds the trials of a task by method and sparsity. `overview.py` is what the
main page shows of several boards; `summary_table.py`, `chart_rows.py`, `method_comparison.py` and
`data_frames.py` are other views of boards. `bundles/` are files of records to send;
`reproduction/` compares published results with their reproductions.
"""
