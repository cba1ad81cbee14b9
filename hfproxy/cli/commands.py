"""The commands of `hf-proxy`: for each one its module, and one line that says what it is for.

A module is named as text and imported when its command runs, so that `exec` loads nothing but itself. It has a
`SYNTAX` and a function `run(words) -> exit code`.
"""

COMMANDS = {
    "login": ("accounts.login", "put a token into the vault, once"),
    "accounts": ("accounts.accounts", "the tokens of the vault: whose they are and what they may"),
    "logout": ("accounts.logout", "forget a token"),
    "exec": ("run.exec", "run a command with a credential in place of the token"),
    "mint": ("run.mint", "a credential for what cannot be run by exec"),
    "env": ("run.env", "a credential as lines for a shell to eval"),
    "allow": ("project.allow", "trust what a project's file asks for"),
    "learn": ("run.learn", "run a command, and print the smallest profile that it needs"),
    "grants": ("grants.grants", "what is granted now"),
    "renew": ("grants.renew", "let a grant live on"),
    "revoke": ("grants.revoke", "end grants now"),
    "audit": ("journal.audit", "read the journal; also: audit report, audit verify, audit anchor"),
    "lockdown": ("grants.lockdown", "the bad day: end every grant, lock the vault, revoke the tokens"),
    "rotate": ("accounts.rotate", "replace a token by a new one that may do what was used"),
    "status": ("grants.status", "is the daemon up"),
    "doctor": ("doctor", "what is weak here, measured"),
    "metrics": ("grants.metrics", "counters of the daemon, for Prometheus"),
    "daemon": ("service.daemon", "run the daemon in the foreground"),
    "service": ("service.service", "have systemd run the daemon: install, uninstall, status"),
    "unlock": ("accounts.unlock", "open a sealed vault"),
    "lock": ("accounts.lock", "close the vault"),
    "vault": ("accounts.vault", "seal what lies in the keyring; the way back"),
    "scan": ("scan.scan", "find tokens in the clear; with --migrate: move them into the vault"),
    "completion": ("completion.completion", "complete the words of hf-proxy in bash, zsh or fish"),
    "git-credential": ("run.git_credential", "answer git when it asks for a password"),
}

# Second words with a syntax of their own.
SUBCOMMANDS = {
    "audit report": "journal.report",
    "audit verify": "journal.verify",
    "audit anchor": "journal.audit",
}


def module_of(command: str) -> str:
    """The full module name of a command or a subcommand. Raises KeyError for an unknown one."""
    return f"hfproxy.cli.{SUBCOMMANDS.get(command) or COMMANDS[command][0]}"
