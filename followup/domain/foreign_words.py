"""What other people's forms call our fields and answers, in bare words of English and Spanish."""

from collections.abc import Mapping

#: What a field is called, in the bare words of English and Spanish, when nobody has mapped it.
#: Never a consent: that is the clinic's to say.
GUESSES: Mapping[str, frozenset[str]] = {
    ours: frozenset(words)
    for ours, words in {
        "name": (
            *("name", "full name", "fullname", "your name", "your full name", "patient name"),
            *("contact name", "first and last name", "nombre", "nombre completo", "su nombre"),
            *("tu nombre", "nombre y apellido", "nombre y apellidos", "nombre del paciente"),
        ),
        "email": (
            *("email", "e mail", "email address", "e mail address", "your email", "mail"),
            *("your email address", "correo", "correo electronico", "su correo", "tu correo"),
            *("su correo electronico", "direccion de correo electronico", "direccion de correo"),
        ),
        "phone": (
            *("phone", "phone number", "telephone", "telephone number", "tel", "your phone"),
            *("your phone number", "your tel", "mobile", "mobile phone", "mobile number", "cell"),
            *("cell phone", "cell number", "telefono", "numero de telefono", "su telefono"),
            *("tu telefono", "celular", "numero de celular", "movil", "telefono movil"),
            *("telefono celular", "numero telefonico"),
        ),
        "message": (
            *("message", "your message", "comment", "comments", "question", "questions"),
            *("how can we help", "how can we help you", "mensaje", "su mensaje", "tu mensaje"),
            *("comentario", "comentarios", "pregunta", "preguntas", "como podemos ayudarle"),
        ),
        "language": ("language", "preferred language", "idioma", "idioma preferido", "lengua"),
        "location": (
            *("location", "preferred location", "clinic", "site", "office", "sede", "clinica"),
            *("ubicacion", "consultorio", "oficina"),
        ),
        "interest": (
            *("interest", "interested in", "treatment", "interes", "tratamiento"),
            *("treatment of interest", "tratamiento de interes"),
        ),
        "preferred_channel": (
            *("preferred channel", "preferred contact method", "preferred method of contact"),
            *("contact preference", "medio de contacto preferido"),
        ),
        "source_url": ("source url", "page url", "landing page"),
    }.items()
}
FIRST_NAME = frozenset(
    {"first name", "firstname", "given name", "your first name", "nombre", "nombres", "first"}
    | {"primer nombre"}
)
LAST_NAME = frozenset(
    {"last name", "lastname", "surname", "family name", "your last name", "last", "apellido"}
    | {"apellidos"}
)
#: What people choose, in the words of our fields.
VALUES: Mapping[str, Mapping[str, str]] = {
    "language": {"english": "en", "ingles": "en", "spanish": "es", "espanol": "es"},
    "preferred_channel": {
        **dict.fromkeys(("call", "phone call", "telephone", "telefono", "llamada"), "phone"),
        **dict.fromkeys(("text", "text message", "texto", "mensaje de texto"), "sms"),
        **dict.fromkeys(("e mail", "mail", "correo", "correo electronico"), "email"),
    },
}
#: As the questionnaires print their four answers: phqscreeners.com, English and Spanish.
SCORES = {
    **{"not at all": 0, "several days": 1, "more than half the days": 2, "nearly every day": 3},
    **{"nunca": 0, "varios dias": 1, "mas de la mitad de los dias": 2, "casi todos los dias": 3},
    **{"para nada": 0, "ningun dia": 0},
}
