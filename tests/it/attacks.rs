//! The classes of attack that a proxy of databases must survive, each tried against the real thing: a gateway, a local
//! endpoint and a PostgreSQL. Numbers in names are those of the list that the project works from; 02 is tried in
//! `src/session/tests.rs`, 03, 05, 08 and 10 in `protocol.rs` and `limits.rs`, 12 in `login.rs`, and all of 14 that has an
//! expected outcome per statement in `guardrails.rs` and `leak.rs`.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::api::{Device, ask, client};
use crate::support::middle::{Middle, Script};
use crate::support::postgres::{self, Database};
use crate::support::tunnel::{self, Ask, Session, session_key};
use crate::support::wire::{Answer, Wire};
use crate::support::{Connected, Sandbox};

/// Attempts of one class, and those that got what they were for.
struct Tally {
    class: &'static str,
    attempts: u32,
    succeeded: Vec<String>,
}

impl Tally {
    fn new(class: &'static str) -> Self {
        Self { class, attempts: 0, succeeded: Vec::new() }
    }

    fn note(&mut self, name: impl Into<String>, succeeded: bool) {
        self.attempts += 1;
        if succeeded {
            self.succeeded.push(name.into());
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let survived = self.attempts - u32::try_from(self.succeeded.len()).unwrap();
        println!("attack {}: {} attempts, {survived} survived", self.class, self.attempts);
        assert!(self.succeeded.is_empty() || std::thread::panicking(), "{}", self.succeeded.join("\n"));
    }
}

/// A production database that bob may write to, and a table in it that his role could drop.
struct Stage {
    endpoint: Connected,
    sandbox: Sandbox,
    database: Database,
}

impl Stage {
    fn new() -> Self {
        let database = postgres::server().database();
        postgres::server().run(
            &database.name,
            "CREATE TABLE canary (id int); ALTER TABLE canary OWNER TO app_rw; INSERT INTO canary VALUES (1)",
        );
        let mut sandbox = Sandbox::new();
        let resource = database.resource("shop", &sandbox.home, "env=prod");
        sandbox.start_server(&["--dev", "--resource", &resource]);
        sandbox.log_in("bob");
        let endpoint = sandbox.connect(&["shop", "--write"]).unwrap();
        Self { endpoint, sandbox, database }
    }

    fn wire(&self) -> Wire {
        self.endpoint.wire(&[("gov.wait", "off")]).unwrap()
    }

    /// The canary is as it was made.
    fn lives(&self) -> bool {
        postgres::server().run(&self.database.name, "SELECT count(*) FROM pg_class WHERE relname = 'canary'") == "1"
            && postgres::server().run(&self.database.name, "SELECT count(*) FROM canary WHERE id = 1") == "1"
    }

