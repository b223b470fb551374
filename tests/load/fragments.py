"""Ready-made pieces of spending records: amounts, counts and metrics of every platform."""

import json
import random

POOL_BYTES = 8 * 1024 * 1024  # about; ready-made metrics of each sort
ACTIONS = """link_click page_engagement post_engagement video_view landing_page_view post_reaction comment lead purchase
omni_add_to_cart offsite_conversion.fb_pixel_custom onsite_web_purchase""".split()
ACTION_LISTS = {  # the name of the list, and of an action's name in it
    "META": ("actions", "action_type"),
    "GOOGLE_ADS": ("conversionsByAction", "name"),
    "TIKTOK": ("events", "event"),
}
BREAKDOWNS = {
    "age": ["13-17", "18-24", "25-34", "35-44", "45-54", "55-64", "65+"],
    "gender": ["female", "male", "unknown"],
    "device": ["mobile_app", "desktop", "mobile_web", "ctv"],
}
NAMES = ["Café Zürich 🛍️", "👨‍👩‍👧‍👦 Familien-Bündel", "zwei\nZeilen", "東京スポーツ", 'say "hi" \\o/']


def metric_texts(rng: random.Random, platform: str) -> dict[str, str]:
    """Metrics as the platforms send them: decimals in strings, numbers of many digits, nested objects, names."""
    n, x = rng.randrange, rng.random()
    name = json.dumps(rng.choice(NAMES), ensure_ascii=x < 0.5)
    if platform == "META":
        return {
            "reach": f'"{n(90000)}"',
            "frequency": f'"{1 + x:.6f}"',
            "ctr": f'"{x * 5:.6f}"',
            "cpm": f'"{x * 60:.6f}"',
            "cost_per_unique_click": f'"{x * 9:.2f}"',
            "account_name": name,
            "conversion_rate_ranking": '"UNKNOWN"',
            "purchase_roas": f'[{{"action_type":"omni_purchase","value":"{x * 12:.6f}"}}]',
            f"video_p{rng.choice([25, 50, 75])}_actions": f'[{{"action_type":"video_view","value":"{n(900)}"}}]',
        }
    if platform == "GOOGLE_ADS":
        return {
            "costMicros": f'"{n(10**9)}"',
            "searchImpressionShare": repr(x),
            "averageCpc": f"{n(10**6)}.{n(10**16):016d}",
            "conversionsValue": f"{n(10**6)}.{n(10**30):030d}",
            "qualityScore": "null",
            "absoluteTopShare": f"{x:.3e}",
            "ctr": f"{x / 10:.10f}",
            "campaignLabels": f"[{name}]",
            "viewThroughConversions": "0.0",
            "segments": f'{{"device":"MOBILE","network":"SEARCH","slot":{{"top":{str(x < 0.5).lower()}}}}}',
        }
    return {
        "video_play_actions": f'"{n(9000)}"',
        "average_video_play": f'"{x * 6:.2f}"',
        "secondary_goal_result": '"-"',
        "ctr": f'"{x * 4:.2f}"',
        "cpc": f'"{x:.3f}"',
        "reach": str(n(10**5)),
        "adgroup_id": f'"{17 * 10**17 + n(10**16)}"',
        "ad_name": name,
        "skan": f'{{"total_conversion":{n(40)},"click_time":{{"0-24h":{n(20)},"24-48h":null}}}}',
    }


def metrics_inside(rng: random.Random, platform: str, size: int) -> str:
    """The contents of a metrics object of about @size bytes, without its braces."""
    items = [f'"{key}":{text}' for key, text in metric_texts(rng, platform).items()]
    rng.shuffle(items)
    parts: list[str] = []
    for item in items:
        if len(item) < size:
            parts.append(item)
            size -= len(item.encode()) + 1
    key, kind = ACTION_LISTS[platform]
    actions: list[str] = []
    while size > 80:
        actions.append(f'{{"{kind}":"{rng.choice(ACTIONS)}","value":"{rng.randrange(1, 10 ** rng.randint(1, 4))}"}}')
        size -= len(actions[-1]) + 1
    if actions:
        parts.append(f'"{key}":[{",".join(actions)}]')
    return ",".join(parts)


def count_text(rng: random.Random, impressions: int) -> str:
    """The three optional counts: mostly plain, some absent, null, as strings, or integral in another notation."""
    clicks = int(impressions * rng.betavariate(1, 30)) if rng.random() < 0.98 else impressions + 3
    conversions = int(clicks * rng.betavariate(1, 8)) if rng.random() < 0.97 else clicks + 1
    texts = {"impressions": str(impressions), "clicks": str(clicks), "conversions": str(conversions)}
    for key, text in texts.items():
        forms = [text, "null", f'"{text}"', f"{text}.0", f"{text}e0"]
        texts[key] = rng.choices(forms, [45, 50, 3, 1, 1] if key == "conversions" else [92, 3, 3, 1, 1])[0]
    return "".join(f',"{key}":{text}' for key, text in texts.items() if rng.random() < 0.97)


def pool_of_results(rng: random.Random, scale: float) -> tuple[list[int], list[str]]:
    """1024 amounts, zeros and credits among them, and as many counts to go with them, both growing."""
    impressions = sorted(int(scale * rng.lognormvariate(4.5, 1.8)) for _ in range(1024))
    amounts = sorted(int(scale * rng.lognormvariate(4, 2)) if rng.random() < 0.94 else 0 for _ in range(1024))
    return [-n if rng.random() < 0.01 else n for n in amounts], [count_text(rng, n) for n in impressions]


def pool_of_metrics(rng: random.Random, platform: str, record_bytes: int, reserved: int) -> list[str]:
    """The contents of metrics objects, for records of @record_bytes (0: a realistic mix) with @reserved other bytes."""
    pool = []
    for _ in range(max(16, min(1024, POOL_BYTES // max(record_bytes, 1)))):
        low, high = rng.choices([(0, 0), (20, 120), (120, 280), (280, 600)], [36, 46, 14, 4])[0]
        size = rng.randint(low, high)
        if record_bytes:
            size = round(record_bytes * rng.uniform(0.9, 1.1)) - 275
        pool.append(metrics_inside(rng, platform, size - reserved))
    return pool
