"""The long-range benchmark: each encoder of the zoo, in equal size, trained from nothing on each task.

`scales` says how long and how much, `tasks` what is asked, `encoders` how large, `cell` trains one encoder on one task,
`beside` the cheap methods, `board` fills a folder with all of them.
"""
