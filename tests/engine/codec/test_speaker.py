"""The quantiser of voices: levels as digits of a token."""

import pytest
import torch

from engine.codec.speaker import FiniteScalarQuantizer


@pytest.fixture
def quantizer() -> FiniteScalarQuantizer:
    """Two dimensions, of four and of three levels, that pass through the projections as they are."""
    quantizer = FiniteScalarQuantizer(2, (4, 3))
    with torch.no_grad():
        for projection in (quantizer.project_in, quantizer.project_out):
            projection.weight.copy_(torch.eye(2))
            projection.bias.zero_()
    return quantizer.requires_grad_(False)


def test_the_first_dimension_is_the_lowest_digit(quantizer: FiniteScalarQuantizer) -> None:
    corners = torch.tensor([[[-9.0, -9.0], [9.0, -9.0], [-9.0, 9.0], [9.0, 9.0]]])
    assert quantizer.tokens(corners).tolist() == [[0, 3, 8, 11]]


def test_zero_is_the_middle_level_and_rounding_is_to_the_nearest(quantizer: FiniteScalarQuantizer) -> None:
    # Four levels are at -2, -1, 0 and 1 halves: the shift puts zero on the third.
    assert quantizer.tokens(torch.tensor([[[0.0, 0.0]]])).tolist() == [[2 + 4 * 1]]
    assert quantizer.tokens(torch.tensor([[[-0.5, 0.5]]])).tolist() == [[1 + 4 * 1]]
    assert quantizer.tokens(torch.tensor([[[0.5, 0.6]]])).tolist() == [[3 + 4 * 2]]


def test_every_token_has_its_vector(quantizer: FiniteScalarQuantizer) -> None:
    assert quantizer.codebook_size == 12
    vectors = quantizer.vectors(torch.arange(12)[None])[0]
    assert sorted(set(vectors[:, 0].tolist())) == [-1, -0.5, 0, 0.5]
    assert sorted(set(vectors[:, 1].tolist())) == [-1, 0, 1]
    assert len(vectors.unique(dim=0)) == 12
