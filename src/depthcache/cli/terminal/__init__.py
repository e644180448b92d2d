"""The terminal app of `depthcache watch` and `depthcache demo`.

`session` is what somebody looks at: which book, how grouped, how deep, frozen or not. `drawing` turns it into
lines of a given width and height; `keys` names what each key does. All of that is pure Python and needs no
terminal. `app` alone imports Textual: it feeds keys to the session and draws the lines that changed. The app
only reads books, a few times a second; nothing in it runs once a frame of the exchange.
"""
