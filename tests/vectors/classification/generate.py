#!/usr/bin/env python3
"""Makes columns.jsonl: columns as databases have them, with what they hold.

Values come from two generators that know nothing of gov's lists of names: Faker (Python) and @faker-js/faker. Run it with
both installed (`pip install Faker`, `npm install @faker-js/faker`); the seed is fixed.
"""
import json, random, subprocess, sys, uuid
from faker import Faker

R = random.Random(20260727)
VALUES = 24
LOCALES = ["en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "pt_BR", "nl_NL", "sv_SE", "pl_PL", "ja_JP", "da_DK"]
FAKERS = {locale: Faker(locale) for locale in LOCALES}
for faker in FAKERS.values():
    faker.seed_instance(7)
US = FAKERS["en_US"]

def digits(count): return "".join(R.choice("0123456789") for _ in range(count))
def hexes(count): return "".join(R.choice("0123456789abcdef") for _ in range(count))
def luhn(body):
    total = sum(n if i % 2 else (n * 2 - 9 if n > 4 else n * 2) for i, n in enumerate(int(c) for c in reversed(body)))
    return body + str(-total % 10)
def weighted(body, weights): return sum(int(a) * b for a, b in zip(body, weights))
def bsn():
    while True:
        body = digits(8); rest = weighted(body, range(9, 1, -1)) % 11
        if rest < 10 and body[0] != "0": return body + str(rest)
def nhs():
    while True:
        body = digits(9); rest = (11 - weighted(body, range(10, 1, -1)) % 11) % 11
        if rest < 10: return R.choice(["{0}{1}", "{a} {b} {c}{1}"]).format(body, rest, a=body[:3], b=body[3:6], c=body[6:])
def dni(): n = R.randrange(10**7, 10**8); return f"{n}{'TRWAGMYFPDXBNJZSQVHLCKE'[n % 23]}"
def pesel():
    body = f"{R.randrange(40, 99)}{R.randrange(1, 13):02}{R.randrange(1, 29):02}{digits(4)}"
    return body + str(-weighted(body, [1, 3, 7, 9] * 3) % 10)
def nir():
    body = f"{R.choice('12')}{R.randrange(40, 99)}{R.randrange(1, 13):02}{R.randrange(1, 95):02}{digits(6)}"
    return f"{body}{97 - int(body) % 97:02}"
def aws(): return "AKIA" + "".join(R.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16))
def alnum(count): return "".join(R.choice("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") for _ in range(count))
def secret(): return R.choice([aws, lambda: "ghp_" + alnum(36), lambda: "sk_live_" + alnum(24), lambda: "$2b$12$" + alnum(53)])()
def birth(f): return f.date_of_birth(minimum_age=17, maximum_age=90).isoformat()

