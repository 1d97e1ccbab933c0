"""The catalogue of faults and the tests that carry their numbers agree."""

from __future__ import annotations

from tests.faults import matrix

BUILT_LATER = {
    *(52, 53, 54, 55),  # clusters, runners, spot, prices
    *(74, 75, 77, 78, 79),  # pages, webhooks, messages
}


def test_every_number_is_in_the_catalogue_once():
    """F01 to F86, each once, in order; what others do names faults that there are."""
    assert [fault.number for fault in matrix.faults()] == list(range(1, 87))
    assert set(matrix.reported()) <= set(range(1, 87))


def test_every_test_of_a_fault_is_of_one_that_there_is():
    """No test carries the number of a fault that is not in the catalogue."""
    assert {number for number, _, _ in matrix.tests()} <= set(range(1, 87))


def test_what_is_built_is_tested():
    """A fault of something that is built has a test by its number; the others are few, known, and no more."""
    covered = {number for number, _, _ in matrix.tests()}
    assert {fault.number for fault in matrix.faults()} - covered == BUILT_LATER


def test_the_matrix_names_every_fault_and_its_tests():
    """What `make faults` prints has a line for each fault, its tests, and what is missing at the end."""
    text = "\n".join(matrix.matrix())
    assert all(f"F{number:02} " in text for number in range(1, 87))
    assert "test_f01_" in text
    assert "faults have a test" in text.splitlines()[-1]
