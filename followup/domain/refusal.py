"""A refusal in free words: "please take me off your list", "ya no me escriban", "wrong number".

47 CFR 64.1200(a)(10): a reply counts "if a reasonable person would understand those words to have
conveyed a request to revoke consent". A phrase counts as a clause of its own, never as a word
inside a sentence: "don't stop", "can I stop by" and "make it stop" refuse nothing. In doubt it does
not count, and a human reads it: any reply ends the reminders anyway.
"""

import re

from followup.domain.plain import plain_words

#: So much is read of a text, and of a clause, so that nobody can make the reading slow.
_READ, _READ_OF_CLAUSE = 1600, 200

_CLAUSES = re.compile(r"[.,;:!?\n\r()\u00a1\u00bf\u2026\u2013\u2014]+|\s-+\s")


def is_refusal(text: str) -> bool:
    """Whether one of its clauses asks us to stop writing, and none speaks of despair."""
    if _DESPAIR.search(plain_words(text[:_READ])):
        return any(_NAMES_MESSAGES.search(clause) for clause in _refusing(text))
    return any(_refusing(text))


def is_wrong_number(text: str) -> bool:
    """Whether it says that whoever we write to is not there."""
    return any(_WRONG_NUMBER.fullmatch(clause) for clause in _clauses(text))


def _refusing(text: str) -> list[str]:
    return [
        clause
        for clause in _clauses(text)
        if _REFUSAL.fullmatch(clause) or _WRONG_NUMBER.fullmatch(clause)
    ]


def _clauses(text: str) -> list[str]:
    """What stands between marks, and between words that join what could stand alone."""
    found = (plain_words(one) for one in _CLAUSES.split(text[:_READ]))
    parts = (part.strip() for clause in found for part in _JOINTS.split(clause))
    return [part[:_READ_OF_CLAUSE] for part in parts if part]


def _any(*phrases: str) -> str:
    return f"(?:{'|'.join(phrases)})"


_JOINTS = re.compile(
    r" (?:and|but|because|since|so please|so just|so do not|so dont|y|pero|porque)(?= )"
    r"| (?=(?:please|pls|por favor) (?:do not|dont|stop|take|remove|delete|no|deje|dejen|deja)\b)"
    r"| (?=(?:i (?:am|have|dont|do not|already|found|never|no longer|got|was|will)|im|ive|ill)\b)"
    r"| (?=(?:this is|this isnt|thank you|thanks|gracias)\b)"
)

_THING = (
    _any("text", "sms", "reminder", "automated", "auto", "follow up", "followup", "phone")
    + "?"
    + " ?"
    + _any(
        *("messages?", "texts?", "msgs?", "texting", "reminders?", "notifications?", "alerts?"),
        *("sms", "messaging", "text messages?", "communications?", "contact", "spam"),
    )
)
_WHICH = _any(
    "all", "the", "these", "those", "your", "my", "any", "more", "of", "this", "anymore", "such"
)
_THINGS = rf"(?:{_WHICH} )*{_THING}"
_WHOM = _any(
    *("me", "us", "him", "her", "them", "this number", "my number", "my phone", "this phone"),
    *("here", "my cell", "to me", "to this number", "at this number", "on this number"),
)
_WRITING = _any(
    *("texting", "messaging", "msging", "contacting", "writing", "spamming", "bothering"),
    *("harassing", "pestering", "bugging", "reaching out", "sending"),
)
_WRITE = _any(
    *("text", "txt", "message", "msg", "contact", "write", "sms", "reach out"),
)
_PESTER = _any("bother", "spam", "harass", "bug", "pester")
_NOT = _any("dont", "do not", "dont you", "dont ever", "do not ever", "never", "no longer")
_WANT = _any(
    *("want", "wish", "like", "need", "would like", "want you", "would like you", "prefer"),
    "need you",
)
_ABOUT = r"(?: (?:about|regarding|for|from) .*)?"

_ME = _any("me", "us", "my name", "my number", "my phone number", "this number", "my phone")
_OFF = r" (?:off|from)(?: (?:this|these|those|all|it))*"
_LIST = (
    r"(?:(?:of|your|this|the|that|these|those|any|all) )*(?:(?:mailing|contact|text|phone|sms) )?"
    + _any("lists?", "database", "system", "contacts", "records", _THING)
)

