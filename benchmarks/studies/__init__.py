"""Studies of settings by Optuna, which runs in an environment of its own."""
