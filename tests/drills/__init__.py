"""What goes wrong on real machines, done on purpose. Each row names its tests (`toolchain/test_drills.py` sees to it).

| what happens | what must hold | shown by |
|---|---|---|
| the daemon is killed, 300 times, under load | no change at the Hub without its journal line, nothing revoked alive, no running exec broken | `drills/test_kills.py::test_nothing_is_lost_and_nothing_revived` |
| the disk is full: the journal | nothing is forwarded that cannot be recorded, and it goes on when there is room | `e2e/traffic/test_journal.py::test_a_full_disk_stops_everything_until_there_is_room` |
| the disk is full: a revocation | it holds, and is made up for when there is room | `unit/daemon/grants/test_registry.py::test_a_revocation_that_the_disk_had_no_room_for_is_made_up_for_when_it_has` |
| the disk is full: a lockdown | everything ends, tokens are revoked at the Hub, what failed is said | `e2e/recovery/test_incident.py::test_what_could_not_be_written_down_is_ended_by_the_next_daemon_before_anybody_unlocks`, `e2e/recovery/test_incident.py::test_a_disk_that_takes_nothing_does_not_keep_the_token_alive` |
| no descriptor is left | the daemon lives on, serves again, and takes nobody for an outsider | `drills/test_exhaustion.py::test_without_descriptors_the_daemon_lives_on_and_serves_again`, `e2e/attacks/test_escapes.py::test_a_daemon_without_descriptors_takes_nobody_for_an_outsider`, `unit/daemon/grants/test_registry.py::test_without_descriptors_the_sweep_goes_on_and_forgets_nobody` |
| the state directory is read-only | it does not start, and says why | `drills/test_exhaustion.py::test_a_read_only_state_directory_is_named` |
| the store of grants is damaged | it does not start, and names the way out; nothing is allowed by it | `e2e/recovery/test_restart.py::test_a_damaged_store_is_refused_with_a_way_out`, `unit/daemon/grants/test_store.py::test_a_damaged_file_is_refused_and_the_message_names_the_way_out`, `unit/daemon/grants/test_store.py::test_what_this_version_did_not_write_is_refused` |
| the keyring is locked | one line; unlocked, all is there again | `e2e/recovery/test_keyring.py::test_a_locked_keyring_is_named_and_once_unlocked_all_is_there` |
| D-Bus is gone, and the keyring with it | one line that says what else there is | `e2e/cli/test_bad_input.py::test_a_keyring_that_is_not_there_is_named` |
| the keyring never answers | requests, revocations and a lockdown go on, and the daemon ends when it is told to | `e2e/recovery/test_keyring.py::test_a_keyring_that_never_answers_keeps_nothing_but_itself_waiting` |
| the clock is set a day ahead | what is over then is over, and stays so when it is set right | `e2e/recovery/test_restart.py::test_a_clock_that_jumps_ahead_ends_what_is_over_then_and_back_again_it_stays_ended`, `e2e/recovery/test_restart.py::test_what_is_minted_while_the_clock_is_a_day_ahead_lives_no_day_longer` |
| the clock is set a day back | nothing is revived, and nothing lives longer, whether or not a daemon ran | `e2e/recovery/test_restart.py::test_a_clock_that_is_set_back_revives_nothing`, `e2e/recovery/test_restart.py::test_a_clock_that_was_set_back_while_no_daemon_ran_gives_no_more_time`, `e2e/recovery/test_restart.py::test_a_clock_that_was_set_back_gives_no_more_time_to_the_next_daemon_either` |
| the machine sleeps | the daemon knows how long, by either clock | `e2e/recovery/test_restart.py::test_a_daemon_that_was_suspended_knows_how_long`, `e2e/recovery/test_restart.py::test_a_clock_that_jumps_while_the_daemon_is_suspended_counts` |
| the Hub is down | one line | `e2e/cli/test_bad_input.py::test_down` |
| the Hub does not answer, or says nothing for ten minutes | a command says so; a stream goes on | `e2e/cli/test_bad_input.py::test_that_never_answers`, `e2e/traffic/test_idle.py::test_a_silent_stream_is_not_given_up` |
| the Hub breaks off in mid-body | never half an answer that looks whole | `e2e/attacks/test_hostile_hub.py::test_a_file_that_breaks_off_stays_short_of_its_length`, `e2e/attacks/test_hostile_hub.py::test_a_file_in_chunks_that_breaks_off_has_no_last_chunk` |
| 1,000 connections that say nothing | others are served as if they were not there, and they are let go | `drills/test_exhaustion.py::test_a_thousand_connections_that_say_nothing_do_not_keep_others_waiting` |
| a credential is used by another user | refused | `e2e/attacks/test_strangers.py::test_a_stolen_credential_is_worth_nothing` |
| after its command ended | refused | `e2e/grants/test_trees.py::test_with_pid_any_process_of_the_user_may_for_as_long_as_it_lives`, `e2e/grants/test_trees.py::test_when_the_root_of_the_tree_ends_so_does_the_grant` |
| by the process that got its number | refused | `e2e/grants/test_trees.py::test_who_gets_the_number_of_a_process_that_ended_does_not_get_its_grant` |
| of a tree, by another process | refused, and not told whose it is | `e2e/grants/test_trees.py::test_nobody_else_may`, `e2e/attacks/test_escapes.py::test_who_stole_the_credential_of_a_tree_does_not_even_learn_whose_it_is` |
| of a tree, from another network namespace | does not arrive | `e2e/grants/test_trees.py::test_a_connection_from_another_network_namespace_does_not_arrive` |
"""
