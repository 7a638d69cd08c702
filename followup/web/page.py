"""Renders a page of ours, which takes nothing from elsewhere. What a visitor sees runs nothing,
unless it stands in a frame and tells its height; staff's pages may run a script that stands in the
page itself, to show what is new."""

import base64
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from fastapi.responses import HTMLResponse

from followup.bootstrap import Service
from followup.templates import clinic_facts

#: No font, image or frame from anywhere else; stylesheet and script stand in the page, and are let
#: in by their hash, so that one that got into the page by itself is not.
_POLICY: Mapping[str, str] = {
    "default-src": "'none'",
    "img-src": "'self' data:",
    "form-action": "'self'",
    "base-uri": "'none'",
}
#: What the captcha needs (developers.cloudflare.com/turnstile/reference/content-security-policy).
TURNSTILE = "https://challenges.cloudflare.com"

_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def render_page(
    service: Service,
    template: str,
    *,
    language: str,
    status: int = 200,
    site_id: str | None = None,
    framed: bool = False,
    in_frame: bool = False,
    captcha: bool = False,
    scripted: bool = False,
    headers: Mapping[str, str] | None = None,
    **facts: Any,
) -> HTMLResponse:
    """The page `templates/pages/TEMPLATE` in the given language.

    `framed` says that the clinic's own websites may show it in a frame: nobody may frame staff's.
    `in_frame`, that one does and wants to know how high it is.
    `scripted` lets the page's own script run, and ask us what is new.
    """
    clinic = service.clinic
    public = clinic_facts(clinic, clinic.site(site_id)) | {
        "language": language,
        "theme": clinic.theme,
        "in_frame": in_frame,
        "origins": clinic.origins,
    }
    html = service.pages.get_template(template).render({**public, **facts})
    policy = {
        **_POLICY,
        "style-src": " ".join(map(_hash, _STYLE.findall(html))) or "'none'",
        "frame-ancestors": " ".join(("'self'", *clinic.origins)) if framed else "'none'",
    }
    scripts = [*map(_hash, _SCRIPT.findall(html))] if scripted or in_frame else []
    if captcha:
        scripts.append(TURNSTILE)
        policy["frame-src"] = TURNSTILE
    if scripts:
        policy["script-src"] = " ".join(scripts)
    if scripted:
        policy["connect-src"] = "'self'"
    said = "; ".join(f"{name} {sources}" for name, sources in policy.items())
    return HTMLResponse(
        html,
        status_code=status,
        headers={"Content-Security-Policy": said, **(headers or {})},
    )


def _hash(content: str) -> str:
    """As a policy names what stands in the page (w3.org/TR/CSP3, §2.3.1)."""
    return f"'sha256-{base64.b64encode(sha256(content.encode()).digest()).decode()}'"
