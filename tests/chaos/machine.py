"""Everything that can happen to the service, in any order, with a clock that stands still.

One example is one machine over an empty database; the promises are judged after each rule, and the
books at the end, when time has passed and everything has settled.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, or_, select, update

from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Status
from followup.domain.lead import Closing, LeadStatus
from followup.errors import Conflict
from followup.services import (
    bouncing,
    flowing,
    heeding,
    receiving,
    sending,
    settling,
    uniting,
    watching,
    working,
)
from followup.services.concluding import Claimed
from followup.store.db import reading, real_now, transaction
from followup.store.models import Breaker, Delivery, Lead, Submission
from followup.store.words import SubmissionStatus
from followup.transports.base import Outgoing, Report
from followup.transports.mail_events import MailEvent, MailHappening
from followup.transports.twilio_words import STATUSES
from tests import schema
from tests.chaos import oracle
from tests.chaos.happenings import (
    CLARA,
    ENDS,
    PEOPLE,
    SECOND,
    UNWELCOME,
    WORDS,
    Pauses,
    endings,
    lanes,
    meanwhile,
    mostly,
    numbers,
    people,
    some,
)
from tests.chaos.hearers import Hearers, Hearing
from tests.chaos.oracle import Taken
from tests.chaos.points import listening
from tests.chaos.promises import Promises
from tests.chaos.provider import Ending, Kept, Provider, WorkerLost
from tests.chaos.staff import COLLEAGUES, COMMANDS, ELSEWHERE, Staff
from tests.services.cast import (
    ALICE,
    FRONT_DESK_PHONE,
    HOUR,
    MINUTE,
    Desk,
    clinic,
)
from tests.services.recording import Recording


class InTurn(ThreadPoolExecutor):
    """The calls of a claim in their order, so that an example goes the same way again."""

    def __init__(self, call: Callable[[Callable[..., None], flowing.Taken, Claimed], None]) -> None:
        super().__init__(1)
        self._call = call

    def submit(self, fn: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
        self._call(fn, *args)
        return Future()


def empty(engine: Engine) -> None:
    schema.empty(engine)
    oracle.forget_changes(engine)


class Machine(RuleBasedStateMachine):
    """The services, the provider, and what was promised."""

    engine: Engine
    #: The one thing that is looked at; None: all.
    judged: str | None = None

    def __init__(self) -> None:
        super().__init__()
        empty(self.engine)
        self.desk = Desk(self.engine, Recording(), {})
        self.provider = Provider(lambda: self.desk.now, self._begun, self._took)
        self.promises = Promises(ZoneInfo("America/Los_Angeles"))
        self.real = 0.0
        self.pauses = Pauses()
        #: Submissions whose box for texts was ticked, and those of them that are not consumed.
        self.ticked: set[uuid.UUID] = set()
        self.unconsumed: dict[uuid.UUID, dict[str, str]] = {}
        self.people: dict[uuid.UUID, dict[str, str]] = {}
        self.staff = Staff(self.desk, self.promises, self._has_ticked)
        self.hearers = Hearers(self.engine)
        self.lease_ran_out = False
        self._pauses_of: dict[tuple[uuid.UUID, Channel], Pauses] = {}
        #: What the promises have heard of, of each claim.
        self._known: dict[uuid.UUID, set[uuid.UUID]] = {}
        #: What the provider said of addresses to each worker that is under way, the innermost last,
        #: and what it has not recorded yet.
        self._refusals: list[list[tuple[uuid.UUID, str]]] = []
        self.desk.sender = replace(
            self.desk.sender,
            transports=dict.fromkeys(Channel, self.provider),
            threads=dict.fromkeys(Lane, InTurn(self._call)),
            monotonic=lambda: self.real,
            caps=clinic().caps,
        )

    # What a worker does, and what happens while it stands still.

    def _call(self, call: Callable[..., None], taken: flowing.Taken, row: Claimed) -> None:
        """One call of a claim; things happen before the first and after the last of them."""
        batch, ids = taken.claimed, [one.delivery_id for one in taken.claimed]
        if row is batch[0]:
            self._pauses_of[taken.claim, row.channel], self.pauses = self.pauses, Pauses()
            self.lease_ran_out = False
            self.promises.claimed(self._claimed_with(taken), self.desk.now)
            try:
                self._stand_still(self._pauses_of[taken.claim, row.channel].before, batch)
            except WorkerLost:
                # No call of this worker begins any more; each of them tells that.
                self.provider.is_lost = True
        call(taken, row)
        if row is not batch[-1]:
            return
        is_lost, self.provider.is_lost = self.provider.is_lost, False
        pauses = self._pauses_of.pop((taken.claim, row.channel))
        try:
            if not is_lost:
                self._stand_still(pauses.after, batch)
        finally:
            self.promises.dropped(ids)

    def _claimed_with(self, taken: flowing.Taken) -> list[Delivery]:
        """These, and those of the other channel that one commit claimed with them, as far as they
        are not known yet: what happens before the first call happens after that commit."""
        known = self._known.setdefault(taken.claim, set())
        if not known:
            # Nobody claims again before what was claimed is recorded.
            self._hear_refusals()
        ids = [one.delivery_id for one in taken.claimed]
        together = or_(Delivery.claim == taken.claim, Delivery.id.in_(ids))
        with reading(self.engine) as session:
            rows = session.scalars(select(Delivery).where(together)).all()
        new = [row for row in rows if row.id not in known]
        known.update(row.id for row in new)
        return new

    def _stand_still(self, happenings: Sequence[str], batch: Sequence[Any]) -> None:
        endings, self.provider.endings = self.provider.endings, type(self.provider.endings)()
        for happening in happenings:
            match happening:
                case "mark" if batch[0].lead_id is not None:
                    self.staff.mark(batch[0].lead_id)
                case "done" if batch[0].lead_id is not None:
                    self.staff.text(FRONT_DESK_PHONE, "DONE {}", batch[0].lead_id)
                case "close" if batch[0].lead_id is not None:
                    self.staff.close(batch[0].lead_id, Closing.spam)
                case "merge" if batch[0].lead_id is not None:
                    self.staff.merge(batch[0].lead_id)
                case "stop" if batch[0].channel is Channel.sms:
                    self._reply(batch[0].message.to, "STOP")
                case "report":
                    self._report_all("sent")
                case "lease runs out":
                    self._lose_the_lease()
                case "ask":
                    # Nobody asks sooner than a minute after the lease has run out.
                    if self.lease_ran_out:
                        self._ask()
                case "another worker":
                    ran_out = self.lease_ran_out
                    self._send(Lane.ack)
                    self.lease_ran_out = ran_out
                case "tick":
                    self.desk.now += SECOND
                case "die":
                    raise WorkerLost
        self.provider.endings = endings

    def _lose_the_lease(self) -> None:
        self.real += sending.LEASE.total_seconds() + 1
        self.lease_ran_out = True
        for refusals in self._refusals:
            refusals.clear()
        self.desk.let_leases_run_out()
        self.desk.rescue()

    def _begun(self, message: Outgoing) -> None:
        self.promises.begun(message.delivery_id)

    def _took(self, message: Outgoing, ending: Ending) -> None:
        if why := ending.suppresses:
            self._refusals[-1].append((message.delivery_id, why))
        if self.provider.kept and self.provider.kept[-1].message is message:
            self.promises.took(message.delivery_id, self.desk.now)

    def _send(self, lane: Lane) -> None:
        self._refusals.append([])
        with suppress(WorkerLost):
            sending.send_due(self.desk.sender, lane, lambda: self.desk.now)
            self._hear_refusals()
        self._refusals.pop()

    def _hear_refusals(self) -> None:
        for delivery_id, why in self._refusals[-1]:
            self.promises.heard(delivery_id, why)
        self._refusals[-1].clear()

    def _ask(self) -> None:
        self.desk.let_asking_come()
        self.desk.settle()
        # No list shows these, so they are planned again. But their reports come before they go.
        again = {row.id for row in self.desk.rows(status=Status.planned, channel=Channel.sms)}
        for one in self.provider.texts():
            if one.is_hidden and one.message.delivery_id in again:
                self._report(one, "sent")

    def _report(self, one: Kept, word: str) -> None:
        if word == "the end":
            one.ending = one.ending or ENDS[len(one.message.text) % len(ENDS)]
            word = one.ending
        report = Report(one.id, word, STATUSES.get(word))
        self.desk.take_report(one.message.delivery_id, report)

    def _report_all(self, word: str) -> None:
        for one in self.provider.texts():
            self._report(one, word)

    def _reply(self, sender: str, body: str) -> None:
        self.desk.reply(sender, body)
        if body == "STOP":
            self.staff.refused(Channel.sms, sender, "opted_out")
        if body == "START":
            self.staff.started.add(sender)
            for why in ("opted_out", ELSEWHERE):
                self.promises.lifted(Channel.sms, sender, why)
            if any(lead.phone == sender for lead in self.desk.leads()):
                self.promises.agreed(sender)

    def _lead(self, number: int, *statuses: LeadStatus) -> Lead | None:
        leads = [lead for lead in self.desk.leads() if not statuses or lead.status in statuses]
        return leads[number % len(leads)] if leads else None

    # The rules.

    @rule(person=people, ticks=mostly)
    def submit(self, person: dict[str, str], ticks: bool) -> None:
        submission_id = self.desk.receive(person, consent_sms=ticks)
        self.people[submission_id] = person
        if ticks:
            self.ticked.add(submission_id)
            self.unconsumed[submission_id] = person

    @rule(person=people, ticks=mostly, endings=endings, before=meanwhile, after=meanwhile)
    def submit_and_answer(
        self,
        person: dict[str, str],
        ticks: bool,
        endings: list[Ending],
        before: list[str],
        after: list[str],
    ) -> None:
        """As it mostly goes: a doorbell rings at once."""
        self.submit(person, ticks)
        self.consume()
        self.send(Lane.ack, endings, before, after)

    @precondition(lambda self: self.people)
    @rule()
    def consume(self) -> None:
        self.desk.consume()
        self._note_consents()

    def _has_ticked(self, lead: Lead) -> bool:
        ticked = self.ticked - self.unconsumed.keys()
        return any(self.desk.lead_of(one).id == lead.id for one in ticked)

    def _note_consents(self) -> None:
        """A ticked box counts from when its submission was consumed."""
        is_consumed = Submission.status == SubmissionStatus.consumed
        with reading(self.engine) as session:
            consumed = set(session.scalars(select(Submission.id).where(is_consumed)))
        for submission_id in consumed & self.unconsumed.keys():
            if number := self.unconsumed.pop(submission_id).get("phone"):
                self.promises.agreed(number)

    @precondition(lambda self: self.people)
    @rule(lane=lanes, endings=endings, before=meanwhile, after=meanwhile)
    def send(self, lane: Lane, endings: list[Ending], before: list[str], after: list[str]) -> None:
        self.provider.will_end(endings)
        self.pauses = Pauses(before, after)
        self._send(lane)
        self.pauses = Pauses()
        self.provider.will_end(())

    @rule(passed=st.sampled_from((SECOND, MINUTE, 6 * MINUTE, 40 * MINUTE, 3 * HOUR, 25 * HOUR)))
    def tick(self, passed: timedelta) -> None:
        self.desk.now += passed
        self._let_probes_come()

    def _let_probes_come(self) -> None:
        """The real time is over after which a paused channel is tried again."""
        with transaction(self.engine) as session:
            over = real_now(session) - SECOND
            paused = update(Breaker).where(Breaker.probe_at.is_not(None))
            session.execute(paused.values(probe_at=over))

    @precondition(lambda self: self.people)
    @rule()
    def look_around(self) -> None:
        """What is done once in a while: heed texts that were left over, ask for receipts that never
        came, and see what is wrong."""
        self.desk.let_asking_come()
        heeding.heed_left(self.engine, self.desk.planner, self.desk.now)
        self.staff.hear_answers()
        settling.reconcile(self.desk.sender, self.desk.now)
        watching.watch(self.engine, self.desk.planner, self.desk.now, caps=self.desk.sender.caps)

    @precondition(lambda self: self._mails())
    @rule(which=some, happening=st.sampled_from(MailHappening))
    def hear_of_a_mail(self, which: int, happening: MailHappening) -> None:
        message = self._mails()[which % len(self._mails())].message
        event_id = uuid.uuid4().hex
        event = MailEvent("said", happening, event_id, "", message.delivery_id)
        bouncing.record_mail_event(self.engine, self.desk.planner, event, self.desk.now)
        if happening in (MailHappening.bounced, *UNWELCOME) and self._is_patients(message):
            self.staff.refused(Channel.email, message.to, happening.value)

    def _mails(self) -> list[Kept]:
        return [one for one in self.provider.kept if one.is_mail]

    def _is_patients(self, message: Outgoing) -> bool:
        return any(person["email"] == message.to for person in PEOPLE)

    @precondition(lambda self: self.people)
    @rule()
    def rescue(self) -> None:
        """The lease of every worker that died has run out."""
        self.desk.let_leases_run_out()
        self.desk.rescue()

    @precondition(lambda self: self.people)
    @rule(answers=st.booleans(), times=st.integers(1, 2))
    def ask(self, answers: bool, times: int) -> None:
        self.provider.answers_questions = answers
        for _ in range(times):
            self._ask()
        self.provider.answers_questions = True

    @precondition(lambda self: self.provider.texts())
    @rule(which=some, words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=4))
    def report(self, which: int, words: list[str]) -> None:
        texts = self.provider.texts()
        for word in words:
            self._report(texts[which % len(texts)], word)

    @rule(sender=numbers, body=st.sampled_from(("STOP", "START", "hello")))
    def reply(self, sender: str, body: str) -> None:
        self._reply(sender, body)

    @precondition(lambda self: self.people)
    @rule(which=some)
    def mark(self, which: int) -> None:
        if lead := self._lead(which):
            self.staff.mark(lead.id)

    @precondition(lambda self: self.people)
    @rule(which=some, rests=st.booleans())
    def put_off(self, which: int, rests: bool) -> None:
        if lead := self._lead(which, LeadStatus.open):
            with transaction(self.engine) as session:
                now = self.desk.now
                if rests:
                    until = now + 3 * HOUR
                    working.snooze(session, lead.id, until=until, by="Ann", now=now)
                else:
                    working.record_attempt(session, self.desk.planner, lead.id, by="Ann", now=now)

    @precondition(lambda self: self.people)
    @rule(which=some)
    def reopen(self, which: int) -> None:
        if lead := self._lead(which, LeadStatus.contacted, LeadStatus.closed):
            self.promises.reopened(lead.id)
            self.desk.reopen(lead)
            self.staff.part(lead.id)

    @precondition(lambda self: self.people)
    @rule(which=some)
    def opt_out(self, which: int) -> None:
        if lead := self._lead(which):
            with transaction(self.engine) as session:
                working.record_opt_out(
                    session, self.desk.planner, lead.id, by="Ann", now=self.desk.now
                )
            for channel, address in ((Channel.sms, lead.phone), (Channel.email, lead.email)):
                if address:
                    self.staff.refused(channel, address, "asked_staff")

    @precondition(lambda self: self.people)
    @rule(which=some)
    def unsubscribe(self, which: int) -> None:
        if mails := self._mails():
            message = mails[which % len(mails)].message
            if receiving.unsubscribe(self.engine, message.delivery_id, self.desk.now):
                self.staff.refused(Channel.email, message.to, "unsubscribed")

    @precondition(lambda self: self.people)
    @rule(which=some, is_kept=st.booleans())
    def die_in_a_mark(self, which: int, is_kept: bool) -> None:
        """The process ends around the commit; nobody hears an answer."""
        lead = self._lead(which)
        with suppress(WorkerLost, Conflict), _dying("after" if is_kept else "before"):
            if lead:
                with transaction(self.engine) as session:
                    session.info["act"] = "mark"
                    working.mark_contacted(session, lead.id, by="Ann", now=self.desk.now)

    @precondition(lambda self: self.people)
    @rule(what=st.sampled_from(("consume", "ask", "rescue", "announce")), is_kept=st.booleans())
    def die(self, what: str, is_kept: bool) -> None:
        with suppress(WorkerLost), _dying("after" if is_kept else "before"):
            work: dict[str, Callable[[], object]] = {
                "consume": self.desk.consume,
                "ask": self.desk.settle,
                "rescue": self.desk.rescue,
                "announce": self.hearers.announce,
            }
            work[what]()
        self._note_consents()

    @invariant()
    def every_promise_is_kept(self) -> None:
        self._none("broken promises", self.promises.broken)
        self._none("sent twice", oracle.sent_twice(self.engine, self._taken()))
        self._none("steps back", oracle.steps_back(self.engine))
        self._none("wrongly posted", self.hearers.broken)

    def _taken(self) -> list[Taken]:
        return [
            Taken(
                one.message.delivery_id,
                Channel.email if one.is_mail else Channel.sms,
                one.message.to,
                one.message.message_id or one.id,
            )
            for one in self.provider.kept
        ]

    def _none(self, what: str, found: Sequence[object]) -> None:
        if self.judged is None or what == self.judged:
            assert not found, f"{what}: {found}"

    # The end: time passes, nothing breaks any more.

    def teardown(self) -> None:
        # Whoever heard no answer brings it again.
        self.staff.bring_all_again()
        for passed in (MINUTE, MINUTE, 10 * MINUTE, 3 * HOUR, 25 * HOUR):
            self.desk.now += passed
            self._let_probes_come()
            self.consume()
            self.rescue()
            self._ask()
            self.look_around()
            for lane in Lane:
                self._send(lane)
            self.hearers.announce()
        self.every_promise_is_kept()
        self._none("still owed", oracle.still_owed(self.engine, self.desk.now))
        self._none("unexplained", oracle.unexplained(self.engine))
        self._none("not in the books", oracle.not_in_the_books(self.engine, self._taken()))
        self._none("lost", self._lost())
        self._none("forgotten", self._forgotten())
        self._none("wrongly ended", self._wrongly_ended())
        self._none("owed in silence", oracle.owed_in_silence(self.engine))
        self._none("not answered once", self.staff.not_answered_once())
        self._none("still to be told", self.hearers.still_owed())
        self._none("wrongly told", self.hearers.wrongly_told())

    def _lost(self) -> list[uuid.UUID]:
        """Submissions without a lead of that person."""
        lost = []
        for submission_id, person in self.people.items():
            lead = self.desk.lead_of(submission_id)
            if person["email"] != lead.email and person.get("phone") != lead.phone:
                lost.append(submission_id)
        return lost

    def _forgotten(self) -> list[str]:
        """Open leads of which staff will not be reminded any more."""
        owed = {
            row.lead_id
            for row in self.desk.rows(lane=Lane.reminder, step="reminder", status=Status.planned)
        }
        leads = [lead for lead in self.desk.leads() if lead.status is LeadStatus.open]
        return [lead.reference for lead in leads if lead.id not in owed]

    def _wrongly_ended(self) -> list[str]:
        """Texts whose end was reported, and whose row says something else."""
        rows = {row.id: row for row in self.desk.rows()}
        return [
            f"{one.ending}, but the row says {rows[one.message.delivery_id].status}"
            for one in self.provider.texts()
            if one.ending and rows[one.message.delivery_id].status is not STATUSES[one.ending]
        ]


class WithOthers(Machine):
    """And what else is done to leads, by texts and by clicks, and told to other systems. Apart,
    because with so many rules a fault of sending would take long to come about."""

    @rule(ticks=mostly, also_ticks=mostly)
    def submit_twice(self, ticks: bool, also_ticks: bool) -> None:
        """Two at one number, who may be one person."""
        self.submit(ALICE, ticks)
        self.submit(CLARA, also_ticks)
        self.consume()

    @precondition(lambda self: self.people)
    @rule(which=some, why=st.sampled_from(Closing))
    def close(self, which: int, why: Closing) -> None:
        if lead := self._lead(which, LeadStatus.open):
            self.staff.close(lead.id, why)

    @precondition(lambda self: self.staff.duplicates())
    @rule(which=some)
    def merge(self, which: int) -> None:
        duplicates = self.staff.duplicates()
        self.staff.merge(duplicates[which % len(duplicates)].id)

    @precondition(lambda self: self.people)
    @rule(which=some, phone=st.sampled_from(COLLEAGUES), said=st.sampled_from(COMMANDS))
    def text_as_staff(self, which: int, phone: str, said: str) -> None:
        if lead := self._lead(which):
            self.staff.text(phone, said, lead.id)

    @precondition(lambda self: self.people)
    @rule(ending=st.sampled_from(Hearing))
    def announce(self, ending: Hearing) -> None:
        self.hearers.announce(ending)

    @precondition(lambda self: self.people)
    @rule(
        which=some,
        said=st.sampled_from(COMMANDS),
        where=st.sampled_from(("receive_reply", "heed_reply")),
        is_kept=st.booleans(),
    )
    def die_in_a_text_of_staff(self, which: int, said: str, where: str, is_kept: bool) -> None:
        """Before or after what it says is kept, or done."""
        lead = self._lead(which)
        with suppress(WorkerLost), _dying(f"{where} {'after' if is_kept else 'before'}"):
            if lead:
                self.staff.text(FRONT_DESK_PHONE, said, lead.id)
        self.staff.hear_answers()

    @precondition(lambda self: self.staff.duplicates())
    @rule(which=some, is_kept=st.booleans())
    def die_in_a_merging(self, which: int, is_kept: bool) -> None:
        duplicates = self.staff.duplicates()
        part = duplicates[which % len(duplicates)]
        desk, when = self.desk, "after" if is_kept else "before"
        with suppress(WorkerLost, Conflict), _dying(when), transaction(self.engine) as session:
            session.info["act"] = "merge"
            uniting.merge_duplicate(session, desk.planner, part.id, by="Ann", now=desk.now)


def run(
    engine: Engine,
    examples: int,
    steps: int = 30,
    *,
    is_long: bool = False,
    judged: str | None = None,
    kind: type[Machine] = WithOthers,
) -> None:
    """That many examples over a database; raises what the first that fails raises.

    With `judged` the one that fails is as good as its smallest.
    """
    phases = [Phase.generate, Phase.shrink] if judged is None else [Phase.generate]
    run_state_machine_as_test(
        type("Machine", (kind,), {"engine": engine, "judged": judged}),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            # The same examples each time in CI, others each time at length.
            derandomize=not is_long,
            database=None,
            deadline=None,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@contextmanager
def _dying(where: str) -> Iterator[None]:
    """The first commit from now on of those that are there, or what comes after it, does not
    happen."""

    def die(point: str) -> None:
        if where in point:
            raise WorkerLost

    with listening(die):
        yield
