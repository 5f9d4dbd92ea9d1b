"""A standard suite: fixed examples for every agent, results to resume, a leaderboard of them."""