    /// Whether a text has reached the database, which logs every statement.
    fn reached(text: &str) -> bool {
        postgres::server().log().contains(text)
    }
}

/// A stream of a session that is logged in at the gateway, past our own client.
async fn past_the_client(stage: &Stage, session: &Session, stream: u32) -> Wire {
    let mut wire = session.stream(&stage.sandbox, stream).await;
    wire.begin((3, 0), &[("user", "x"), ("database", "y"), ("gov.wait", "off")]);
    let answer = wire.answer();
    assert!(!answer.closed && answer.errors.is_empty(), "{answer:?}");
    wire
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

/// A message whose length says what it likes.
fn stating(tag: u8, length: u32, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

/// Everything that comes until the connection ends or has nothing more to say.
fn everything(mut wire: Wire) -> Vec<(u8, Vec<u8>)> {
    wire.finish_sending();
    let mut out = Vec::new();
    while let Some(message) = wire.next() {
        out.push(message);
    }
    out
}

/// Messages in which lengths lie, so that the smuggled message would be read by whoever believes them.
fn lying_lengths(smuggled: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let parse = message(b'P', b"\0select $1::text\0\0\0");
    let bind = |rest: &[u8]| [&parse[..], &message(b'B', &[b"\0\0\0\0", rest].concat())].concat();
    let behind = |head: &[u8]| [head, smuggled].concat();
    vec![
        ("a length of -1", behind(&stating(b'Q', u32::MAX, b"select 1\0"))),
        ("a length of -2^31", behind(&stating(b'Q', 1 << 31, b"select 1\0"))),
        ("a length of 2^31-1", behind(&stating(b'Q', (1 << 31) - 1, b"select 1\0"))),
        ("a length of 0", behind(&stating(b'Q', 0, b"select 1\0"))),
        ("a length of 3", behind(&stating(b'Q', 3, b"select 1\0"))),
        ("a length that ends in the text", behind(&stating(b'Q', 8, b"select 1\0"))),
        ("a text with more behind it", message(b'Q', &behind(b"select 1\0"))),
        ("a Sync with a body", message(b'S', smuggled)),
        ("a Flush with a body", message(b'H', smuggled)),
        ("a Terminate with a body", message(b'X', smuggled)),
        ("a CopyDone with a body", message(b'c', smuggled)),
        ("a name with more behind it", message(b'D', &behind(b"Sx\0"))),
        ("an Execute with more behind it", message(b'E', &behind(b"\0\0\0\0\0"))),
        ("65,535 types of parameters", message(b'P', &behind(b"\0select 1\0\xff\xff"))),
        ("65,535 values", bind(&behind(b"\xff\xff"))),
        ("a value of -2 bytes", bind(&behind(b"\0\x01\xff\xff\xff\xfe"))),
        ("a value of -2^31 bytes", bind(&behind(b"\0\x01\x80\0\0\0"))),
        ("a value of 2^31-1 bytes", bind(&behind(b"\0\x01\x7f\xff\xff\xff"))),
        ("a value that takes the formats along", bind(&behind(b"\0\x01\0\0\0\x03a\0\0"))),
        ("two values of which one is there", bind(&behind(b"\0\x02\0\0\0\x01a"))),
        ("65,535 formats of results", bind(&behind(b"\0\0\xff\xff"))),
        ("a function call with more behind it", message(b'F', &behind(b"\0\0\0\x01\0\0\0\0\0\0"))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_01_a_length_that_lies_smuggles_no_message() {
    let stage = Stage::new();
    let session = Session::open(&stage.sandbox, "shop", "write").await;
    let mut tally = Tally::new("01 lengths that lie");
    let smuggled = message(b'Q', b"DROP TABLE canary /* smuggled by a length */\0");
    for (number, (name, bytes)) in (1..).zip(lying_lengths(&smuggled)) {
        for past in [false, true] {
            let mut wire = if past { past_the_client(&stage, &session, number).await } else { stage.wire() };
            wire.send_raw(&bytes);
            wire.send(b'S', &[]);
            drop(everything(wire));
            tally.note(format!("{name}, past the client: {past}"), Stage::reached("smuggled by a length"));
        }
    }
    // COPY data ends with its own message, and with nothing that stands in it.
    for (name, data) in [
        ("a message in COPY data", smuggled.clone()),
        ("the end marker in COPY data", [b"\\.\n", &smuggled[..]].concat()),
        ("an end in COPY data", [message(b'c', b""), smuggled.clone()].concat()),
    ] {
        let mut wire = past_the_client(&stage, &session, 100 + tally.attempts).await;
        wire.send(b'Q', b"COPY canary FROM STDIN\0");
        while wire.next().is_some_and(|(tag, _)| tag != b'G' && tag != b'E') {}
        wire.send(b'd', &data);
        wire.send(b'f', b"enough\0");
        drop(everything(wire));
        tally.note(name, Stage::reached("smuggled by a length"));
    }
    assert!(stage.lives());
    assert_eq!(stage.wire().simple(b"SELECT 1").tags, ["SELECT 1"], "nobody else noticed");
}

fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend(name.bytes().chain([0]).chain(value.bytes()).chain([0]));
    }
    body.push(0);
    [&u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], &body].concat()
}

/// What comes back from the port for these bytes, up to the end.
fn poke(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // It may hang up before everything is sent.
    drop(stream.write_all(bytes));
    drop(stream.shutdown(Shutdown::Write));
    let mut out = Vec::new();
    drop(stream.read_to_end(&mut out));
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_04_who_one_is_is_settled_once() {
    let stage = Stage::new();
    let mut tally = Tally::new("04 states of a login");
    let endpoint = &stage.endpoint;
    let own = startup(&[("user", &endpoint.user), ("database", &endpoint.database)]);
    let other = startup(&[("user", "postgres"), ("database", "postgres")]);
    let query = message(b'Q', b"SELECT 'reached in disorder'\0");
    let initial = |mechanism: &[u8], response: &[u8]| {
        let length = u32::try_from(response.len()).unwrap().to_be_bytes();
        message(b'p', &[mechanism, b"\0", &length, response].concat())
    };
    let first = initial(b"SCRAM-SHA-256", b"n,,n=,r=abcdefghijklmnopqrstuvwx");
    // At the port, before a password was proved. Whoever gets in is told so: AuthenticationOk is `R` and eight, zero.
    let welcome = message(b'R', &[0; 4]);
    for (name, said) in [
        ("a second startup packet", vec![&own[..], &other]),
        ("a second startup packet behind the first step", vec![&own, &first, &other]),
        ("a query in place of a password", vec![&own, &query]),
        ("a query behind the first step", vec![&own, &first, &query]),
        ("the last step first", vec![&own, &message(b'p', b"c=biws,r=x,p=AAAA")]),
        ("the first step twice", vec![&own, &first, &first]),
        ("a password in clear", vec![&own, &message(b'p', &[endpoint.password.as_bytes(), b"\0"].concat())]),
        ("a mechanism nobody offered", vec![&own, &initial(b"SCRAM-SHA-1", b"n,,n=,r=abc")]),
        ("a mechanism without a name", vec![&own, &initial(b"", b"n,,n=,r=abc")]),
        ("an empty proof", vec![&own, &first, &message(b'p', b"c=biws,r=abc,p=")]),
        ("a Terminate, then a query", vec![&own, &message(b'X', b""), &query]),
        ("a cancel request for a login", vec![&own, &[0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 1]]),
        ("no packet at all", vec![&query]),
    ] {
        let back = poke(endpoint.port, &said.concat());
        let welcomed = back.windows(welcome.len()).any(|part| part == welcome);
        tally.note(format!("{name}, at the port"), welcomed || Stage::reached("reached in disorder"));
    }
    // Logged in, at either end: whom one is cannot be said again.
    let session = Session::open(&stage.sandbox, "shop", "write").await;
    for (number, (name, said)) in (1..).zip([
        ("a second startup packet", other.clone()),
        ("a password", message(b'p', b"secret\0")),
        ("a SASL response", first.clone()),
        ("a request for TLS", vec![0, 0, 0, 8, 4, 210, 22, 47]),
        ("an answer of a server's", message(b'R', &[0; 4])),
    ]) {
        for past in [false, true] {
            let mut wire = if past { past_the_client(&stage, &session, number).await } else { stage.wire() };
            wire.send_raw(&said);
            wire.send_raw(&query);
            let heard = everything(wire);
            let welcomed = heard.iter().any(|(tag, body)| *tag == b'R' && body == &[0; 4]);
            tally.note(format!("{name}, past the client: {past}"), welcomed || Stage::reached("reached in disorder"));
        }
    }
    // At the gateway, before its startup packet: whoever comes with anything else is nobody.
    for (number, said) in (20..).zip([query.clone(), [own.clone(), other].concat(), first, [own, query].concat()]) {
        let mut wire = session.stream(&stage.sandbox, number).await;
        wire.send_raw(&said);
        let heard = everything(wire);
        let welcomed = heard.iter().any(|(tag, _)| *tag == b'Z');
        tally.note(format!("{said:?} at the gateway"), welcomed || Stage::reached("reached in disorder"));
    }
    // And whoever names another user or database is who the session says, in the database that it is for.
    let mut wire = session.stream(&stage.sandbox, 30).await;
    wire.begin((3, 0), &[("user", "postgres"), ("database", "postgres")]);
    assert!(wire.answer().errors.is_empty());
    let found = wire.simple(b"SELECT session_user || ' ' || current_database()").rows[0][0].clone().unwrap();
    let own = found.starts_with("gov_s_") && found.ends_with(&stage.database.name);
    tally.note(format!("another name in the startup packet: {found}"), !own);
}

/// Names that PostgreSQL folds, decodes and cuts off before it looks them up.
const NAMES: &str = r#"
    CREATE TABLE "Clients" (id int, email text, "eMail" text, "EMAIL" text);
    INSERT INTO "Clients" SELECT i, 'p' || i || '@real.example.org', 'q' || i || '@real.example.org', 'r' || i || '@real.example.org'
        FROM generate_series(1, 20) i;
    CREATE TABLE a_name_of_sixty_three_bytes_which_is_what_postgresql_takes_and (
        id int, an_address_that_is_as_long_as_a_name_may_be_in_this_database_e text);
    INSERT INTO a_name_of_sixty_three_bytes_which_is_what_postgresql_takes_and
        SELECT i, 's' || i || '@real.example.org' FROM generate_series(1, 20) i;
    CREATE TABLE "a_name_of_sixty_two_ascii_bytes_and_a_letter_that_takes_two__é" (id int, email text);
    INSERT INTO "a_name_of_sixty_two_ascii_bytes_and_a_letter_that_takes_two__é"
        SELECT i, 't' || i || '@real.example.org' FROM generate_series(1, 20) i;
    CREATE TABLE "Çlients" (id int, email text);
    INSERT INTO "Çlients" SELECT i, 'u' || i || '@real.example.org' FROM generate_series(1, 20) i;
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO app_ro, app_rw;
"#;

#[test]
fn attack_06_a_name_is_the_one_that_the_database_takes_it_for() {
    let database = postgres::server().database();
    postgres::server().run(&database.name, NAMES);
    let mut sandbox = Sandbox::new();
    let resource = database.resource("shop", &sandbox.home, "env=dev");
    sandbox.start_server(&["--dev", "--resource", &resource]);
    sandbox.log_in("bob");
    let endpoint = sandbox.connect(&["shop"]).unwrap();
    let mut tally = Tally::new("06 names");
    let long = "a_name_of_sixty_three_bytes_which_is_what_postgresql_takes_and";
    let address = "an_address_that_is_as_long_as_a_name_may_be_in_this_database_e";
    let cut = "a_name_of_sixty_two_ascii_bytes_and_a_letter_that_takes_two__é";
    for text in [
        r#"SELECT EMAIL FROM CUSTOMERS"#.to_owned(),
        r#"SELECT eMaIl FROM pUbLiC.CuStOmErS"#.to_owned(),
        r#"SELECT "email" FROM "customers""#.to_owned(),
        r#"SELECT U&"\0065mail" FROM U&"c\+000075stomers""#.to_owned(),
        r#"SELECT U&"!0065mail" UESCAPE '!' FROM customers"#.to_owned(),
        r#"SELECT CUSTOMERS.EMAIL FROM customers"#.to_owned(),
        r#"SELECT (Customers).EMAIL FROM customers"#.to_owned(),
        r#"SELECT email(customers) FROM customers"#.to_owned(),
        r#"SELECT "EMAIL" FROM (SELECT email AS "EMAIL" FROM customers) x"#.to_owned(),
        r#"SELECT email, "eMail", "EMAIL" FROM "Clients""#.to_owned(),
        r#"SELECT * FROM U&"\0043lients""#.to_owned(),
        r#"SELECT email FROM "Çlients""#.to_owned(),
        r#"SELECT EMAIL FROM U&"\00c7lients""#.to_owned(),
        format!("SELECT {address} FROM {long}"),
        format!("SELECT {address}and_more FROM {long}_and_much_more"),
        format!("SELECT {}AND_MORE FROM {}_AND_MORE", address.to_uppercase(), long.to_uppercase()),
        format!("SELECT \"{address}and_more\" FROM \"{long}_and_more\""),
        format!("SELECT email FROM \"{cut}\""),
        format!("SELECT email FROM \"{cut}and_more\""),
        format!("SELECT email FROM \"{}\"", cut.replace('é', "éé")),
    ] {
        let mut wire = endpoint.wire(&[]).unwrap();
        for answer in [wire.simple(text.as_bytes()), wire.extended(text.as_bytes(), &[])] {
            let shown = format!("{answer:?}");
            let clear = shown.contains("@real.example") || shown.contains("@mail.example");
            tally.note(format!("{text}: {shown}"), clear || answer.closed);
        }
    }
    // What may be used goes by its exact name, and so does who one is.
    for name in ["Shop", "SHOP", "shop\u{0}", "ſhop", "shop/../shop"] {
        let Ok(child) = sandbox.command(["exec", name, "-c", "select 1"]).stdout(Stdio::piped()).spawn() else {
            continue; // No program can be given this at all.
        };
        tally.note(format!("the resource {name:?}"), child.wait_with_output().unwrap().status.success());
    }
    for name in ["BOB", "Bob", "bob ", "ｂob"] {
        let ran = sandbox.gov(["login", sandbox.url(), "--dev-user", name, "--token-store", "file"]);
        tally.note(format!("the user {name:?}"), ran.code == 0);
    }
}

/// Answers of a server that wants a password given away, or a core kept busy.
fn hostile_logins() -> Vec<(&'static str, Script)> {
    let ask = |code: u32, rest: &[u8]| message(b'R', &[&code.to_be_bytes()[..], rest].concat());
    let once = |bytes: Vec<u8>| -> Script {
        Box::new(move |number, _| Some(if number == 0 { bytes.clone() } else { vec![] }))
    };
    let sasl = ask(10, b"SCRAM-SHA-256\0\0");
    let challenge = |make: fn(&str) -> String| -> Script {
        let sasl = sasl.clone();
        Box::new(move |number, said| {
            Some(match number {
                0 => sasl.clone(),
                1 => {
                    let said = String::from_utf8_lossy(said).into_owned();
                    let nonce = said.rsplit_once("r=").map_or("", |(_, nonce)| nonce);
                    let text = make(nonce);
                    message(b'R', &[&[0, 0, 0, 11][..], text.as_bytes()].concat())
                }
                _ => [message(b'R', b"\0\0\0\x0cv=AAAA"), message(b'R', &[0; 4]), message(b'Z', b"I")].concat(),
            })
        })
    };
    let welcome = [message(b'R', &[0; 4]), message(b'Z', b"I")].concat();
    vec![
        ("a password in clear", once(ask(3, b""))),
        ("a password hashed with MD5", once(ask(5, b"salt"))),
        ("a ticket of Kerberos", once(ask(7, b""))),
        ("a login of Windows", once(ask(9, b""))),
        ("a weaker mechanism", once(ask(10, b"SCRAM-SHA-1\0PLAIN\0\0"))),
        ("a mechanism with binding, which TLS would need", once(ask(10, b"SCRAM-SHA-256-PLUS\0\0"))),
        ("2,000,000,000 iterations", challenge(|nonce| format!("r={nonce}x,s=AAAA,i=2000000000"))),
        ("iterations that overflow", challenge(|nonce| format!("r={nonce}x,s=AAAA,i=4294967297"))),
        ("no iterations", challenge(|nonce| format!("r={nonce}x,s=AAAA,i=0"))),
        ("a nonce of somebody else's", challenge(|_| "r=mine,s=AAAA,i=1".to_owned())),
        ("a nonce that adds nothing", challenge(|nonce| format!("r={nonce},s=AAAA,i=1"))),
        ("a salt of a megabyte", challenge(|nonce| format!("r={nonce}x,s={},i=1", "A".repeat(1 << 20)))),
        ("a signature that does not fit", challenge(|nonce| format!("r={nonce}x,s=AAAA,i=1"))),
        ("a welcome behind the first step", {
            let (sasl, welcome) = (sasl.clone(), welcome.clone());
            Box::new(move |number, _| Some(if number == 0 { sasl.clone() } else { welcome.clone() }))
        }),
    ]
}

/// What the gateway answered a server's questions with, over all its connections: everything but startup packets.
fn heard_from(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut answers = Vec::new();
    while let Some(first) = bytes.first() {
        let head = if *first == 0 { 0 } else { 1 };
        let length = u32::from_be_bytes(bytes[head..head + 4].try_into().unwrap());
        let (message, rest) = bytes.split_at(head + usize::try_from(length).unwrap());
        if head == 1 {
            answers.push(&message[5..]);
        }
        bytes = rest;
    }
    answers
}

/// A gateway that bob uses, and somebody between it and the database.
fn with_a_middle(database: &Database) -> (Middle, Sandbox) {
    let middle = Middle::before(postgres::server().port);
    let mut sandbox = Sandbox::new();
    let resource = database.resource("shop", &sandbox.home, "env=dev");
    let resource = resource.replace(&format!(":{}/", postgres::server().port), &format!(":{}/", middle.port));
    sandbox.start_server(&["--dev", "--resource", &resource]);
    sandbox.log_in("bob");
    (middle, sandbox)
}

#[test]
fn attack_07_a_server_gets_no_password_and_a_recorded_login_opens_nothing() {
    let database = postgres::server().database();
    let (middle, sandbox) = with_a_middle(&database);
    let endpoint = sandbox.connect(&["shop"]).unwrap();
    let mut tally = Tally::new("07 logins");
    for (name, script) in hostile_logins() {
        middle.plays(script);
        let answer = endpoint.wire(&[]);
        let heard = middle.stops();
        let given_away = heard_from(&heard).iter().any(|said| {
            // The steps of SCRAM, which are worth nothing to whoever has not the password already.
            !said.starts_with(b"SCRAM-SHA-256\0") && !said.starts_with(b"c=biws,r=")
        });
        let opened = answer.is_ok();
        tally.note(format!("{name}: let in {opened}, told {heard:?}"), opened || given_away);
    }
    assert_eq!(endpoint.wire(&[]).unwrap().simple(b"SELECT 1").tags, ["SELECT 1"], "without the script all is well");

    // A login of psql, recorded on its way and said again.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, target) = (listener.local_addr().unwrap().port(), endpoint.port);
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let inner = Arc::clone(&recorded);
    std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(("127.0.0.1", target)).unwrap();
        let (mut back, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut back, &mut to_client));
        let (mut client, mut server, mut buffer) = (client, server, [0; 4096]);
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            inner.lock().unwrap().extend_from_slice(&buffer[..count]);
            server.write_all(&buffer[..count]).unwrap();
        }
    });
    let url = endpoint.url().replace(&format!(":{target}/"), &format!(":{port}/"));
    let psql = Command::new(postgres::programs().join("psql"))
        .args(["-X", "-c", "select 'recorded'", &format!("{url}?sslmode=disable&gssencmode=disable")])
        .output()
        .unwrap();
    assert!(psql.status.success(), "{psql:?}");
    let said = recorded.lock().unwrap().clone();
    let back = poke(target, &said);
    let welcome = message(b'R', &[0; 4]);
    tally.note("a recorded login", back.windows(welcome.len()).any(|part| part == welcome));
}

