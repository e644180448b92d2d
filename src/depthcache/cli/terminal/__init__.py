"""The terminal app of `depthcache watch` and `depthcache demo`.

`session` holds what the user looks at: which book, its grouping and depth, frozen or not. `drawing` turns it
into lines of a given width and height; `keys` lists what each key does. All of that is pure Python and needs
no terminal. Only `app` imports Textual: it passes keys to the session and draws the lines that changed. The
app reads books a few times a second; nothing in it runs per frame of the exchange.
"""
