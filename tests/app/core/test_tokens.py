from app.core.tokens import counter


def test_tokens_are_counted_offline_and_special_looking_text_is_text():
    count = counter()

    assert count("hello world") == 2
    assert count("<|endoftext|>") > 1
    assert count("") == 0