_ENGLISH = (
    rf"{_any('stop', 'quit', 'cease', 'end')} {_WRITING}(?: {_WHOM})*(?: {_THINGS})?(?: {_WHOM})*"
    rf"{_ABOUT}",
    rf"{_any('stop', 'end', 'cancel', 'no more', 'cease')} {_THINGS}(?: {_WHOM})*",
    r"stop (?:it|this|that)",
    rf"{_NOT} {_WRITE}(?: to)?(?: {_WHOM})*(?: {_THINGS})?",
    rf"{_NOT} {_PESTER} {_WHOM}",
    rf"{_NOT} send(?: {_WHOM})?(?: {_THINGS}| anything| any more| more)(?: {_WHOM})?",
    rf"(?:i|id) {_WANT} {_THINGS} to (?:stop|end|cease)",
    rf"i {_any('dont', 'do not', 'no longer', 'didnt', 'did not')} {_any('want', 'need', 'like')}"
    rf" (?:to {_any('get', 'receive', 'have', 'see')} )?{_THINGS}(?: {_WHOM})*{_ABOUT}",
    rf"i {_any('dont', 'do not', 'no longer')} {_any('want', 'wish', 'like')} (?:you )?to"
    rf" {_any('be', 'get')}? ?"
    rf"{_any('texted', 'contacted', 'messaged', _WRITE)}(?: {_WHOM})*",
    rf"(?:i|id) {_WANT} to {_any('stop', 'quit')} {_any('getting', 'receiving')} {_THINGS}{_ABOUT}",
    rf"(?:i|id) {_WANT} to (?:be )?{_any('unsubscribed?', 'opt out', 'opted out', 'be removed')}"
    rf"(?: {_any('from', 'of', 'off')} .*)?",
    r"(?:unsubscribe|opt) (?:me|us|this number|my number)(?: out)?(?: (?:from|of) .*)?",
    r"(?:unsubscribe|opt out) (?:from|of) .*",
    rf"(?:remove|delete|take) {_ME}{_OFF}",
    rf"(?:remove|delete) {_ME}",
    rf"(?:take|get|remove|drop|scratch) {_ME} (?:off|off of|from|out of) {_LIST}",
    r"leave (?:me|us) (?:alone|be)",
    r"lose (?:my|this) (?:phone )?number",
    rf"i (?:hereby |want to |wish to |would like to )?{_any('withdraw', 'revoke', 'take back')}"
    r" (?:my )?(?:consent|permission)(?: .*)?",
    r"i (?:do not|dont|no longer|never|did not|didnt) (?:(?:give|gave) (?:you )?)?(?:my )?"
    r"(?:consent|permission|consented)(?: .*)?",
    r"i (?:never|did not|didnt|do not|dont) (?:agreed?|sign(?:ed)? up|subscribed?|asked?) "
    r"(?:to|for) (?:get |receive |getting |receiving |being )?"
    rf"{_any('this', 'these', 'that', _THINGS)}",
)
_SPANISH_THING = (
    _any("mensajes?", "textos?", "mensajitos", "sms", "recordatorios?", "avisos?", "notificaciones")
    + "(?: de texto)?"
)
_SPANISH_THINGS = rf"(?:(?:mas|los|las|sus|tus|esos|estos|de|ningun|otro) )*{_SPANISH_THING}"
_SPANISH_WRITE = _any(
    *("escriban?", "escribas", "manden?", "mandes", "envien?", "envies", "contacten?", "contactes"),
    *("textee?n?", "molesten?", "molestes", "mensajeen?", "escriba"),
)
_SPANISH_WRITING = _any(
    *("mandar", "enviar", "escribir", "textear", "molestar", "contactar", "mensajear"),
)
_SPANISH = (
    rf"(?:ya )?no mas {_SPANISH_THING}",
    rf"(?:ya )?no (?:quiero|deseo|necesito) (?:recibir )?{_SPANISH_THINGS}(?: .*)?",
    rf"(?:ya )?no (?:quiero|deseo) que (?:me|nos) {_SPANISH_WRITE}(?: mas)?(?: {_SPANISH_THINGS})?",
    rf"(?:ya )?no (?:me|nos) {_SPANISH_WRITE}(?: mas| {_SPANISH_THINGS}| nada)*",
    rf"(?:ya )?no {_SPANISH_WRITE} mas {_SPANISH_THING}",
    rf"(?:ya )?(?:dejen?|deja|dejar|paren?|para) de {_SPANISH_WRITING}(?:me|nos)?"
    rf"(?: mas)?(?: {_SPANISH_THINGS})?",
    r"(?:quite|quiten|quita|saque|saquen|saca|elimine|eliminen|elimina|borre|borren|borra)"
    r"(?:me|nos) (?:ya )?de (?:la|su|sus|esta|tu|las) listas?(?: .*)?",
    r"(?:quite|quiten|quita|saque|saquen|saca|elimine|eliminen|elimina|borre|borren|borra)me",
    r"(?:borre|borren|borra|elimine|eliminen|elimina|quite|quiten|quita)"
    r" (?:mi|este) (?:numero|telefono|celular)(?: .*)?",
    r"(?:quiero )?(?:dar|dare|darme|deme|denme|dame) de baja",
    r"(?:retiro|revoco|quito) (?:mi )?consentimiento",
    rf"cancel(?:ar|en?|a) {_SPANISH_THINGS}",
    r"(?:deje|dejen|deja)(?:me|nos) en paz",
    r"no (?:he )?(?:pedi|pedido|solicite|autorice|autorizo) (?:estos|esos|sus) mensajes",
)

