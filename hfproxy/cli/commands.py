"""The table of commands: the module and the purpose of each.

A module is named as text and imported when its command runs, so that `exec` loads no other command. It has a `SYNTAX`
(`CommandSpec`) and a function `run(words) -> exit code`.
"""

COMMANDS = {
    "login": ("accounts.login", "put a token into the vault, once"),
    "accounts": ("accounts.accounts", "list the tokens of the vault, with their users and rights"),
    "logout": ("accounts.logout", "forget a token"),
    "exec": ("run.exec", "run a command with a credential in place of the token"),
    "mint": ("run.mint", "print a credential, for programs that exec cannot run"),
    "env": ("run.env", "print a credential as lines for a shell to eval"),
    "allow": ("project.allow", "trust the scopes that a project file asks for"),
    "learn": ("run.learn", "run a command, and print the smallest profile that it needs"),
    "grants": ("grants.grants", "list the grants that are valid now"),
    "renew": ("grants.renew", "extend the life of a grant"),
    "revoke": ("grants.revoke", "end grants now"),
    "audit": ("journal.audit", "read the journal; also: audit report, audit verify, audit anchor"),
    "lockdown": ("grants.lockdown", "in an incident: end every grant, lock the vault, revoke the tokens"),
    "rotate": ("accounts.rotate", "replace a token by a new one with the rights that were used"),
    "status": ("grants.status", "show whether the daemon is running"),
    "doctor": ("doctor", "measure how well the tokens are protected here"),
    "metrics": ("grants.metrics", "print the daemon's counters, for Prometheus"),
    "daemon": ("service.daemon", "run the daemon in the foreground"),
    "service": ("service.service", "have systemd run the daemon: install, uninstall, status"),
    "unlock": ("accounts.unlock", "open a sealed vault"),
    "lock": ("accounts.lock", "close the vault"),
    "vault": ("accounts.vault", "seal the tokens in the keyring under a passphrase; unseal them"),
    "scan": ("scan.scan", "find plaintext tokens; with --migrate: move them into the vault"),
    "completion": ("completion.completion", "complete the words of hf-proxy in bash, zsh or fish"),
    "git-credential": ("run.git_credential", "answer git when it asks for a password"),
}

# Subcommands with their own syntax.
SUBCOMMANDS = {
    "audit report": "journal.report",
    "audit verify": "journal.verify",
    "audit anchor": "journal.audit",
}


def module_of(command: str) -> str:
    """Return the full module name of a command or a subcommand. Raises KeyError if it is unknown."""
    return f"hfproxy.cli.{SUBCOMMANDS.get(command) or COMMANDS[command][0]}"
