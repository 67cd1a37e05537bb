//! PostgreSQL's protocol at the local endpoint, by a client that does what no driver would. Numbers in names are those
//! of the list of pitfalls that the project works from; `attack` numbers those of its list of attack classes.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::support::postgres::{self, Database};
use crate::support::wire::{Answer, Wire, shown};
use crate::support::{Connected, Sandbox, finish, repository, tool};

/// An open endpoint, and what must outlive it. Fields are dropped in this order.
struct Stage {
    endpoint: Connected,
    sandbox: Sandbox,
    database: Database,
}

impl Stage {
    /// A database with this label, opened by bob, who may write.
    fn new(label: &str, arguments: &[&str]) -> Self {
        let database = postgres::server().database();
        let mut sandbox = Sandbox::new();
        let resource = database.resource("shop", &sandbox.home, label);
        sandbox.start_server(&["--dev", "--resource", &resource]);
        sandbox.log_in("bob");
        let endpoint = sandbox.connect(&[&["shop"], arguments].concat()).unwrap();
        Self { endpoint, sandbox, database }
    }

    fn wire(&self) -> Wire {
        self.endpoint.wire(&[]).unwrap()
    }

    /// What comes back for bytes sent to the port, up to the end of the connection.
    fn poke(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.endpoint.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // It may hang up before everything is sent.
        drop(stream.write_all(bytes));
        drop(stream.shutdown(Shutdown::Write));
        let mut out = Vec::new();
        match stream.read_to_end(&mut out) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it was not hung up on {bytes:?}"),
            Ok(_) | Err(_) => out,
        }
    }
}

/// An untagged packet with this code.
fn request(code: u32) -> Vec<u8> {
    [8_u32.to_be_bytes(), code.to_be_bytes()].concat()
}

const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend(name.bytes().chain([0]).chain(value.bytes()).chain([0]));
    }
    body.push(0);
    [&u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], &body].concat()
}

/// Drivers send a whole batch ahead. What the database refuses in it, before the Execute that waits has begun, is the
/// statement that was executed: it failed, and the timeline says how, and of what.
#[test]
fn what_the_database_does_not_prepare_has_failed_and_is_on_record() {
    let stage = Stage::new("env=prod", &["--write"]);
    let mut wire = stage.wire();
    let cases: [(&str, &[&str], &str); 3] = [
        ("UPDATE orders SET nowhere = 'x' WHERE id = 7", &[], "42703"),
        ("UPDATE orders SET status = 'x' WHERE id = $1::int", &["seven"], "22P02"),
        ("SELECT nowhere FROM orders WHERE id = 7", &[], "42703"),
    ];
    for (text, values, sqlstate) in cases {
        let answer = wire.extended(text.as_bytes(), values);
        assert_eq!(answer.errors[0].sqlstate, sqlstate, "{text}: {answer:?}");
    }
    drop(wire);
    let entries = stage.sandbox.gov(["timeline", "--json"]).ok().stdout;
    let entries: Vec<serde_json::Value> = entries.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found = |text: &str| entries.iter().find(|entry| entry["text"].as_str().is_some_and(|t| t.contains(text)));
    for (text, sqlstate) in [("SET nowhere", "42703"), ("SET status", "22P02"), ("SELECT nowhere", "42703")] {
        let entry = found(text).unwrap_or_else(|| panic!("{text}: {entries:#?}"));
        let outcome = (entry["outcome"].as_str(), entry["sqlstate"].as_str(), entry["action"].as_str());
        assert_eq!(outcome, (Some("error"), Some(sqlstate), Some("allow")), "{entry:#}");
    }
    assert_eq!(entries.iter().filter(|entry| entry["kind"] == "statement").count(), 3, "{entries:#?}");
}

