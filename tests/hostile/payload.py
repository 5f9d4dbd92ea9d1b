"""What a hostile configuration names: it must never be imported."""

open("HOSTILE_RAN", "w").close()


def score(episodes):
    """Scores nothing."""
    return [0.0 for _ in episodes]
