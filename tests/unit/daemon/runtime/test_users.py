"""Who is served, by the system's user database, and whose things each has in reach."""

import grp
import os
import pwd

import pytest

from hfproxy.daemon.runtime.users import AllowedUsers, visible_uid

ME = os.getuid()
NOBODY_S = 2**31 - 7  # no user has this uid


def others() -> list[pwd.struct_passwd]:
    return [user for user in pwd.getpwall() if user.pw_uid not in {ME, 0}]


def test_a_daemon_of_one_s_own_serves_its_user_and_nobody_else() -> None:
    assert AllowedUsers().allows(ME)
    for user in others():
        assert not AllowedUsers().allows(user.pw_uid)
    assert AllowedUsers().allows(0) is (ME == 0)


def test_a_dedicated_one_serves_its_group_its_own_user_and_root() -> None:
    for user in others()[:5]:
        members = AllowedUsers(user.pw_gid)
        assert all(members.allows(uid) for uid in (user.pw_uid, ME, 0))


def test_who_is_of_another_group_or_unknown_is_not_served() -> None:
    empty = next(gid for gid in range(60_000, 61_000) if gid not in {group.gr_gid for group in grp.getgrall()})
    members = AllowedUsers(empty)
    assert not any(members.allows(uid) for uid in (NOBODY_S, *(user.pw_uid for user in others())))


@pytest.mark.parametrize(("uid", "whose"), [(ME, None), (0, None), (NOBODY_S, NOBODY_S)], ids=["own", "root", "other"])
def test_only_root_and_the_daemon_s_own_user_reach_what_is_others(uid: int, whose: int | None) -> None:
    assert visible_uid(uid) == whose
