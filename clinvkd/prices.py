"""What tokens cost, by the table of prices of genai-prices: an estimate, never a bill.

The table comes with the package; nothing is fetched. What is priced by the length of one request
is priced as if the turn were one, although an agent may have made several.
"""

from __future__ import annotations

from .events import Usage


def price(model: str | None, usage: Usage) -> float | None:
    """US dollars for `usage`; None when the table does not know the model.

    Blocking: the first call imports the table, which takes some 0.2 s.
    """
    if not model:
        return None
    import genai_prices

    priced = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
    try:
        return float(genai_prices.calc_price(priced, model_ref=model).total_price)
    except (LookupError, ValueError):  # an unknown model; tokens that do not add up
        return None
