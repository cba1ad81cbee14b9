"""What goes wrong on real machines, done on purpose.

| what happens | what must hold | shown by |
|---|---|---|
| the daemon is killed, 300 times, under load | no change at the Hub without its journal line, nothing revoked alive, no running exec broken | `drills/test_kills.py` |
| the disk is full | nothing is forwarded that cannot be recorded; it goes on when there is room | `end_to_end/test_journal.py`, `daemon/test_grants.py` |
| no descriptor is left | the daemon lives on, and serves again | `drills/test_exhaustion.py` |
| the state directory is read-only | it does not start, or refuses, and says why | `drills/test_exhaustion.py` |
| the store of grants is damaged | it does not start, and names the way out | `end_to_end/test_restart.py`, `daemon/test_store.py` |
| the keyring is gone, or locked; D-Bus is gone | one line, and what was unlocked goes on | `end_to_end/test_keyring.py`, `end_to_end/test_bad_input.py` |
| the keyring never answers | requests are served meanwhile | `daemon/test_accounts.py` |
| the clock jumps a day, ahead or back | what is over stays over | `end_to_end/test_restart.py` |
| the machine sleeps | it knows how long | `end_to_end/test_restart.py` |
| the Hub is down, slow, or breaks off in mid-body | one line, or a cut connection; never half an answer that looks whole | `end_to_end/test_bad_input.py`, `end_to_end/test_hostile_hub.py` |
| 1,000 connections that say nothing | others are served as if they were not there, and they are let go | `drills/test_exhaustion.py` |
"""
