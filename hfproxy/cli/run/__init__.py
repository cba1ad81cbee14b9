"""Commands that give a program a credential: `exec`, `env`, `mint`, `learn`, `git-credential`."""
