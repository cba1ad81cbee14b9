"""What real clients send, recorded from them: huggingface_hub 2.4.0, 1.33.0 and 0.36.2, and @huggingface/hub 2.17.5."""

import pytest
import vectors
from vectors import Vector
from vectors.mutated import CALLS


@pytest.mark.parametrize("vector", vectors.cases(CALLS))
def test_what_a_real_client_sends_is_understood(vector: Vector) -> None:
    assert vectors.spelled(vectors.attempt(vector)) == vectors.expected(vector)


def test_nothing_that_a_real_client_sends_is_refused_whatever_the_scope() -> None:
    assert all(map(vectors.accepted, CALLS))


def test_the_recorded_calls_are_of_every_client_and_type_and_of_legacy_ids() -> None:
    assert {str(one["call"]).split()[0] for one in CALLS} == {"2.4", "1.33", "0.36", "js"}
    places = {str(need).split()[1].split("/")[0] for one in CALLS for need in one.get("needs", [])}
    assert places >= {"models", "datasets", "spaces", "kernels", "buckets"}
    assert sum("/squad" in one["target"] for one in CALLS) > 10
    assert sum("/gpt2" in one["target"] for one in CALLS) > 10
