"""The call to the AI: a chat completion over HTTP."""

from __future__ import annotations

from dataclasses import dataclass

import requests

from ada_otel import business

from .settings import Settings


class AiError(Exception):
    """The AI did not give a usable answer."""


@dataclass(frozen=True)
class Completion:
    """What the AI said, and what it counted."""

    text: str
    model: str
    input_tokens: int
    output_tokens: int


def complete(settings: Settings, prompt: str) -> Completion:
    """Ask the AI at ``AI_URL`` to answer ``prompt``.

    Raises:
        AiError: it is away, too slow, refuses, or answers something else than a completion.
    """
    with business.ai_operation(model=settings.ai_model, kind="chat", provider="ada") as operation:
        completion = _ask(settings, prompt)
        operation.tokens(input=completion.input_tokens, output=completion.output_tokens)
        tokens = completion.input_tokens + completion.output_tokens
        operation.cost(tokens * settings.ai_price_per_million_tokens / 1e6, "USD")
    return completion


def _ask(settings: Settings, prompt: str) -> Completion:
    headers = {"Authorization": f"Bearer {settings.ai_api_key}"} if settings.ai_api_key else {}
    try:
        response = requests.post(
            f"{settings.ai_url}/v1/chat/completions",
            json={"model": settings.ai_model, "messages": [{"role": "user", "content": prompt}]},
            headers=headers,
            timeout=settings.ai_timeout_seconds,
        )
        response.raise_for_status()
        answer = response.json()
        usage = answer["usage"]
        return Completion(
            text=str(answer["choices"][0]["message"]["content"]),
            model=str(answer["model"]),
            input_tokens=int(usage["prompt_tokens"]),
            output_tokens=int(usage["completion_tokens"]),
        )
    except requests.RequestException as error:
        raise AiError(f"The AI could not be asked: {error}") from error
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise AiError(f"The AI's answer is no completion: {error!r}") from error