#: A word that withdraws by itself, standing as a clause beside others: "No thanks. STOP"
_BARE = (
    *("stop", "stop all", "stopall", "unsubscribe", "opt out", "optout", "stop texting"),
    "no mas",
)

# No entry of these two is made of others: each text then has one reading, and is read fast.
_BEFORE = _any(
    *("please", "pls", "plz", "kindly", "just", "hi", "hello", "hey", "ok", "okay", "sorry", "no"),
    *("and", "so", "but", "then", "again", "i said", "i told you to", "i asked you to", "thanks"),
    *("you need to", "you must", "you have to", "can you", "could you", "would you", "will you"),
    *("i need you to", "i want you to", "i would like you to", "id like you to", "can u", "yes"),
    *("por favor", "porfavor", "favor de", "hola", "ya", "gracias", "oye", "disculpe", "now"),
    *("le pido que", "les pido que", "thank you", "immediately"),
)
_AFTER = _any(
    *("please", "pls", "plz", "thanks", "thank you", "now", "right now", "immediately", "already"),
    *("asap", "anymore", "any more", "any longer", "again", "ever", "for good", "forever", "ok"),
    *("okay", "sir", "permanently", "today", "por favor", "porfavor", "gracias", "ya", "nunca"),
    *("a este numero", "a mi telefono"),
)


def _clause(*phrases: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{_BEFORE} )*{_any(*phrases)}(?: {_AFTER})*")


_REFUSAL = _clause(*_ENGLISH, *_SPANISH, *_BARE)

_WRONG_NUMBER = _clause(
    r"(?:you have |youve got |u have |you got |this is |its |i think )*(?:the |a )?"
    rf"wrong {_any('number', 'person', 'phone', 'num', 'guy')}",
    r"this (?:isnt|is not|aint|is no longer) (?:her|his|their|the right|that persons?|\w+s) "
    rf"{_any('number', 'phone', 'phone number', 'cell', 'cell phone')}",
    r"(?:not|isnt|no longer) (?:her|his|their) (?:number|phone|cell)",
    r"(?:she|he|they|\w+) (?:doesnt|does not|no longer) (?:have|has|use|uses|own|owns)"
    r" this (?:number|phone)",
    r"(?:numero|persona|telefono) (?:equivocad[oa]|incorrect[oa])",
    r"(?:se|te|ustedes se) (?:equivoco|equivocaron|equivocaste|ha equivocado) de"
    r" (?:numero|persona|telefono)",
    r"(?:este|ese) (?:ya )?no es (?:el|su) (?:numero|telefono|celular)(?: de .*)?",
    r"(?:tiene|tienen) el numero equivocado",
)

#: Speaks of a life, or of what is unbearable: then only a clause that names messages counts.
_DESPAIR = re.compile(
    r"\b(?:(?:make|want|need|wish) (?:it|this|that|everything|all of (?:this|it)|the \w+) (?:all )?"
    r"(?:to )?(?:stop|end)|end (?:it|it all|my life|everything)|(?:cant|cannot) (?:take|go on|do"
    r" this)|want to die|kill myself|que (?:todo )?(?:pare|termine|acabe)|no puedo mas|"
    r"quiero morir|acabar con todo)\b"
)
_NAMES_MESSAGES = re.compile(
    rf"\b(?:{_THING}|{_WRITING}|{_WRITE}|list|unsubscribe|number|mensajes?|{_SPANISH_WRITE}|"
    rf"{_SPANISH_WRITING}(?:me|nos)?|lista|numero)\b"
)
