"""What an artifact of answers to every user holds, and says of itself."""

ANSWERS_FILE = "answers.parquet"
"""A row for each user: `id`, `movie_id` and `score`, best first, and `title` where it is asked for."""

VERSION = "answered_by"
"""Custom property of the artifact: the published version that answered; 0 where none is published."""

MODEL_DIGEST = "model_digest"
"""Custom property of the artifact: the digest of that version's files, as in its publication."""

USERS = "users"
"""Custom property of the artifact: how many users' answers it holds."""

FORGOTTEN = "users_forgotten"
"""Custom property of the artifact: how many users were taken out of it; missing where none was."""
