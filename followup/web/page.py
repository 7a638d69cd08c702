"""Renders a page of ours: nothing from elsewhere, nothing kept by caches, nobody told who came."""

from typing import Any

from fastapi.responses import HTMLResponse

from followup.bootstrap import Service
from followup.templates import clinic_facts

#: No script, font, image or frame from anywhere else; the stylesheet stands in the page.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def render_page(
    service: Service,
    name: str,
    *,
    language: str,
    status: int = 200,
    site_id: str | None = None,
    **facts: Any,
) -> HTMLResponse:
    """The page `templates/pages/NAME` in the given language."""
    clinic = service.clinic
    public = clinic_facts(clinic, clinic.site(site_id)) | {"language": language}
    html = service.pages.get_template(name).render({**public, **facts})
    headers = dict(HEADERS)
    # The clinic's own website may show the forms in a frame; nobody may frame staff's pages.
    ancestors = f"'self' {clinic.website}" if name in ("form.html", "received.html") else "'none'"
    headers["Content-Security-Policy"] = HEADERS["Content-Security-Policy"].format(
        ancestors=ancestors
    )
    return HTMLResponse(html, status_code=status, headers=headers)
