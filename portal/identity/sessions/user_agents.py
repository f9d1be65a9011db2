"""User agents in words."""

# In this order: nearly all claim to be Mozilla, most Safari, many Chrome.
_BROWSERS = {
    "Edg": "Edge", "OPR/": "Opera", "SamsungBrowser": "Samsung Internet", "Firefox/": "Firefox",
    "FxiOS": "Firefox", "Chrome/": "Chrome", "CriOS": "Chrome", "Safari/": "Safari",
    "curl/": "curl", "python": "Python",
}  # fmt: skip
_SYSTEMS = {
    "iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "Windows": "Windows",
    "Mac OS X": "macOS", "CrOS": "ChromeOS", "Linux": "Linux",
}  # fmt: skip


def describe_user_agent(user_agent: str) -> str:
    """“Firefox on Linux”, as far as it is known."""
    browser = next((words for sign, words in _BROWSERS.items() if sign in user_agent), "")
    system = next((words for sign, words in _SYSTEMS.items() if sign in user_agent), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or (f"Unknown on {system}" if system else "Unknown")
