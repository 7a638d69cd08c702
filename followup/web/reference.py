"""`/docs`: the API's reference, made from its own OpenAPI, without a script from anywhere."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from followup.web.deps import TheService
from followup.web.page import render_page

router = APIRouter()

METHODS = ("get", "post", "put", "patch", "delete")


@router.get("/docs", response_class=HTMLResponse, include_in_schema=False)
def docs(request: Request, service: TheService) -> HTMLResponse:
    described = request.app.openapi()
    return render_page(
        service,
        "docs.html",
        language="en",
        title=described["info"]["title"],
        version=described["info"]["version"],
        routes=list(_routes(described)),
    )


def _routes(described: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path, methods in described["paths"].items():
        for method in METHODS:
            if method in methods:
                yield _route(path, method, methods[method], described)


def _route(
    path: str, method: str, route: Mapping[str, Any], described: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "path": path,
        "method": method.upper(),
        "summary": route.get("summary", ""),
        "needs_token": bool(route.get("security")),
        "parameters": [
            {"name": one["name"], "where": one["in"], "required": one.get("required", False)}
            for one in route.get("parameters", ())
        ],
        "fields": list(_fields(route, described)),
        "answers": [
            {"status": status, "meaning": answer.get("description", "")}
            for status, answer in sorted(route["responses"].items())
        ],
    }


def _fields(route: Mapping[str, Any], described: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    body = route.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = _resolved(body.get("schema", {}), described)
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        yield {"name": name, "type": _type(field, described), "required": name in required}


def _resolved(schema: Mapping[str, Any], described: Mapping[str, Any]) -> Mapping[str, Any]:
    """A body that may be left out is `anyOf` with null; ours refer to one schema."""
    for choice in (schema, *schema.get("anyOf", ())):
        if "$ref" in choice:
            found: Mapping[str, Any] = described["components"]["schemas"][
                choice["$ref"].rsplit("/", 1)[1]
            ]
            return found
    return schema


def _type(field: Mapping[str, Any], described: Mapping[str, Any]) -> str:
    """What a value looks like, in a word or two."""
    field = _resolved(field, described)
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "anyOf" in field:
        kinds = [_type(choice, described) for choice in field["anyOf"]]
        return " | ".join(dict.fromkeys(kind for kind in kinds if kind != "null"))
    return str(field.get("format") or field.get("type", "any"))
