"""Use cases: plain functions; session, now and collaborators come in as arguments."""
