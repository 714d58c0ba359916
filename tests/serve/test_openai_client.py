"""The real `openai` client, against a live port."""

import base64

import numpy as np
import openai
import pytest

from tests.serve.conftest import mirrored_png, png


def uri(seed):
    return "data:image/png;base64," + base64.b64encode(png(seed)).decode()


@pytest.fixture
def ai(live):
    with openai.OpenAI(base_url=f"{live}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_the_default_encoding_is_read(ai):
    """The client asks for base64 where the caller asks for nothing, and decodes it itself."""
    answer = ai.embeddings.create(model="ear-teacher", input=uri(1))
    assert len(answer.data[0].embedding) == 1024
    assert np.linalg.norm(answer.data[0].embedding) == pytest.approx(1.0, abs=1e-5)
    assert answer.usage.total_tokens == 0


def test_base64_and_float_are_the_same_vector(ai):
    packed = ai.embeddings.create(model="ear-teacher", input=uri(1))
    plain = ai.embeddings.create(model="ear-teacher", input=uri(1), encoding_format="float")
    np.testing.assert_allclose(packed.data[0].embedding, plain.data[0].embedding, atol=1e-7)


def test_a_list_keeps_its_order(ai):
    together = ai.embeddings.create(model="ear-teacher", input=[uri(1), uri(2), uri(3)])
    assert [one.index for one in together.data] == [0, 1, 2]
    alone = ai.embeddings.create(model="ear-teacher", input=uri(2))
    np.testing.assert_allclose(together.data[1].embedding, alone.data[0].embedding, atol=1e-5)


def test_an_extra_field_says_the_side(ai):
    right = ai.embeddings.create(model="ear-teacher", input=uri(1), extra_body={"side": "right", "modality": "image"})
    mirrored = "data:image/png;base64," + base64.b64encode(mirrored_png(1)).decode()
    left = ai.embeddings.create(model="ear-teacher", input=mirrored, extra_body={"side": "left"})
    np.testing.assert_allclose(right.data[0].embedding, left.data[0].embedding, atol=1e-4)


def test_the_full_width_may_be_asked_for_and_no_other(ai):
    assert len(ai.embeddings.create(model="ear-teacher", input=uri(1), dimensions=1024).data[0].embedding) == 1024
    with pytest.raises(openai.BadRequestError) as refused:
        ai.embeddings.create(model="ear-teacher", input=uri(1), dimensions=512)
    assert refused.value.param == "dimensions"


@pytest.mark.parametrize("text", ["an ear", "https://ears.example/a.jpg"])
def test_what_is_no_picture_is_the_clients_error(ai, text):
    with pytest.raises(openai.BadRequestError) as refused:
        ai.embeddings.create(model="ear-teacher", input=[text])
    assert "input[0]" in refused.value.message


def test_models_are_listed(ai):
    (model,) = ai.models.list().data
    assert model.id.startswith("bd_")
    assert ai.models.retrieve(model.id).owned_by == "ear-teacher"
    assert ai.models.retrieve("ear-teacher").id == model.id


def test_the_asynchronous_client_works(live):
    import asyncio

    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{live}/v1", api_key="none", max_retries=0) as client:
            answers = await asyncio.gather(
                *(client.embeddings.create(model="ear-teacher", input=uri(n)) for n in range(8))
            )
            return [answer.data[0].embedding for answer in answers]

    assert len({tuple(vector[:3]) for vector in asyncio.run(ask())}) == 8
