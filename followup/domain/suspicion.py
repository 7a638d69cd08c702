"""What makes a submission suspicious: by what it says, and by how many are like it.

Nothing here refuses a submission. What is caught is kept as spam without a lead, what is suspicious
makes a lead that is held; staff look at both, for a patient may look like a bot.
"""

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from followup.domain.address import may_be_texted
from followup.domain.submission import AnyForm


class Suspicion(StrEnum):
    """Why a submission is kept as spam, or its lead held."""

    #: A field that people do not see was filled in.
    honeypot = "honeypot"
    #: Sent sooner after the form was shown than anybody could fill it in.
    too_fast = "too_fast"
    #: The name holds a web address.
    link_in_name = "link_in_name"
    links = "links"
    same_number = "same_number"
    same_prefix = "same_prefix"
    same_email = "same_email"
    same_domain = "same_domain"
    same_message = "same_message"
    #: One showing of the form was sent again and again.
    same_opening = "same_opening"
    #: More came in than the whole service usually gets.
    burst = "burst"


SENTENCES: Mapping[Suspicion, str] = {
    Suspicion.honeypot: "A field that people do not see was filled in.",
    Suspicion.too_fast: "The form was sent sooner than anybody could fill it in.",
    Suspicion.link_in_name: "There is a web address in the name.",
    Suspicion.links: "There are many links in the text.",
    Suspicion.same_number: "Many came with the same phone number.",
    Suspicion.same_prefix: "Many came with phone numbers next to each other.",
    Suspicion.same_email: "Many came with the same email address.",
    Suspicion.same_domain: "Many came with email addresses of the same domain.",
    Suspicion.same_message: "Many came with the same message.",
    Suspicion.same_opening: "One showing of the form was sent many times.",
    Suspicion.burst: "It came in a burst: far more than usual at once.",
}

#: What is like another is counted over an hour: pumping is slower than a flood.
HOUR = timedelta(hours=1)

#: Shorter messages are alike by chance: "Please call me back."
SHORTEST_COUNTED_MESSAGE = 40

#: Their addresses have nothing in common; the last three belong to nobody (RFC 2606).
SHARED_DOMAINS = re.compile(
    r"(gmail|googlemail|yahoo|ymail|outlook|hotmail|live|msn|icloud|me|mac|aol|gmx|mail|protonmail"
    r"|example)\.com|(yahoo|outlook|hotmail)\.es|proton\.me|example\.(org|net)"
    r"|(att|verizon|comcast|sbcglobal|bellsouth|cox|charter|earthlink)\.net"
)

_LINK = re.compile(r"https?://|\bwww\.|<a\s|\[url", re.IGNORECASE)
_ADDRESS_IN_NAME = re.compile(
    r"https?:|www\.|//"
    r"|[\w-]{2,}\.(?:com|net|org|info|biz|io|ru|cn|xyz|top|site|online|shop|link|click|club)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Likeness:
    """Something that a submission shares with others like it; past `limit` in a window, held."""

    suspicion: Suspicion
    value: str
    limit: int
    window: timedelta = HOUR


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How many alike are usual; the clinic's file says (`[limits]`)."""

    links: int
    per_number: int
    per_prefix: int
    per_email: int
    per_domain: int
    per_message: int
    per_opening: int
    per_manner: int
    per_service: int
    #: In which a burst is counted.
    window: timedelta


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a submission came, which the submissions of one bot have in common."""

    #: A hosted form that was shown, and filled in at a person's pace.
    is_vouched: bool
    #: The first from its address for an hour at least.
    is_first: bool
    agent: str


def judge(form: AnyForm, bounds: Bounds) -> Suspicion | None:
    """What the words alone give away."""
    if _ADDRESS_IN_NAME.search(form.name):
        return Suspicion.link_in_name
    if len(_LINK.findall(form.message or "")) > bounds.links:
        return Suspicion.links
    return None


def likenesses(
    form: AnyForm,
    bounds: Bounds,
    *,
    countries: Collection[str],
    opening: str | None,
) -> Iterator[Likeness]:
    """What is counted of a submission. A number that gets no text anyway has no neighbours:
    those who pump texts are paid for the ones that are sent."""
    if form.phone is not None:
        yield Likeness(Suspicion.same_number, form.phone, bounds.per_number)
        if may_be_texted(form.phone, countries=countries) is None:
            yield Likeness(Suspicion.same_prefix, form.phone[:-4], bounds.per_prefix)
    if form.email is not None:
        yield Likeness(Suspicion.same_email, form.email.casefold(), bounds.per_email)
        domain = form.email.rpartition("@")[2].casefold()
        if not SHARED_DOMAINS.fullmatch(domain):
            yield Likeness(Suspicion.same_domain, domain, bounds.per_domain)
    words = " ".join(re.findall(r"\w+", (form.message or "").casefold()))
    if len(words) >= SHORTEST_COUNTED_MESSAGE:
        yield Likeness(Suspicion.same_message, words, bounds.per_message)
    if opening is not None:
        yield Likeness(Suspicion.same_opening, opening, bounds.per_opening)


def flood(manner: Manner, bounds: Bounds) -> tuple[Likeness, Likeness]:
    """What is counted of a submission that nothing else gave away: those that came in the same
    manner, and then all of its door. So a flood in one manner closes its own way alone: who comes
    by the hosted form, from a new address and with another browser, is still welcome."""
    door = "form" if manner.is_vouched else "other"
    turn = "first" if manner.is_first else "again"
    alike = "\n".join((door, turn, manner.agent))
    return (
        Likeness(Suspicion.burst, f"manner\n{alike}", bounds.per_manner, bounds.window),
        Likeness(Suspicion.burst, f"service\n{door}", bounds.per_service, bounds.window),
    )


def flood_of_source(source: str, bounds: Bounds) -> Likeness:
    """What is counted of a form vendor's submission: how many came from there."""
    value = f"service\nsource {source}"
    return Likeness(Suspicion.burst, value, bounds.per_service, bounds.window)


def window_of(at: datetime, length: timedelta) -> datetime:
    """When the window of that length began in which `at` lies; they begin with the Unix epoch."""
    return at - timedelta(seconds=at.timestamp() % length.total_seconds())


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network_of(address: str | None, spared: Collection[Network]) -> str | None:
    """Whom the limit per address counts: an IPv4 address, or the /64 of an IPv6 one, which is the
    least that one subscriber has (RFC 6177). None for who is spared, and for no address at all.
    """
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    ip = mapped or ip
    if any(ip in network for network in spared):
        return None
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ipaddress.ip_network((ip.packed, 64), strict=False))