/// What a terminal must never be sent: everything that is no text.
fn steers(text: &str) -> bool {
    text.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
}

#[test]
fn attack_09_nothing_that_a_database_says_steers_a_terminal() {
    let database = postgres::server().database();
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\r\u{8}";
    postgres::server().run(
        &database.name,
        &format!(
            "CREATE TABLE evil (\"na{evil}me\" text); INSERT INTO evil VALUES ('va{evil}lue');
             CREATE TABLE \"ta{evil}ble\" (id int);
             CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
               $$BEGIN RAISE NOTICE 'no{evil}tice'; RAISE EXCEPTION 'er{evil}ror' USING DETAIL = 'de{evil}tail', HINT = 'hi{evil}nt'; END$$;
             CREATE TABLE loud (id int); CREATE TRIGGER shout BEFORE INSERT ON loud FOR EACH ROW EXECUTE FUNCTION shout();
             GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO app_ro, app_rw"
        ),
    );
    let (middle, sandbox) = with_a_middle(&database);
    let mut tally = Tally::new("09 words that steer");
    let commands: &[&[&str]] = &[
        &["exec", "shop", "-c", "select * from evil"],
        &["exec", "shop", "-c", "insert into loud values (1)", "--write"],
        &["exec", "shop", "-c", &format!("select 'x{evil}'::int")],
        &["exec", "shop", "-c", &format!("select * from \"no{evil}where\"")],
        &["exec", "shop", "-c", &format!("select 1 as \"al{evil}ias\"")],
        &["exec", "shop", "-c", &format!("selec {evil}")],
        &["explain", "shop", "-c", "select * from evil"],
        &["classify", "shop"],
        &["timeline"],
        &["exec", &format!("sh{evil}op"), "-c", "select 1"],
        &["connect", "shop", "--purpose", &format!("x{evil}")],
    ];
    for arguments in commands {
        let ran = sandbox.gov(*arguments);
        tally.note(format!("{arguments:?}: {ran:?}"), steers(&ran.stdout) || steers(&ran.stderr));
    }
    // What a server says before anybody knows who it is.
    let error = message(b'E', format!("SFATAL\0C28000\0Mwho{evil}are you\0De{evil}\0\0").as_bytes());
    let notice = message(b'N', format!("SNOTICE\0C00000\0Mhello{evil}\0\0").as_bytes());
    for (name, said) in [("an error", error.clone()), ("a notice, then an error", [notice, error].concat())] {
        middle.plays(Box::new(move |_, _| Some(said.clone())));
        let ran = sandbox.gov(["exec", "shop", "-c", "select 1"]);
        middle.stops();
        let shown = ran.stdout.contains("are you") || ran.stderr.contains("are you") || ran.stderr.contains("hello");
        tally.note(format!("{name} before a login: {ran:?}"), ran.code == 0 || shown || steers(&ran.stderr));
    }
}