# entity: value of a locale, type, names that say it, short names that say it
SENSITIVE = {
    "email": (lambda f: f.email(), "text", ["email", "customer_email", "contactEmail", "email_address", "userEmail", "billing_email", "bcc_emails", "EMAIL", "e_mail", "correo_electronico"], ["eml", "mail_addr", "usr_mail", "e_addr"]),
    "phone": (lambda f: f.phone_number(), "text", ["phone", "phone_number", "mobilePhone", "customer_phone", "telefon", "contact_phone", "telephone", "cell_phone", "work_phone", "fax"], ["ph", "ph_no", "tel", "mob", "tel_nr"]),
    "card": (lambda f: US.credit_card_number(R.choice(["visa16", "mastercard", "amex"])), "text", ["credit_card", "card_number", "creditCardNumber", "cc_number", "payment_card_number"], ["cc_no", "ccnum", "crd_num"]),
    "iban": (lambda f: FAKERS[R.choice(["de_DE", "fr_FR", "es_ES", "nl_NL", "it_IT", "pl_PL"])].iban(), "text", ["iban", "bank_iban", "customerIban", "payout_iban", "account_iban"], ["iban_no", "ibn"]),
    "us_ssn": (lambda f: US.ssn(), "text", ["ssn", "social_security_number", "employee_ssn", "ssnNumber"], ["ssn_no", "soc_sec"]),
    "ip_address": (lambda f: US.ipv4_public(), "text", ["ip_address", "last_login_ip", "client_ip", "remoteIp", "signup_ip"], ["ip", "ip_addr", "src_ip"]),
    "mac_address": (lambda f: US.mac_address(), "text", ["mac_address", "device_mac", "macAddress"], ["mac", "mac_addr"]),
    "person_name": (lambda f: f.name(), "text", ["full_name", "customer_name", "contactName", "cardholder_name", "name@customers", "patient_name", "employee_name"], ["fullnm", "cust_nm", "emp_name"]),
    "person_name ": (lambda f: R.choice([f.first_name, f.last_name])(), "text", ["first_name", "last_name", "surname", "givenName", "lastName", "vorname", "apellido"], ["fname", "lname", "fst_nm"]),
    "address": (lambda f: f.address().replace("\n", ", "), "text", ["address", "street_address", "home_address", "billingAddress", "shipping_address_line1"], ["addr", "addr1", "str_addr"]),
    "birth_date": (birth, "date", ["birth_date", "date_of_birth", "birthday", "dateOfBirth", "geburtsdatum", "fecha_nacimiento"], ["dob", "b_day", "birth_dt"]),
    "username": (lambda f: f.user_name(), "text", ["username", "user_name", "login", "userName", "screen_name"], ["uname", "usr", "login_nm"]),
    "secret": (lambda f: secret(), "text", ["api_key", "password", "access_token", "client_secret", "hmac_key", "otp_backup_codes", "passwordHash"], ["pwd", "passwd", "apikey"]),
    "br_cpf": (lambda f: FAKERS["pt_BR"].cpf(), "text", ["cpf", "cpf_cliente", "numero_cpf"], ["cpf_nr"]),
    "es_dni": (lambda f: dni(), "text", ["dni", "dni_cliente", "nif"], ["dni_num"]),
    "pl_pesel": (lambda f: pesel(), "text", ["pesel", "numer_pesel"], ["pesel_nr"]),
    "fr_nir": (lambda f: nir(), "text", ["nir", "numero_securite_sociale"], ["num_secu"]),
    "nl_bsn": (lambda f: bsn(), "text", ["bsn", "burgerservicenummer"], ["bsn_nr"]),
    "uk_nhs": (lambda f: nhs(), "text", ["nhs_number", "nhsNumber"], ["nhs_no"]),
    "it_fiscal_code": (lambda f: FAKERS["it_IT"].ssn(), "text", ["codice_fiscale", "codiceFiscale"], ["cod_fisc"]),
    "salary": (lambda f: str(R.randrange(24, 240) * 1000), "numeric", ["salary", "base_salary", "annual_income", "gehalt"], []),
    "passport": (lambda f: US.passport_number(), "text", ["passport_number", "passportNo", "passport"], []),
}
def semver4(): return ".".join(str(R.randrange(0, 20)) for _ in range(4))
CLEAR = {
    "order number": (lambda f: digits(10), "text", ["order_number", "orderNo", "invoice_number", "external_ref", "po_number"]),
    "order number with a check digit": (lambda f: luhn("7" + digits(11)), "text", ["order_number", "serial_number", "ticket_no"]),
    "sequence": (lambda f: str(100000000 + R.randrange(500000)), "text", ["reference", "batch_id", "legacy_id"]),
    "uuid": (lambda f: str(uuid.UUID(int=R.getrandbits(128), version=4)), "uuid", ["email_id", "id", "phone_verification_id", "request_id"]),
    "uuid as text": (lambda f: str(uuid.UUID(int=R.getrandbits(128), version=4)), "text", ["emailTransportId", "correlation_id", "address_id"]),
    "version": (lambda f: semver4(), "text", ["version", "app_version", "build"]),
    "sku": (lambda f: f"{R.choice('ABCDEFGH')}{R.choice('KLMNP')}-{digits(4)}-{R.choice('RSTUV')}", "text", ["sku", "product_code", "item_code"]),
    "sent at": (lambda f: US.date_time_this_decade().isoformat(), "timestamptz", ["email_sent_at", "phone_verified_at", "password_changed_at", "created_at"]),
    "timestamp as text": (lambda f: US.date_time_this_decade().isoformat(" "), "text", ["updated", "processed_at", "address_changed_on"]),
    "recent date": (lambda f: US.date_between("-3y").isoformat(), "date", ["start_date", "shipped_on", "due_date"]),
    "sha1": (lambda f: hexes(40), "text", ["commit", "checksum", "revision"]),
    "trace": (lambda f: hexes(32), "text", ["trace_id", "span_id", "etag"]),
    "tracking": (lambda f: "1Z" + "".join(R.choice("ABCDEFGHJKLMNPRSTVWXY0123456789") for _ in range(16)), "text", ["tracking_number", "shipment_ref"]),
    "ean": (lambda f: US.ean13(), "text", ["ean", "barcode", "gtin"]),
    "isbn": (lambda f: US.isbn13(), "text", ["isbn", "isbn13"]),
    "network": (lambda f: f"10.{R.randrange(256)}.{R.randrange(256)}.0/24", "text", ["subnet", "cidr", "network_range"]),
    "latitude": (lambda f: str(US.latitude()), "text", ["lat", "latitude", "geo_x"]),
    "host": (lambda f: US.hostname(), "text", ["host", "hostname", "server"]),
    "company": (lambda f: f.company(), "text", ["company", "company_name", "vendor", "organization_name"]),
    "product": (lambda f: R.choice(["Ergonomic", "Rustic", "Sleek", "Handmade", "Refined"]) + " " + R.choice(["Wooden", "Steel", "Cotton", "Granite"]) + " " + R.choice(["Chair", "Table", "Lamp", "Shoes", "Ball", "Mouse"]), "text", ["product_name", "item_name", "invoice_display_name", "title"]),
    "city": (lambda f: f.city(), "text", ["city", "destination_city", "warehouse_city"]),
    "country": (lambda f: US.country(), "text", ["country", "country_name"]),
    "code": (lambda f: US.currency_code(), "text", ["currency", "currency_code"]),
    "status": (lambda f: R.choice(["open", "paid", "sent", "returned"]), "text", ["status", "email_status", "card_type", "state"]),
    "flag": (lambda f: R.choice(["true", "false"]), "bool", ["has_phone", "email_verified", "is_card_active"]),
    "count": (lambda f: str(R.randrange(100)), "int4", ["address_count", "email_rate_limit", "login_attempts", "phones_count"]),
    "amount": (lambda f: f"{R.randrange(100000) / 100:.2f}", "numeric", ["amount", "total", "price", "unit_price"]),
    "sentence": (lambda f: US.sentence(), "text", ["description", "summary", "subject", "email_template"]),
    "job": (lambda f: US.job(), "text", ["job_title", "position", "role_name"]),
    "slug": (lambda f: US.slug(), "text", ["slug", "path_segment", "permalink"]),
    "url": (lambda f: US.url() + US.uri_path(), "text", ["url", "website", "link"]),
    "mime": (lambda f: US.mime_type(), "text", ["content_type", "mime"]),
    "file": (lambda f: US.file_name(), "text", ["file_name", "attachment", "document_name"]),
    "agent": (lambda f: US.user_agent(), "text", ["user_agent", "browser"]),
    "color": (lambda f: US.color_name(), "text", ["color", "theme_name"]),
    "settings": (lambda f: json.dumps({"daily": R.random() < .5}), "text", ["emailSettings", "phone_options"]),
    "zone": (lambda f: US.timezone(), "text", ["timezone", "tz"]),
}
OPAQUE = ["c1", "col_7", "field3", "x", "attr_12", "data2", "val", "f_09", "column_a", "misc"]
TABLES = ["users", "customers", "orders", "t1", "data_export", "events", "contacts", "records", "staging_2", "payments", "tbl_main"]

