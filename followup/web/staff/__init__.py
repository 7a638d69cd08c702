"""Staff's pages, for a browser that is signed in. Everything works without a script, but showing
by itself what is new."""