/// What a server answers a question with that nobody asked.
fn hostile_answers() -> Vec<(&'static str, Vec<u8>)> {
    let row = |cells: &[u8]| message(b'D', cells);
    let described = |count: u16| {
        message(b'T', &[&count.to_be_bytes()[..], b"a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"].concat())
    };
    let done = [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat();
    let with = |first: Vec<u8>| [first, done.clone()].concat();
    vec![
        ("asks for COPY data", message(b'G', &[0, 0, 1, 0, 0])),
        (
            "sends COPY data",
            with([message(b'H', &[0, 0, 1, 0, 0]), message(b'd', b"evil\n"), message(b'c', b"")].concat()),
        ),
        ("copies both ways", message(b'W', &[0, 0, 0])),
        ("asks for the password in clear", message(b'R', &[0, 0, 0, 3])),
        ("asks for the password with MD5", message(b'R', b"\0\0\0\x05salt")),
        ("welcomes again", with(message(b'R', &[0; 4]))),
        ("gives another key for cancelling", with(message(b'K', &[0, 0, 0, 9, 1, 2, 3, 4]))),
        ("negotiates another protocol", with(message(b'v', &[0, 3, 0, 0, 0, 0, 0, 0]))),
        ("answers a function call", with(message(b'V', &[255; 4]))),
        ("sends a row that nothing describes", with(row(b"\0\x01\0\0\0\x04evil"))),
        (
            "sends a row with more cells than described",
            with([described(1), row(b"\0\x02\0\0\0\x04evil\0\0\0\x04evil")].concat()),
        ),
        ("sends a row of -2 bytes", with([described(1), row(b"\0\x01\xff\xff\xff\xfe")].concat())),
        ("sends a row that ends early", with([described(1), row(b"\0\x01\0\0\0\x09evil")].concat())),
        ("sends a row with more behind it", with([described(1), row(b"\0\x01\0\0\0\x04evilevil")].concat())),
        ("describes more columns than it does", with(described(65_535))),
        ("states a length of -1", stating(b'D', u32::MAX, b"\0\x01")),
        ("states a length of 0", stating(b'D', 0, b"\0\x01")),
        ("states a length of 2 GiB", stating(b'D', (1 << 31) - 1, b"\0\x01")),
        ("states a parameter of a gigabyte", stating(b'S', 1 << 30, b"client_encoding\0")),
        ("changes the encoding", with(message(b'S', b"client_encoding\0SJIS\0"))),
        ("changes what a backslash means", with(message(b'S', b"standard_conforming_strings\0off\0"))),
        ("is ready in no state", message(b'Z', b"X")),
        ("is ready twice", [done.clone(), message(b'Z', b"I")].concat()),
        ("ends twice", [message(b'C', b"SELECT 1\0"), done.clone(), message(b'C', b"SELECT 1\0")].concat()),
        ("speaks a type nobody knows", with(message(b'?', b"evil"))),
        ("speaks HTTP", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
    ]
}

#[test]
fn attack_11_a_hostile_database_reaches_neither_client_nor_gateway() {
    let database = postgres::server().database();
    let (middle, sandbox) = with_a_middle(&database);
    let endpoint = sandbox.connect(&["shop"]).unwrap();
    let mut tally = Tally::new("11 hostile databases");
    for (name, answer) in hostile_answers() {
        for extended in [false, true] {
            let mut wire = endpoint.wire(&[]).unwrap();
            assert_eq!(wire.simple(b"SELECT 1").tags, ["SELECT 1"]);
            let answer = answer.clone();
            middle.plays(Box::new(move |_, said| said.windows(5).any(|part| part == b"trap1").then(|| answer.clone())));
            if extended {
                wire.send_extended(b"SELECT 'trap1'", &[]);
                wire.send(b'S', &[]);
            } else {
                wire.send(b'Q', b"SELECT 'trap1'\0");
            }
            let heard = everything(wire);
            middle.stops();
            // Nothing that makes a driver give something away or believe something, and no cell of a made-up row that
            // was not described.
            let harmful = heard.iter().any(|(tag, body)| match tag {
                b'G' | b'W' | b'R' | b'K' | b'v' | b'V' | b'?' | b'H' | b'd' => true,
                b'S' => body.starts_with(b"client_encoding") || body.starts_with(b"standard_conforming"),
                b'D' => body != b"\0\x01\0\0\0\x04evil",
                _ => false,
            });
            tally.note(format!("{name}, extended {extended}: {heard:?}"), harmful);
        }
    }
    // The gateway serves whoever comes next, and holds on to nothing of it.
    assert_eq!(endpoint.wire(&[]).unwrap().simple(b"SELECT 1").tags, ["SELECT 1"]);
    let flood: Vec<u8> =
        (0..20_000).flat_map(|n| message(b'S', format!("name{n}\0{}\0", "v".repeat(500)).as_bytes())).collect();
    middle.plays(Box::new(move |_, said| said.windows(5).any(|part| part == b"trap2").then(|| flood.clone())));
    let before = resident(sandbox.server_pid());
    let mut wire = endpoint.wire(&[]).unwrap();
    wire.send(b'Q', b"SELECT 'trap2'\0");
    std::thread::sleep(Duration::from_secs(1));
    let grown = resident(sandbox.server_pid()).saturating_sub(before);
    tally.note(format!("20,000 parameters: {grown} KiB"), grown > 64 * 1024);
}

/// Memory of a process that is in use, in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Every file below a folder, with what is in it.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

#[test]
fn attack_12_what_a_session_knows_rests_nowhere_and_no_core_is_written() {
    let stage = Stage::new();
    let mut wire = stage.wire();
    let role = wire.simple(b"SELECT session_user").rows[0][0].clone().unwrap();
    assert_eq!(wire.simple(b"SELECT 'a literal that nobody keeps', 4711 FROM canary").tags, ["SELECT 1"]);
    assert!(!wire.simple(b"DROP TABLE canary -- a comment that nobody keeps").errors.is_empty());
    let mut tally = Tally::new("12 secrets at rest");
    let verifier = format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{role}'");
    let verifier = postgres::server().run("postgres", &verifier);
    assert!(verifier.starts_with("SCRAM-SHA-256$"), "{verifier}");
    let secrets = [
        postgres::PASSWORD,
        stage.endpoint.password.as_str(),
        &verifier,
        "a literal that nobody keeps",
        "a comment that nobody keeps",
        "4711 FROM",
    ];
    let home = &stage.sandbox.home;
    let mut read = 0;
    for (path, contents) in files(home) {
        // The administrator's own file, in which the broker's password is said to be.
        if path.ends_with("broker.password") {
            continue;
        }
        read += contents.len();
        for secret in secrets {
            let found = contents.windows(secret.len()).any(|part| part == secret.as_bytes());
            tally.note(format!("{secret} in {}", path.display()), found);
        }
    }
    assert!(read > 10_000);
    for pid in [stage.sandbox.server_pid(), stage.endpoint.pid()] {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned();
        tally.note(core.clone(), core.split_whitespace().nth(4) != Some("0"));
        // What a process was started with is everybody's to read.
        let started = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        for secret in secrets {
            let found = [&started, &environment]
                .iter()
                .any(|text| text.windows(secret.len()).any(|part| part == secret.as_bytes()));
            tally.note(format!("{secret} in the command line or environment of {pid}"), found);
        }
    }
}

/// The claims or the header of a signed token.
fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

/// An ID token of the built-in issuer, got as `gov login` gets it.
async fn id_token(sandbox: &Sandbox, user: &str) -> Value {
    let client = client(sandbox);
    let url = |path: &str| format!("{}/issuer/{path}", sandbox.url());
    let form = json!({"client_id": "gov-cli", "scope": "openid offline_access", "gov_host": "m@e", "gov_version": "1"});
    let (status, started) = ask(client.post(url("device_authorization")).form(&form)).await;
    assert_eq!(status, 200, "{started}");
    let answer = json!({
        "csrf": "x", "user_code": started["user_code"], "decision": "approve", "user": user,
        "number": started["gov_number"],
    });
    let request = client.post(url("device")).header("origin", sandbox.url()).header("cookie", "gov_csrf=x");
    let (status, page) = ask(request.form(&answer)).await;
    assert_eq!(status, 200, "{page}");
    let form = json!({
        "client_id": "gov-cli", "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": started["device_code"],
    });
    loop {
        let (status, tokens) = ask(client.post(url("token")).form(&form)).await;
        if status == 200 {
            return tokens;
        }
        assert!(matches!(tokens["error"].as_str(), Some("authorization_pending" | "slow_down")), "{tokens}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_13_no_token_is_taken_for_another() {
    let sandbox = Sandbox::with_server(&[]);
    sandbox.log_in("alice");
    let (device, real) = Device::of_login(&sandbox);
    let tokens = id_token(&sandbox, "alice").await;
    let tokens = |name: &str| tokens[name].as_str().unwrap().to_owned();
    let mut tally = Tally::new("13 tokens");
    let client = client(&sandbox);
    let url = format!("{}/v1/me", sandbox.url());

    // The same claims, in every costume.
    let (header, claims) = (part(&real, 0), part(&real, 1));
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = |header: Value, signature: &str| format!("{}.{}.{signature}", encode(&header), encode(&claims));
    let (_, keys) = ask(client.get(format!("{}/issuer/jwks", sandbox.url()))).await;
    let public = URL_SAFE_NO_PAD.decode(keys["keys"][0]["x"].as_str().unwrap()).unwrap();
    let hmac = |header: Value, key: &[u8]| {
        let text = format!("{}.{}", encode(&header), encode(&claims));
        let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key), text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let kid = header["kid"].as_str().unwrap();
    let signature = real.rsplit('.').next().unwrap();
    let mut raised = claims.clone();
    raised["groups"] = json!(["dba", "approver", "operator"]);
    let costumes = vec![
        ("an ID token", tokens("id_token")),
        ("a token of the issuer's", tokens("access_token")),
        ("a refresh token", tokens("refresh_token")),
        ("alg none", unsigned(json!({"typ": "at+jwt", "alg": "none", "kid": kid}), "")),
        ("alg none, spelt otherwise", unsigned(json!({"typ": "at+jwt", "alg": "NoNe", "kid": kid}), signature)),
        ("no alg", unsigned(json!({"typ": "at+jwt", "kid": kid}), signature)),
        ("HS256 with the public key", hmac(json!({"typ": "at+jwt", "alg": "HS256", "kid": kid}), &public)),
        (
            "HS256 with the public key as text",
            hmac(
                json!({"typ": "at+jwt", "alg": "HS256", "kid": kid}),
                keys["keys"][0]["x"].as_str().unwrap().as_bytes(),
            ),
        ),
        ("HS256 with nothing", hmac(json!({"typ": "at+jwt", "alg": "HS256", "kid": kid}), b"")),
        (
            "another alg under the same signature",
            unsigned(json!({"typ": "at+jwt", "alg": "ES256", "kid": kid}), signature),
        ),
        ("other claims under the same signature", format!("{}.{}.{signature}", encode(&header), encode(&raised))),
        ("a key of its own", device.token("at+jwt", kid, &raised)),
        ("a key that the header brings", {
            let header = json!({"typ": "at+jwt", "alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}});
            unsigned(header, signature)
        }),
        (
            "a key at an address",
            unsigned(json!({"typ": "at+jwt", "alg": "EdDSA", "jku": "https://evil.example/", "kid": kid}), signature),
        ),
        (
            "an extension nobody knows",
            unsigned(json!({"typ": "at+jwt", "alg": "EdDSA", "crit": ["x"], "x": 1, "kid": kid}), signature),
        ),
        ("a proof of possession", device.proof("GET", &url, None, |_| ())),
        ("nothing", String::new()),
        ("two dots", "..".to_owned()),
        ("more than anybody reads", format!("{real}{}", "A".repeat(20_000))),
    ];
    for (name, token) in &costumes {
        for scheme in ["DPoP", "Bearer"] {
            let proof = device.proof("GET", &url, Some(token), |_| ());
            let request = client.get(&url).header("authorization", format!("{scheme} {token}")).header("dpop", proof);
            tally.note(format!("{name} as {scheme}"), ask(request).await.0 == 200);
        }
    }
    // Where a token of the issuer's is wanted.
    let exchange = format!("{}/v1/token", sandbox.url());
    let id_token_type = "urn:ietf:params:oauth:token-type:id_token";
    let access_token_type = "urn:ietf:params:oauth:token-type:access_token";
    for (name, token, kind) in [
        ("our own token", real.clone(), id_token_type),
        ("our own token", real.clone(), access_token_type),
        ("a refresh token", tokens("refresh_token"), access_token_type),
        ("an ID token as an access token", tokens("id_token"), access_token_type),
        (
            "a forged ID token",
            device.token("JWT", part(&tokens("id_token"), 0)["kid"].as_str().unwrap(), &part(&tokens("id_token"), 1)),
            id_token_type,
        ),
        (
            "an ID token without a signature",
            format!("{}.", tokens("id_token").rsplit_once('.').unwrap().0),
            id_token_type,
        ),
    ] {
        let form = json!({
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": token, "subject_token_type": kind,
        });
        let request = client.post(&exchange).header("dpop", device.proof("POST", &exchange, None, |_| ())).form(&form);
        tally.note(format!("{name} for an exchange as {kind}"), ask(request).await.0 == 200);
    }
    // Who one is stands in no header.
    for (name, value) in [
        ("x-forwarded-user", "dave"),
        ("x-remote-user", "dave"),
        ("x-gov-subject", "dave"),
        ("x-forwarded-access-token", real.as_str()),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1;proto=https"),
        ("x-original-url", "/healthz"),
        ("x-http-method-override", "POST"),
        ("cookie", "gov_session=1; user=dave"),
    ] {
        let alone = ask(client.get(&url).header(name, value)).await.0 == 200;
        let proof = device.proof("GET", &url, Some(&real), |_| ());
        let request = client.get(&url).header("authorization", format!("DPoP {real}")).header("dpop", proof);
        let (status, me) = ask(request.header(name, value)).await;
        tally.note(format!("the header {name}: {me}"), alone || status != 200 || me["name"] != claims["name"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_13_a_session_opens_for_its_own_key_and_its_own_person() {
    let stage = Stage::new();
    let sandbox = &stage.sandbox;
    let session = Session::open(sandbox, "shop", "write").await;
    let second = Session::open(sandbox, "shop", "read").await;
    let mut tally = Tally::new("13 sessions");
    let stranger = session_key(250);
    let elsewhere = session.ask(1).proof(&tunnel::connect(sandbox).await);
    for (name, ask) in [
        ("another key", Ask { key: &stranger, ..session.ask(1) }),
        ("the key of another session of the same person", Ask { key: &second.key, ..session.ask(1) }),
        ("another session under the same key", Ask { session: &second.id, ..session.ask(1) }),
        ("a proof made for another connection", Ask { proof: Some(elsewhere), ..session.ask(1) }),
        ("no proof", Ask { proof: Some(String::new()), ..session.ask(1) }),
        ("a proof of zeros", Ask { proof: Some(URL_SAFE_NO_PAD.encode([0; 64])), ..session.ask(1) }),
        ("another policy", Ask { policy: "0".repeat(64), ..session.ask(1) }),
        ("an older engine", Ask { engine: "0.0.1".to_owned(), ..session.ask(1) }),
        ("no engine", Ask { engine: String::new(), ..session.ask(1) }),
    ] {
        tally.note(format!("a stream by {name}"), ask.open(sandbox).await.is_ok());
    }
    // The right one; and its number a second time, while it is open and when it is not.
    let mut first = past_the_client(&stage, &session, 7).await;
    drop(past_the_client(&stage, &session, 8).await);
    for number in [7, 8] {
        let mut again = session.stream(sandbox, number).await;
        again.begin((3, 0), &[("user", "x"), ("database", "y")]);
        let answer = again.answer();
        tally.note(format!("stream {number} a second time: {answer:?}"), answer.errors.is_empty());
    }
    assert_eq!(first.simple(b"SELECT 1").tags, ["SELECT 1"]);
    // Somebody else who knows its name.
    sandbox.log_in("alice");
    let (device, token) = Device::of_login(sandbox);
    let client = client(sandbox);
    for (verb, path) in [("POST", "end"), ("GET", "masks")] {
        let url = format!("{}/v1/sessions/{}/{path}", sandbox.url(), session.id);
        let request = client
            .request(verb.parse().unwrap(), &url)
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", device.proof(verb, &url, Some(&token), |_| ()));
        tally.note(format!("{path} by somebody else"), ask(request).await.0 == 200);
    }
    let (_, all) = {
        let url = format!("{}/v1/sessions", sandbox.url());
        let request = client.get(&url).header("authorization", format!("DPoP {token}"));
        ask(request.header("dpop", device.proof("GET", &url, Some(&token), |_| ()))).await
    };
    tally.note(format!("a look at others' sessions: {all}"), all.to_string().contains(&session.id));
    assert_eq!(first.simple(b"SELECT 1").tags, ["SELECT 1"], "it goes on for whoever it is of");
    // Once it has ended, its key opens nothing.
    sandbox.log_in("bob");
    sandbox.gov(["session", "kill", &session.id]).ok();
    tally.note("a stream of a session that has ended", session.ask(9).open(sandbox).await.is_ok());
}

/// Ways around the policy in SQL itself. None may drop the canary, be somebody else, or see an address.
const WAYS_AROUND: &[&str] = &[
    "SET ROLE postgres",
    "SET ROLE app_owner",
    "SET SESSION AUTHORIZATION postgres",
    "SET SESSION ROLE postgres",
    "SET LOCAL ROLE gov_broker",
    "RESET ROLE; DROP TABLE canary",
    "SELECT set_config('role', 'postgres', false)",
    "SELECT set_config('session_authorization', 'postgres', false)",
    "SELECT pg_catalog.set_config('ro' || 'le', 'postgres', false)",
    "SELECT set_config(name, 'postgres', false) FROM pg_settings WHERE name = 'role'",
    "UPDATE pg_settings SET setting = 'postgres' WHERE name = 'role'",
    "ALTER ROLE CURRENT_USER SET role = 'postgres'",
    "ALTER ROLE CURRENT_USER PASSWORD 'mine'",
    "DO $$BEGIN EXECUTE 'DROP TABLE canary'; END$$",
    "DO $$BEGIN EXECUTE 'DROP' || ' TABLE canary'; END$$",
    "DO LANGUAGE plpgsql 'BEGIN DROP TABLE canary; END'",
    "CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql AS 'DROP TABLE canary'; SELECT pg_temp.f()",
    "CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE plpgsql AS $f$BEGIN EXECUTE 'DROP TABLE canary'; END$f$; SELECT pg_temp.f()",
    "PREPARE p AS DELETE FROM canary; EXECUTE p",
    "PREPARE p (int) AS DELETE FROM canary WHERE $1 = $1; EXECUTE p(1)",
    "SELECT query_to_xml('DROP TABLE canary', true, true, '')",
    "SELECT query_to_xml('SELECT email FROM customers', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT ts_stat('SELECT email::tsvector FROM customers')",
    "COPY (SELECT email FROM customers) TO PROGRAM 'cat > /tmp/x'",
    "COPY canary FROM PROGRAM 'echo 2'",
    "COPY customers TO '/tmp/x'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT dblink('dbname=postgres', 'DROP TABLE canary')",
    "/* SELECT 1 */ DROP /* */ TABLE /* -- */ canary",
    "SELECT 1; DROP TABLE canary",
    "SELECT 1;;;-- ;\nDROP TABLE canary",
    "SELECT 1/*/**/*/;DROP TABLE canary",
    "--\rDROP TABLE canary",
    "SELECT '\\'; DROP TABLE canary; --'",
    "SELECT E'\\'; DROP TABLE canary; --'; DROP TABLE canary",
    "SET standard_conforming_strings = off; SELECT '\\'; DROP TABLE canary; --'",
    "SET backslash_quote = on",
    "SET client_encoding = 'GBK'; SELECT '\u{8141}'",
    "SELECT $a$ $b$ $a$; DROP TABLE canary; SELECT $b$ $b$",
    "WITH gone AS (DELETE FROM canary RETURNING *) SELECT * FROM gone",
    "EXPLAIN ANALYZE DELETE FROM canary",
    "DECLARE c CURSOR WITH HOLD FOR SELECT email FROM customers; FETCH ALL FROM c",
    "DELETE FROM canary WHERE true",
    "DELETE FROM canary WHERE id = id",
    "DELETE FROM canary WHERE id IN (SELECT id FROM canary)",
    "TRUNCATE canary",
    "ALTER TABLE canary RENAME TO gone",
    "DROP TABLE IF EXISTS public.canary CASCADE",
    "DROP OWNED BY CURRENT_USER",
    "CREATE RULE r AS ON SELECT TO canary DO INSTEAD DELETE FROM canary",
    "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f()",
    "CREATE CAST (int AS text) WITH FUNCTION f(int)",
    "GRANT app_owner TO CURRENT_USER",
    "LISTEN x; NOTIFY x, 'y'; SELECT pg_notify('x', (SELECT string_agg(email, ',') FROM customers))",
    "SELECT email FROM customers WHERE 1 / (CASE WHEN email LIKE 'person1%' THEN 0 ELSE 1 END) = 1",
    "SELECT (SELECT string_agg(email, ',') FROM customers)::int",
    "SELECT xmlelement(name a, email) FROM customers",
    "SELECT to_json(customers) FROM customers",
    "SELECT convert_to(email, 'UTF8') FROM customers",
    "SELECT reverse(email) || '' FROM customers",
    "CREATE TEMP TABLE t AS SELECT email AS x FROM customers; SELECT x FROM t",
    "BEGIN; SAVEPOINT a; SET LOCAL role = postgres; ROLLBACK TO a; DROP TABLE canary; COMMIT",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_14_sql_is_no_way_around_the_policy() {
    let stage = Stage::new();
    let session = Session::open(&stage.sandbox, "shop", "write").await;
    let mut tally = Tally::new("14 ways around the policy");
    for (number, text) in (1..).zip(WAYS_AROUND) {
        for past in [false, true] {
            let mut wire = if past { past_the_client(&stage, &session, number).await } else { stage.wire() };
            let mut answers: Vec<Answer> = vec![wire.simple(text.as_bytes())];
            if !answers[0].closed {
                answers.push(wire.simple(b"ROLLBACK"));
                answers.push(wire.extended(text.as_bytes(), &[]));
                answers.push(wire.simple(b"ROLLBACK"));
                answers.push(wire.simple(b"SELECT session_user || ' ' || current_user"));
            }
            let user = answers.last().filter(|answer| !answer.closed).and_then(|answer| answer.rows.last()?[0].clone());
            let raised = user.is_some_and(|user| {
                user.split(' ').any(|name| matches!(name, "postgres" | "gov_broker" | "app_owner"))
            });
            let shown = format!("{answers:?}");
            let addresses = (1..=20).any(|n| {
                shown.contains(&format!("person{n}@mail.example.org"))
                    || shown.contains(&format!("gro.elpmaxe.liam@{}nosrep", n))
            });
            let alive = stage.lives();
            tally.note(format!("{text}, past the client: {past}: {shown}"), raised || addresses || !alive);
            assert!(alive, "the canary is dead: {text}, past the client: {past}: {shown}");
        }
    }
    // Whatever was refused, and by whom: both accounts of the endpoint's session agree. Past the client there is none.
    let Stage { endpoint, sandbox, database: _database } = stage;
    drop(endpoint);
    let report = sandbox.gov(["audit", "verify", "--json"]).json();
    assert_eq!(report["faults"], json!([]), "{report:#}");
}
