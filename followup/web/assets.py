"""What pages refer to: the script for the clinic's own website, and its logo."""

from fastapi import APIRouter, Response

from followup.errors import NotFound
from followup.web.deps import TheService
from followup.web.problems import describe

router = APIRouter()

#: The clinic's pages name it without a version, so a browser asks again soon.
_SOON = {"Cache-Control": "public, max-age=3600", "Cross-Origin-Resource-Policy": "cross-origin"}
#: Another logo has another name.
_NEVER = {"Cache-Control": "public, max-age=31536000, immutable"}


@router.get(
    "/embed.js",
    response_class=Response,
    responses={200: {"content": {"text/javascript": {}}}},
    summary="For the clinic's website: sizes the frames of our forms",
)
def embed_script(service: TheService) -> Response:
    script = service.pages.get_template("embed.js").render()
    return Response(script, media_type="text/javascript", headers=_SOON)


@router.get(
    "/logo/{name}",
    response_class=Response,
    responses={200: {"content": {"image/*": {}}}, **describe(404)},
    summary="The clinic's logo, as its theme has it",
)
def logo(service: TheService, name: str) -> Response:
    found = service.clinic.theme.logo
    if found is None or name != found.name:
        raise NotFound("there is no such logo")
    return Response(found.content, media_type=f"image/{found.kind}", headers=_NEVER)
