"""Names of fields that are often sensitive, in the languages that software is written in."""

import re

_WORDS = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])|\d+")

# Words, or words that follow each other, in lower case: what a field of this name has.
_KINDS = {
    "an e-mail address": "email, e mail, mail, emailaddress, courriel, correo",
    "a telephone number": "phone, phonenumber, telephone, tel, telefon, mobile, mobil, handy, fax, "
    "cell, msisdn",
    "a bank account": "iban, bic, swift, bank account, account number, accountnumber, "
    "routing number, sort code, kontonummer",
    "a card": "card number, cardnumber, credit card, creditcard, cvv, cvc, pan",
    "a birth date": "birth, birthday, birthdate, birth date, date of birth, dob, geburtsdatum, "
    "geburtstag, naissance",
    "an identity number": "ssn, social security, passport, passport number, id card, tax id, "
    "taxid, vat id, steuernummer, steuer id, national id, nin, nino, dni, cpf, driver license, "
    "licence number",
    "pay": "salary, wage, wages, income, gehalt, lohn, payroll",
    "health": "health, diagnosis, medication, blood type, disability, allergies",
    "a belief or origin": "religion, ethnicity, race, nationality, political",
    "a home": "street, home address, postal address, address line, zip, zipcode, postcode, "
    "postal code, plz",
    "a secret": "password, passwd, pwd, passphrase, pin, secret, token, api key, apikey, "
    "private key, access key, credentials, otp",
    "a place": "latitude, longitude, lat, lng, geolocation, gps",
    "an IP address": "ip, ip address, ipaddress",
}
_KIND_OF = {
    tuple(words.split()): kind for kind, names in _KINDS.items() for words in names.split(", ")
}
_MOST_WORDS = max(map(len, _KIND_OF))


def kind_of(name: str) -> str | None:
    """The sensitive content that a field of this name probably has, in words; ``None`` if none."""
    words = [word.lower() for word in _WORDS.findall(name)]
    for length in range(_MOST_WORDS, 0, -1):
        for start in range(len(words) - length + 1):
            kind = _KIND_OF.get(tuple(words[start : start + length]))
            if kind:
                return kind
    return None
