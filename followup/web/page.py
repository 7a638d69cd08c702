"""Renders a page of ours, which takes nothing from elsewhere and runs nothing."""

from typing import Any

from fastapi.responses import HTMLResponse

from followup.bootstrap import Service
from followup.templates import clinic_facts

#: No script, font, image or frame from anywhere else; the stylesheet stands in the page.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
)


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
    # The clinic's own website may show the forms in a frame; nobody may frame staff's pages.
    ancestors = f"'self' {clinic.website}" if name in ("form.html", "received.html") else "'none'"
    headers = {"Content-Security-Policy": _POLICY.format(ancestors=ancestors)}
    return HTMLResponse(html, status_code=status, headers=headers)