#[test]
fn pg_01_attack_08_a_cancel_request_needs_the_key_we_gave() {
    let stage = Stage::new("env=dev", &[]);
    let mut wire = stage.wire();
    let (process, key) = wire.cancel.clone();
    let theirs = wire.simple(b"SELECT pg_backend_pid()").rows[0][0].clone().unwrap();
    assert_ne!(theirs, process.to_string(), "the database's own process is nobody's business");
    assert_eq!(key.len(), 4, "as long as version 3.0 has room for");

    wire.send(b'Q', b"SELECT pg_sleep(2)\0");
    let mut wrong = key.clone();
    wrong[0] ^= 1;
    Wire::cancel(&stage.endpoint.socket, process, &wrong);
    Wire::cancel(&stage.endpoint.socket, theirs.parse().unwrap(), &key);
    assert_eq!(wire.answer().tags, ["SELECT 1"], "a wrong key cancels nothing");

    // Sent before the statement has arrived it cancels nothing, so it is sent until it does.
    wire.send(b'Q', b"SELECT pg_sleep(60)\0");
    let (socket, done) =
        (stage.endpoint.socket.clone(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let over = std::sync::Arc::clone(&done);
    let canceller = std::thread::spawn(move || {
        while !over.load(std::sync::atomic::Ordering::Relaxed) {
            Wire::cancel(&socket, process, &key);
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let answer = wire.answer();
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    canceller.join().unwrap();
    assert_eq!(answer.errors[0].sqlstate, "57014", "{answer:?}");
    assert_eq!(wire.simple(b"SELECT 1").tags, ["SELECT 1"]);
}

#[test]
fn pg_01_a_cancel_request_may_come_encrypted() {
    let stage = Stage::new("env=dev", &["--tls"]);
    let mut wire = stage.wire();
    let (process, key) = wire.cancel.clone();
    let packet = [&[0, 0, 0, 16, 4, 210, 22, 46][..], &process.to_be_bytes(), &key].concat();
    wire.send(b'Q', b"SELECT pg_sleep(60)\0");
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        // Sent before the statement has arrived it cancels nothing, so it is sent until it does.
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let mut tls = encrypted(&stage.endpoint, &["postgresql"], true).unwrap();
                tls.write_all(&packet).unwrap();
                assert_eq!(tls.read(&mut [0]).unwrap_or(0), 0, "nobody is told whether it worked");
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let answer = wire.answer();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(answer.errors[0].sqlstate, "57014", "{answer:?}");
    });
}

#[test]
fn pg_01_attack_08_who_guesses_keys_is_not_heard_any_more() {
    let stage = Stage::new("env=dev", &[]);
    let mut wire = stage.wire();
    let (process, key) = wire.cancel.clone();
    let mut wrong = key.clone();
    wrong[0] ^= 1;
    (0..30).for_each(|_| Wire::cancel(&stage.endpoint.socket, process, &wrong));
    wire.send(b'Q', b"SELECT pg_sleep(3)\0");
    std::thread::sleep(Duration::from_secs(1));
    Wire::cancel(&stage.endpoint.socket, process, &key);
    assert_eq!(wire.answer().tags, ["SELECT 1"], "not even with the right one, for a minute");
}

/// TLS to an endpoint that offers it, asked for first or at once, by a client that names these protocols.
fn encrypted(
    endpoint: &Connected,
    protocols: &[&str],
    ask: bool,
) -> std::io::Result<rustls::StreamOwned<rustls::ClientConnection, TcpStream>> {
    use rustls::pki_types::pem::PemObject as _;
    let pem = std::fs::read(endpoint.ca_file.as_ref().unwrap()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = "localhost".try_into().unwrap();
    let connection = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", endpoint.port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    if ask {
        stream.write_all(&request(SSL))?;
        stream.read_exact(&mut [0])?;
    }
    Ok(rustls::StreamOwned::new(connection, stream))
}

#[test]
fn pg_02_attack_03_tls_may_begin_at_once_where_it_is_offered() {
    let stage = Stage::new("env=dev", &["--tls"]);
    let startup = startup(&[("user", &stage.endpoint.user), ("database", &stage.endpoint.database)]);
    // Whoever begins at once must name the protocol; and nobody begins twice.
    for (protocols, ask, packet, answered) in [
        (&["postgresql"][..], false, startup.clone(), true),
        (&["h2", "postgresql"], false, startup.clone(), true),
        (&[], false, startup.clone(), false),
        (&["http/1.1"], false, startup.clone(), false),
        (&["postgresql"], true, startup.clone(), true),
        (&[], true, startup.clone(), true),
        (&["postgresql"], false, request(SSL), false),
        (&["postgresql"], true, request(SSL), false),
    ] {
        let mut tls = encrypted(&stage.endpoint, protocols, ask).unwrap();
        let mut byte = [0];
        let heard = tls.write_all(&packet).and_then(|()| tls.read_exact(&mut byte));
        assert_eq!(heard.is_ok_and(|()| byte == *b"R"), answered, "{protocols:?} {ask} {packet:?}");
    }
    assert_eq!(stage.wire().simple(b"SELECT 1").tags, ["SELECT 1"], "nobody else noticed");
}

#[test]
fn pg_02_attack_03_what_comes_first_is_taken_in_order_and_nothing_is_kept_from_before() {
    let stage = Stage::new("env=dev", &[]);
    let startup = startup(&[("user", &stage.endpoint.user), ("database", &stage.endpoint.database)]);
    // Either is declined once; then the startup packet is answered with a request for SCRAM.
    for requests in [vec![SSL], vec![GSS], vec![GSS, SSL], vec![SSL, GSS]] {
        let mut stream = TcpStream::connect(("127.0.0.1", stage.endpoint.port)).unwrap();
        let mut byte = [0];
        for code in &requests {
            stream.write_all(&request(*code)).unwrap();
            stream.read_exact(&mut byte).unwrap();
            assert_eq!(&byte, b"N", "{requests:?}");
        }
        stream.write_all(&startup).unwrap();
        stream.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"R", "{requests:?}");
    }
    // Asking again and again, bytes behind the question, TLS without asking, another protocol: a hang-up, and not a word.
    for (name, bytes, said) in [
        ("twice", [request(SSL), request(SSL)].concat(), &b""[..]),
        ("a startup packet behind the question", [request(SSL), startup].concat(), b""),
        ("direct TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), b""),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), b""),
        ("a long line", vec![b'A'; 100_000], b""),
        ("half a packet", vec![0, 0, 0, 8, 4], b""),
        ("nothing", Vec::new(), b""),
    ] {
        assert_eq!(stage.poke(&bytes), said, "{name}");
    }
    assert_eq!(stage.wire().simple(b"SELECT 1").tags, ["SELECT 1"], "nobody else noticed");
}

#[test]
fn pg_03_versions_and_options_are_negotiated() {
    let stage = Stage::new("env=dev", &[]);
    let own = [("user", stage.endpoint.user.as_str()), ("database", stage.endpoint.database.as_str())];
    for (version, extra, negotiated, key) in [
        ((3, 0), None, false, 4),
        ((3, 2), None, false, 32),
        ((3, 9), None, true, 32),
        ((3, 0), Some(("_pq_.unheard", "of")), true, 4),
    ] {
        let mut wire = Wire::dial(&stage.endpoint.socket);
        wire.begin(version, &own.into_iter().chain(extra).collect::<Vec<_>>());
        let first = wire.next().unwrap();
        assert_eq!(first.0 == b'v', negotiated, "{version:?}");
        if let (true, Some((name, _))) = (negotiated, extra) {
            assert!(first.1.windows(name.len()).any(|part| part == name.as_bytes()), "{first:?}");
        }
        assert!(wire.answer().errors.is_empty(), "{version:?}");
        assert_eq!(wire.cancel.1.len(), key, "{version:?}");
        assert_eq!(wire.simple(b"SELECT 1").tags, ["SELECT 1"], "{version:?}");
    }
    for version in [(2, 0), (4, 0)] {
        let mut wire = Wire::dial(&stage.endpoint.socket);
        wire.begin(version, &own);
        assert!(wire.answer().closed, "{version:?}");
    }
}

#[test]
fn pg_04_attack_05_what_a_client_begins_with_is_governed() {
    let stage = Stage::new("env=prod", &[]);
    let refused = |parameters: &[(&str, &str)]| match stage.endpoint.wire(parameters) {
        Ok(_) => "none".to_owned(),
        Err(answer) => answer.errors[0].sqlstate.clone(),
    };
    for (parameters, sqlstate) in [
        (&[("application_name", "it's \"quoted\"; DROP TABLE orders")][..], "none"),
        (&[("options", "-c geqo=off --extra-float-digits=3")], "none"),
        (&[("TimeZone", "UTC"), ("DateStyle", "ISO, MDY")], "none"),
        (&[("replication", "database")], "42501"),
        (&[("replication", "true")], "42501"),
        (&[("role", "postgres")], "42501"),
        (&[("session_authorization", "postgres")], "42501"),
        (&[("options", "-c role=postgres")], "42501"),
        (&[("options", "-c statement_timeout=0")], "42501"),
        (&[("search_path", "evil, public")], "42501"),
        (&[("session_preload_libraries", "x")], "42501"),
        (&[("options", "-c=")], "42501"),
        (&[("options", "-d 5")], "42501"),
        // Where the last `user` and `database` of a startup packet count, these would come last.
        (&[("options", "-c user=postgres")], "42501"),
        (&[("options", "-c database=postgres")], "42501"),
        (&[("options", "--DATABASE=postgres")], "42501"),
        (&[("Database", "postgres")], "none"),
        (&[("USER", "postgres")], "none"),
    ] {
        assert_eq!(refused(parameters), sqlstate, "{parameters:?}");
    }
    // A right to read begins read only, whatever is asked for.
    let mut wire = stage.endpoint.wire(&[("default_transaction_read_only", "off")]).unwrap();
    assert_eq!(wire.simple(b"SHOW transaction_read_only").rows, [[Some("on".to_owned())]]);
    // Without a database one wants the one with one's own name, which is this endpoint's.
    let mut wire = Wire::dial(&stage.endpoint.socket);
    wire.begin((3, 0), &[("user", &stage.endpoint.user)]);
    assert!(wire.answer().errors.is_empty());
    let found = wire.simple(b"SELECT current_database()");
    assert_eq!(found.rows[0][0].as_deref(), Some(stage.database.name.as_str()));
    // Whom one logs in as is the session's choice.
    let shown = stage.endpoint.wire(&[("user", "postgres")]).unwrap().simple(b"SELECT current_user, session_user");
    assert!(shown.rows[0][0].as_deref().is_some_and(|user| user.starts_with("app_") || user.starts_with("gov_s_")));
    assert!(shown.rows[0][1].as_deref().is_some_and(|user| user.starts_with("gov_s_")), "{shown:?}");
}

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Sends a random pipeline, and gives back how many times readiness is owed.
fn pipeline(dice: &mut Dice, wires: &mut [&mut Wire; 2]) -> usize {
    const TEXTS: [&str; 9] = [
        "SELECT 1",
        "SELECT id FROM orders WHERE id < 4 ORDER BY id",
        "SELECT 1/0",
        "SELECT 1/(id - 2) FROM orders WHERE id < 4 ORDER BY id",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "",
        "UPDATE orders SET status = 'seen' WHERE id = 1",
    ];
    const NAMES: [&str; 3] = ["", "a", "b"];
    let mut readies = 0;
    for _ in 0..dice.below(12) + 1 {
        let text = TEXTS[usize::try_from(dice.below(9)).unwrap()];
        let name = NAMES[usize::try_from(dice.below(3)).unwrap()];
        let portal = NAMES[usize::try_from(dice.below(2)).unwrap()];
        let (tag, body) = match dice.below(12) {
            0 | 1 => {
                readies += 1;
                (b'Q', [text.as_bytes(), b"\0"].concat())
            }
            2..=4 => (b'P', [name.as_bytes(), b"\0", text.as_bytes(), b"\0\0\0"].concat()),
            5 | 6 => (b'B', [portal.as_bytes(), b"\0", name.as_bytes(), b"\0\0\0\0\0\0\0"].concat()),
            7 => (b'D', [b"P", portal.as_bytes(), b"\0"].concat()),
            8 | 9 => (b'E', [portal.as_bytes(), b"\0", &[0, 0, 0, u8::try_from(dice.below(3)).unwrap()]].concat()),
            10 => (b'C', [b"S", name.as_bytes(), b"\0"].concat()),
            _ => {
                readies += 1;
                (b'S', Vec::new())
            }
        };
        wires.iter_mut().for_each(|wire| wire.send(tag, &body));
    }
    wires.iter_mut().for_each(|wire| wire.send(b'S', &[]));
    readies + 1
}

#[test]
fn pg_05_random_pipelines_are_answered_as_by_the_database_itself() {
    let stage = Stage::new("env=dev", &["--write"]);
    let user = [("user", "postgres"), ("database", stage.database.name.as_str())];
    for seed in 1..=60 {
        let mut dice = Dice(seed * 0x9e37_79b9);
        let (mut ours, mut direct) = (stage.wire(), Wire::open(&postgres::server().socket(), &user).unwrap());
        for round in 0..4 {
            let readies = pipeline(&mut dice, &mut [&mut ours, &mut direct]);
            let heard = |wire: &mut Wire| {
                let mut out = Vec::new();
                // A Query in a batch that has failed is dropped with it, and then owes nothing: the last Sync tells.
                wire.send(b'Q', b"SELECT 'the end'\0");
                while let Some((tag, body)) = wire.next() {
                    let last = tag == b'D' && body.ends_with(b"the end");
                    // Notices tell of a missing transaction; parameters are set by nobody here.
                    if tag != b'N' {
                        out.push(shown(tag, &body));
                    }
                    if last {
                        break;
                    }
                    assert!(out.len() < 1000, "{out:?}");
                }
                // CommandComplete and ReadyForQuery of the end.
                assert_eq!(wire.next().map(|(tag, _)| tag), Some(b'C'), "{out:?}");
                out.push(wire.next().map(|(tag, body)| shown(tag, &body)).unwrap());
                out
            };
            // In a failed transaction the end is an error; so the transaction is ended first.
            for wire in [&mut ours, &mut direct] {
                wire.send(b'Q', b"ROLLBACK\0");
            }
            let (ours, direct) = (heard(&mut ours), heard(&mut direct));
            assert_eq!(ours, direct, "seed {seed}, round {round}, {readies} times ready");
        }
    }
}

/// psql draws its caret, and a tool puts its cursor, where the error says.
#[test]
fn pg_12_errors_point_where_the_databases_own_do() {
    let stage = Stage::new("env=dev", &["--write"]);
    let user = [("user", "postgres"), ("database", stage.database.name.as_str())];
    let (mut ours, mut direct) = (stage.wire(), Wire::open(&postgres::server().socket(), &user).unwrap());
    for text in [
        "selec 1",
        "select 1; selec 2; select 3",
        "select 'é', (1",
        "select 1 +;",
        "select 'selec' as selec; selec selec",
        "select a, b,\n  , c from orders",
        "select 'not over",
        "select id, ünknown from orders",
        "select id from orders where nope = 1 -- ünknown",
        "select 1 from orders where status = 7 or no_column",
        "select * from orders o join nowhere n on true",
        "select 'abc'::int",
        "update orders set nope = 1 where id = 1",
        "insert into orders (id) values ('x')",
        "select id, lower(1, 2, 3) from orders",
    ] {
        let (ours, direct) = (ours.simple(text.as_bytes()), direct.simple(text.as_bytes()));
        let told = |answer: &Answer| answer.errors.iter().map(|e| (e.sqlstate.clone(), e.position.clone())).collect();
        let (ours, direct): (Vec<_>, Vec<_>) = (told(&ours), told(&direct));
        assert_eq!(ours, direct, "{text}");
    }
}

#[test]
fn pg_06_much_can_be_sent_ahead_while_much_comes_back() {
    let stage = Stage::new("env=dev", &["--write"]);
    let mut wire = stage.wire();
    let mut sender = wire.second();
    const QUERIES: usize = 400;
    // 12 MiB out and as much back; nobody's buffer has room for either.
    let text = format!("/*{}*/ SELECT repeat('x', 32000)\0", "y".repeat(32_000));
    let sending = std::thread::spawn(move || {
        for _ in 0..QUERIES {
            sender.send(b'Q', text.as_bytes());
        }
    });
    for number in 0..QUERIES {
        let answer = wire.answer();
        assert_eq!(answer.rows[0][0].as_ref().map(String::len), Some(32_000), "{number}");
    }
    sending.join().unwrap();
}

#[test]
fn pg_13_logins_are_bound_to_the_certificate_of_the_endpoint() {
    let stage = Stage::new("env=dev", &["--tls"]);
    let endpoint = &stage.endpoint;
    let psql = |host: &str, more: &str| {
        let mut command = Command::new(tool("psql", "postgresql-client"));
        let place = format!("host={host} port={} dbname={} user={}", endpoint.port, endpoint.database, endpoint.user);
        command.args(["-XAtc", "select 7", "-d", &format!("{place} {more}")]);
        command.env_clear().env("PGPASSWORD", &endpoint.password).env("HOME", &stage.sandbox.home);
        finish(command)
    };
    let verified = format!("sslmode=verify-full sslrootcert={}", endpoint.ca_file.as_ref().unwrap());
    // The address and the name are in the certificate; and nobody is forced.
    for (host, more) in [
        ("127.0.0.1", format!("{verified} channel_binding=require")),
        ("localhost", format!("{verified} channel_binding=require")),
        ("127.0.0.1", format!("{verified} channel_binding=disable")),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", "sslmode=disable".to_owned()),
    ] {
        assert_eq!(psql(host, &more).ok().stdout, "7\n", "{host} {more}");
    }
    // Without TLS there is nothing to bind to, and nobody pretends that there is.
    let ran = psql("127.0.0.1", "sslmode=disable channel_binding=require");
    assert!(ran.code != 0 && ran.stderr.contains("channel binding"), "{ran:?}");
    let mut java = Command::new(tool("java", "default-jdk-headless"));
    java.args(["-cp", "/usr/share/java/postgresql.jar"]).arg(repository().join("tests/it/drivers/One.java"));
    java.arg(format!("{}&sslmode=verify-full&sslrootcert={}", endpoint.jdbc_url(), endpoint.ca_file.as_ref().unwrap()));
    assert_eq!(finish(java).ok().stdout, "1\n");

    // An endpoint that offers no TLS says so in the protocol's one word for it.
    let plain = stage.sandbox.connect(&["shop"]).unwrap();
    let mut command = Command::new(tool("psql", "postgresql-client"));
    command.args(["-XAtc", "select 7", "-d", &format!("{}?sslmode=require", plain.url())]).env_clear();
    let ran = finish(command);
    assert!(ran.stderr.contains("server does not support SSL, but SSL was required"), "{ran:?}");
}

#[test]
fn pg_13_the_database_is_logged_in_to_whatever_its_certificate_is_signed_with() {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let issuers = [
        // A login is bound to the hash of the certificate's signature. Ed25519 has none: there it is not bound.
        (rcgen::KeyPair::generate().unwrap(), "ECDSA P-256"),
        (rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(), "ECDSA P-384"),
        (rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(), "Ed25519"),
    ];
    let server = postgres::Postgres::start("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n", &[]);
    for (issuer_key, name) in issuers {
        let authority_certificate = authority.self_signed(&issuer_key).unwrap();
        let issuer = rcgen::Issuer::new(authority.clone(), issuer_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let mut leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        leaf.serial_number = Some(rcgen::SerialNumber::from(u64::try_from(name.len()).unwrap()));
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        server.encrypt(&leaf.pem(), &key.serialize_pem());
        let mut sandbox = Sandbox::new();
        let ca = sandbox.write("db-ca.pem", &authority_certificate.pem());
        let secret = postgres::broker_password(&sandbox.home);
        let resource = format!(
            "shop=postgres://gov_broker@localhost:{}/postgres?env=dev&sslmode=verify-full&sslrootcert={}&password-file={}\
             &read-role=app_ro&write-role=app_rw",
            server.port,
            ca.display(),
            secret.display()
        );
        sandbox.start_server(&["--dev", "--resource", &resource]);
        sandbox.log_in("bob");
        let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        // The server takes the new certificate a moment after it was told to.
        let ran = (0..50)
            .map(|_| sandbox.gov(["exec", "shop", "--format", "csv", "-c", sql]))
            .find(|ran| {
                std::thread::sleep(Duration::from_millis(100));
                ran.code == 0
            })
            .unwrap_or_else(|| panic!("{name}: {}", sandbox.server_log()));
        assert_eq!(ran.stdout, "ssl\r\nt\r\n", "{name}");
    }
}

#[test]
fn pg_14_who_is_cut_off_is_told_why_and_nothing_goes_on_in_the_database() {
    let stage = Stage::new("env=dev", &[]);
    let mut wire = stage.wire();
    let role = wire.simple(b"SELECT session_user").rows[0][0].clone().unwrap();
    wire.send(b'Q', b"SELECT pg_sleep(300)\0");
    let count = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}' AND query LIKE '%pg_sleep%'");
    let running = || postgres::server().run("postgres", &count);
    while running() != "1" {
        std::thread::sleep(Duration::from_millis(50));
    }
    let session = stage.sandbox.gov(["--json", "session", "ls"]).ok().json()["sessions"][0]["session"]
        .as_str()
        .unwrap()
        .to_owned();
    stage.sandbox.gov(["session", "kill", &session]).ok();
    let answer = wire.answer();
    assert_eq!((answer.errors[0].sqlstate.as_str(), answer.closed), ("57P01", true), "{answer:?}");
    assert_eq!(running(), "0");
    assert!(!postgres::server().session_roles().contains(&role));
}

#[test]
fn pg_15_attack_10_long_and_slow_beginnings_cost_nothing() {
    let stage = Stage::new("env=dev", &[]);
    // PostgreSQL's own limit for a startup packet is 10,000 bytes.
    let long = "x".repeat(11_000);
    assert_eq!(stage.poke(&startup(&[("user", &long)])), b"");
    // A length that nobody can mean, at once, not after waiting for it.
    assert_eq!(stage.poke(&[0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0]), b"");
    assert_eq!(stage.poke(&[0, 0, 0, 3]), b"");
    // Many who say nothing keep nobody out.
    let silent: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(("127.0.0.1", stage.endpoint.port)).unwrap()).collect();
    assert_eq!(stage.wire().simple(b"SELECT 1").tags, ["SELECT 1"]);
    drop(silent);
}

#[test]
fn pg_15_as_many_values_as_the_protocol_has_room_for() {
    let stage = Stage::new("env=dev", &[]);
    let places: Vec<_> = (1..=65_535).map(|number| format!("${number}")).collect();
    let text = format!("SELECT cardinality(ARRAY[{}]::text[])", places.join(","));
    let answer = stage.wire().extended(text.as_bytes(), &vec!["x"; places.len()]);
    assert_eq!(answer.rows, [[Some("65535".to_owned())]], "{:?}", answer.errors);
}

#[test]
fn pg_17_a_session_serves_many_connections_and_no_more_than_it_may() {
    let stage = Stage::new("env=dev", &[]);
    let mut open = Vec::new();
    let refused = loop {
        // The database of the tests has room for 200, the gateway for more.
        assert!(open.len() < 300, "there is no limit");
        match stage.endpoint.wire(&[]) {
            Ok(wire) => open.push(wire),
            Err(answer) => break answer,
        }
    };
    // A tool opens three for each data source, and one for each editor.
    assert!(open.len() >= 10, "{}", open.len());
    assert_eq!(refused.errors[0].sqlstate, "53300", "{refused:?}");
    // Those that were let in are served, and one that goes makes room.
    assert_eq!(open[0].simple(b"SELECT 1").tags, ["SELECT 1"]);
    open.clear();
    let again = (0..600).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        stage.endpoint.wire(&[]).ok()
    });
    assert!(again.is_some());
}

