"""Step through a few lines of code: what each of them changed, as it really ran."""