FAKERJS = r"""
import { allFakers } from '@faker-js/faker';
const locales = ['en', 'en_GB', 'de', 'fr', 'es', 'it', 'pt_BR', 'nl', 'sv', 'pl', 'ja', 'da'];
const out = {};
const kinds = {
  email: f => f.internet.email(), phone: f => f.phone.number(), card: f => f.finance.creditCardNumber(f.helpers.arrayElement(['visa', 'mastercard', 'american_express'])),
  iban: f => f.finance.iban(), ip_address: f => f.internet.ipv4({ network: 'any' }), mac_address: f => f.internet.mac(), person_name: f => f.person.fullName(),
  'person_name ': f => f.helpers.arrayElement([f.person.firstName(), f.person.lastName()]), address: f => f.location.streetAddress(true),
  username: f => f.internet.username().toLowerCase(), company: f => f.company.name(), product: f => f.commerce.productName(), city: f => f.location.city(), job: f => f.person.jobTitle(),
};
for (const l of locales) { const f = allFakers[l]; f.seed(23); out[l] = {}; for (const [k, make] of Object.entries(kinds)) { try { out[l][k] = Array.from({ length: 480 }, () => make(f)); } catch { } } }
console.log(JSON.stringify(out));
"""

def column(source, entity, table, name, kind, type_, value):
    values = [None if R.random() < .05 else value() for _ in range(VALUES)]
    return {"source": source, "entity": entity, "table": table, "name": name, "kind": kind, "type": type_, "values": values}

def columns(source, locales, draw):
    for entity, (make, type_, names, short) in SENSITIVE.items():
        for kind, known in [("named", names), ("short", short), ("opaque", OPAQUE[:6])]:
            # Nothing in the values of these says what they are.
            if kind == "opaque" and entity in ("salary", "passport"): continue
            for name in known:
                locale = R.choice(locales)
                name, _, table = name.partition("@")
                yield column(source, entity.strip(), table or R.choice(TABLES), name, kind, type_, lambda: draw(locale, entity, make))
    for what, (make, type_, names) in CLEAR.items():
        for name in names + R.sample(OPAQUE, 3):
            locale = R.choice(locales)
            kind = "opaque" if name in OPAQUE else "named"
            yield column(source, None, R.choice(TABLES), name, kind, type_, lambda: draw(locale, what, make))

def main():
    out = [c for c in columns("faker", LOCALES, lambda locale, _, make: make(FAKERS[locale]))]
    js = json.loads(subprocess.run(["node", "--input-type=module", "-e", FAKERJS], stdout=subprocess.PIPE, check=True, cwd=sys.argv[1]).stdout)
    mine = dict(zip(js, LOCALES))
    def draw(locale, what, make):
        pool = js[locale].get(what)
        return str(R.choice(pool)) if pool else make(FAKERS[mine[locale]])
    out += columns("faker-js", list(js), draw)
    with open("columns.jsonl", "w") as file:
        for c in out: file.write(json.dumps(c, ensure_ascii=False) + "\n")
    print(len(out), "columns")
main()