#[test]
fn pg_17_a_port_that_is_taken_names_who_has_it() {
    let stage = Stage::new("env=dev", &[]);
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = |port: u16| {
        let ran = stage.sandbox.gov(["connect", "shop", "--port", &port.to_string()]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{ran:?}");
        assert!(ran.stderr.contains("hint:") && ran.stderr.contains("--port"), "{ran:?}");
        ran.stderr
    };
    let port = holder.local_addr().unwrap().port();
    assert!(taken(port).contains(&format!("(pid {})", std::process::id())));
    assert!(taken(stage.endpoint.port).contains(&format!("by gov (pid {})", stage.endpoint.pid())));
    // Nothing of an endpoint that could not be opened is left.
    assert_eq!(stage.sandbox.gov(["--json", "session", "ls"]).ok().json()["sessions"].as_array().unwrap().len(), 1);
}

#[test]
fn pg_20_a_wrong_local_password_or_user_is_one_error_that_says_where_the_right_one_is() {
    let stage = Stage::new("env=dev", &[]);
    let endpoint = &stage.endpoint;
    for (user, password) in
        [(endpoint.user.as_str(), "wrong"), ("postgres", endpoint.password.as_str()), ("postgres", "")]
    {
        let mut command = Command::new(tool("psql", "postgresql-client"));
        let place = format!("host=127.0.0.1 port={} dbname={} user={user}", endpoint.port, endpoint.database);
        command.args(["-XAtwc", "select 7", "-d", &place]).env_clear().env("HOME", &stage.sandbox.home);
        if !password.is_empty() {
            command.env("PGPASSWORD", password);
        }
        let ran = finish(command);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{user}: {ran:?}");
        if password.is_empty() {
            assert!(ran.stderr.contains("no password supplied"), "{user}: {ran:?}");
            continue;
        }
        assert!(ran.stderr.contains("FATAL:  wrong user or password for this local endpoint"), "{user}: {ran:?}");
        assert!(
            ran.stderr.contains("HINT:  copy them from the terminal in which `gov connect` runs"),
            "{user}: {ran:?}"
        );
    }
    assert_eq!(stage.wire().simple(b"SELECT 7").tags, ["SELECT 1"], "nobody else noticed");
}

#[test]
fn pg_18_pg_20_an_expired_session_answers_in_words() {
    let stage = Stage::new("env=dev", &["--ttl", "3s"]);
    let mut open = stage.wire();
    let told = open.answer();
    assert_eq!((told.errors[0].sqlstate.as_str(), told.closed), ("57P01", true), "{told:?}");
    // The port is not refused: it says what to do.
    let answer = stage.endpoint.wire(&[]).unwrap_err();
    let error = &answer.errors[0];
    assert_eq!(error.sqlstate, "28000", "{error:?}");
    assert!(error.message.contains("expired") && error.hint.contains("gov connect shop"), "{error:?}");
}

/// A laptop that sleeps is a process that stands still while the time goes on, and whose other end gives it up.
#[test]
fn pg_18_what_slept_goes_on_or_says_why_not() {
    let stage = Stage::new("env=dev", &["--ttl", "20s"]);
    let lasting = stage.sandbox.connect(&["shop"]).unwrap();
    let (mut over, mut open) = (stage.wire(), lasting.wire(&[]).unwrap());
    let both = |signal: &str| {
        for pid in [stage.endpoint.pid(), lasting.pid()] {
            let mut command = Command::new("kill");
            command.args([signal, &pid.to_string()]);
            finish(command).ok();
        }
    };
    both("-STOP");
    // Longer than the server waits for an end that is silent, and than the first session lasts.
    std::thread::sleep(Duration::from_secs(60));
    both("-CONT");
    let told = over.answer();
    assert!(told.closed && told.errors.len() == 1, "{told:?}");
    let answer = stage.endpoint.wire(&[]).unwrap_err();
    assert_eq!(answer.errors[0].sqlstate, "28000", "{answer:?}");
    assert!(answer.errors[0].hint.contains("gov connect shop"), "{answer:?}");
    // The other session lasts: what was open is told that it is over, and a new connection works at the same address.
    let told = open.answer();
    assert!(told.closed && told.errors.len() == 1, "{told:?}");
    let again = (0..60).find_map(|_| {
        std::thread::sleep(Duration::from_millis(500));
        lasting.wire(&[]).ok()
    });
    assert_eq!(again.unwrap().simple(b"SELECT 7").tags, ["SELECT 1"]);
}

#[test]
fn pg_18_a_session_that_another_person_ended_stays_ended_and_says_by_whom() {
    let mut stage = Stage::new("env=dev", &[]);
    let mut open = stage.wire();
    let session = stage.sandbox.gov(["--json", "session", "ls"]).ok().json()["sessions"][0]["session"].clone();
    // At another machine: there is no process of this one to end.
    stage.sandbox.environment.push(("USER", "elsewhere".to_owned()));
    stage.sandbox.log_in("dave");
    stage.sandbox.gov(["session", "kill", session.as_str().unwrap()]).ok();
    let told = open.answer();
    assert!(told.closed && told.errors[0].message.contains("ended by Dave Dunn"), "{told:?}");
    // The endpoint opens no other session in its place, and whoever looks at its terminal knows.
    let answer = stage.endpoint.wire(&[]).unwrap_err();
    assert_eq!(answer.errors[0].sqlstate, "28000", "{answer:?}");
    assert!(answer.errors[0].message.contains("ended by Dave Dunn"), "{answer:?}");
    assert!(answer.errors[0].hint.contains("gov connect"), "{answer:?}");
    let left = stage.sandbox.gov(["--json", "session", "ls"]).ok().json();
    assert_eq!(left["sessions"].as_array().unwrap().len(), 0, "{left}");
    let said = stage.endpoint.said("The session is over");
    assert!(said.contains("ended by Dave Dunn"), "{said}");
}
