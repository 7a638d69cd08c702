"""The peer: the design that everybody copies, as a competent engineer's tutorial writes it.

A web application, one Celery task per message, reminders by countdown, and no table.
"""
