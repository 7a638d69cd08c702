"""Form vendors' signatures: published vectors pass, and nothing that is near them does."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from followup.clinic_sources import Proof, Source, Vendor
from followup.domain.submission import Kind
from followup.transports.form_proofs import TOLERANCE, Post, is_proven

#: developers.hubspot.com, "Validating requests", and a form of Webflow's.
EVENTS = (
    b'[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,'
    b'"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,'
    b'"changeSource":"CRM","changeFlag":"NEW","appId":54321}]'
)
WEBFLOW = (
    b'{"triggerType":"form_submission","payload":{"name":"Contact","siteId":"65f",'
    b'"data":{"Email":"ana@example.org"},"submittedAt":"2026-11-23T17:05:00.000Z","id":"6a1"}}'
)
FORMSPREE = (
    b'{"form":"xyzabcde","submission":{"email":"ana@example.org","_date":"2026-11-23T17:05:00Z"}}'
)
HUBSPOT_SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
HUBSPOT_URL = "https://www.example.com/webhook_uri"
THEN = datetime.fromtimestamp(1_700_000_000, UTC)
KEY = "k" * 32


def post(body: bytes, headers: Mapping[str, str], **more: str) -> Post:
    return Post(**{"method": "POST", "url": HUBSPOT_URL, **more}, headers=headers, body=body)


VECTORS: Mapping[str, tuple[Vendor, str, Post]] = {
    "hubspot v1": (
        Vendor.hubspot,
        HUBSPOT_SECRET,
        post(
            EVENTS,
            {
                "x-hubspot-signature-version": "v1",
                "x-hubspot-signature": (
                    "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"
                ),
            },
        ),
    ),
    "hubspot v2": (
        Vendor.hubspot,
        HUBSPOT_SECRET,
        post(
            b"",
            {
                "x-hubspot-signature-version": "v2",
                "x-hubspot-signature": (
                    "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e"
                ),
            },
            method="GET",
        ),
    ),
    "hubspot v3": (
        Vendor.hubspot,
        HUBSPOT_SECRET,
        post(
            EVENTS,
            {
                "x-hubspot-request-timestamp": "1700000000000",
                "x-hubspot-signature-v3": "/pXDSgWeGksQpwCsgqd43P0eY6gBIse9UX0tfkudUrE=",
            },
        ),
    ),
    "typeform": (
        Vendor.typeform,
        "typeform-secret",
        post(
            b'{"event_id":"01HZZZ","event_type":"form_response"}',
            {"typeform-signature": "sha256=X6EIwAAWwe5slb4Fmwvst7qGYuaQMefCF2ByGsGu/YY="},
        ),
    ),
    "formspree": (
        Vendor.formspree,
        "formspree-secret",
        post(
            FORMSPREE,
            {
                "formspree-signature": "t=1700000000,v1="
                "6de20c68498e4e0e015a66190047bfe089eeeb6582961711b51b6cf7416b935a"
            },
        ),
    ),
    "webflow": (
        Vendor.webflow,
        "webflow-secret",
        post(
            WEBFLOW,
            {
                "x-webflow-timestamp": "1700000000000",
                "x-webflow-signature": (
                    "703db192bbc756b8498685e032626c31be27e5ce676755f54040cf19290e1cd9"
                ),
            },
        ),
    ),
    "opnform": (
        Vendor.opnform,
        "opnform-secret",
        post(
            b'{"form_title":"Contact"}',
            {
                "x-webhook-signature": "sha256="
                "1a90480c73b6f334d82fa1ee9bda34dafc7e5f1705e0be59739ff33862129bd6"
            },
        ),
    ),
}

#: github.com/standard-webhooks/standard-webhooks, what every official library is tested with.
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VALID = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = "Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
AT = datetime.fromtimestamp(1_614_265_330, UTC)
STANDARD = post(
    b'{"test": 2432232314}',
    {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": VALID,
    },
)


def source(vendor: Vendor, proof: Proof | None = None) -> Source:
    return Source(name="site", vendor=vendor, form=Kind.contact, proof=proof)


def with_headers(sent: Post, **headers: str) -> Post:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(sent, headers={**sent.headers, **named})


@pytest.mark.parametrize(("vendor", "secret", "sent"), VECTORS.values(), ids=VECTORS)
def test_what_a_vendor_signed_is_believed_and_nothing_near_it(
    vendor: Vendor, secret: str, sent: Post
) -> None:
    def proves(sent: Post, *secrets: str, at: datetime = THEN) -> bool:
        return is_proven(source(vendor), secrets, sent, at)

    assert proves(sent, secret)
    assert proves(sent, "the next one", secret)
    assert proves(sent, secret, "the last one")
    assert not proves(sent)
    assert not proves(sent, "", "another")
    assert not proves(replace(sent, body=sent.body[:-1] or b"x"), secret)
    assert not proves(replace(sent, body=sent.body + b" "), secret)
    assert not proves(replace(sent, headers={}), secret)
    for name, value in sent.headers.items():
        assert not proves(replace(sent, headers={**sent.headers, name: value[:-1]}), secret)
        for wrong in ("", "é", "sha256=", "t=x,v1=", "=,=", value + "0", value[1:]):
            assert not proves(replace(sent, headers={**sent.headers, name: wrong}), secret)


@pytest.mark.parametrize("vendor", ["hubspot v3", "formspree", "webflow"])
def test_a_signature_with_a_time_is_good_for_five_minutes(vendor: str) -> None:
    whose, secret, sent = VECTORS[vendor]
    for away, is_good in ((TOLERANCE, True), (TOLERANCE + timedelta(seconds=1), False)):
        assert is_proven(source(whose), [secret], sent, THEN + away) is is_good
        assert is_proven(source(whose), [secret], sent, THEN - away) is is_good


def test_what_hubspot_signs_with_the_address_is_for_that_address() -> None:
    for version in ("hubspot v2", "hubspot v3"):
        vendor, secret, sent = VECTORS[version]
        elsewhere = replace(sent, url=HUBSPOT_URL + "?x=1")
        assert not is_proven(source(vendor), [secret], elsewhere, THEN)
        assert not is_proven(source(vendor), [secret], replace(sent, method="PUT"), THEN)


def test_an_older_signature_of_hubspots_does_not_stand_in_for_a_wrong_one() -> None:
    vendor, secret, first = VECTORS["hubspot v1"]
    third = with_headers(first, x_hubspot_signature_v3="wrong")

    assert not is_proven(source(vendor), [secret], third, THEN)


@pytest.mark.parametrize(
    ("secret", "signature"),
    [
        (WHSEC, VALID),
        (WHSEC[:-1], "v1,LVOXivKoo4FWasi/IaHvzhE/u+7/cu2AME+zS/nXqzk="),
        (WHSEC + "Br", "v1,yK2tMbA6BHPrMEJ1lLv7UlJJbgFoqGenJkiajZ29evg="),
        (WHSEC.removeprefix("whsec_"), VALID),
        (WHSEC, f"v1,{OTHER} v2,{OTHER} {VALID} v1,{OTHER}"),
        (WHSEC, f"nonsense v1a,{OTHER} , {VALID}"),
    ],
    ids=["whole", "one = missing", "two missing", "no prefix", "a list", "beside nonsense"],
)
def test_standard_webhooks_that_pass(secret: str, signature: str) -> None:
    signed = with_headers(STANDARD, webhook_signature=signature)

    assert is_proven(source(Vendor.standard), [secret], signed, AT)


@pytest.mark.parametrize(
    "sent",
    [
        with_headers(STANDARD, webhook_signature=VALID.replace("1OE=", "1OA=")),
        with_headers(STANDARD, webhook_signature=VALID.replace("v1,", "v2,")),
        with_headers(STANDARD, webhook_signature=VALID.replace("v1,", "")),
        with_headers(STANDARD, webhook_signature="v1,!!!"),
        with_headers(STANDARD, webhook_signature=""),
        with_headers(STANDARD, webhook_timestamp="hello"),
        with_headers(STANDARD, webhook_timestamp="1614265330.0"),
        with_headers(STANDARD, webhook_id="msg_other"),
        replace(STANDARD, body=b"\xff\xfe"),
        replace(STANDARD, body=STANDARD.body[:-1]),
        *(
            replace(STANDARD, headers={k: v for k, v in STANDARD.headers.items() if k != name})
            for name in STANDARD.headers
        ),
    ],
)
def test_standard_webhooks_that_fail(sent: Post) -> None:
    assert not is_proven(source(Vendor.standard), [WHSEC], sent, AT)


def test_standard_webhooks_are_good_for_five_minutes() -> None:
    late = TOLERANCE + timedelta(seconds=1)

    for at in (AT - late, AT + late):
        assert not is_proven(source(Vendor.standard), [WHSEC], STANDARD, at)
    for at in (AT - TOLERANCE, AT + TOLERANCE):
        assert is_proven(source(Vendor.standard), [WHSEC], STANDARD, at)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!", "whsec_é"])
def test_a_key_of_nothing_proves_nothing(secret: str) -> None:
    assert not is_proven(source(Vendor.standard), [secret], STANDARD, AT)


def test_a_key_comes_in_the_header_or_in_the_address() -> None:
    by_header, by_path = source(Vendor.generic), source(Vendor.generic, Proof.path)

    assert is_proven(by_header, [KEY], post(b"", {"authorization": f"bearer {KEY}"}), AT)
    assert is_proven(by_path, [KEY], post(b"", {}, key=KEY), AT)
    for wrong in ("", "Bearer", f"Bearer {KEY}x", f"Basic {KEY}", KEY, "Bearer é"):
        assert not is_proven(by_header, [KEY], post(b"", {"authorization": wrong}), AT)
    assert not is_proven(by_header, [KEY], post(b"", {}, key=KEY), AT)
    assert not is_proven(by_path, [KEY], post(b"", {"authorization": f"Bearer {KEY}"}), AT)
    assert not is_proven(by_path, [""], post(b"", {}), AT)
