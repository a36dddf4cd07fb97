"""Ids to counts, exactly and in bounded memory."""
